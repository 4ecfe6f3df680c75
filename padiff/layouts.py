"""The one table of how torch and paddle lay out the parameters of the layers that both have.

Each framework is described once, against a form of no framework; every pairing follows from that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["LAYOUTS", "ONE_SIDED", "Layout", "Part", "layout_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """Where a framework keeps one tensor of a layer, and what makes the common form of it.

    `path` leads from the layer to the tensor; a `{}` in it and in `name` stands for 0, 1, ... as
    far as there are any. Of several parts of one name, one is there. Of the tensor, `share`
    is taken, the i-th of n equal parts of the axis `along`, or its `rows`, from one up to another,
    then `axes` are put in that order, then, if `flat`, made one. A layer is laid out otherwise when
    what it `needs` is not there.
    `neutral` is the value of all elements at which a tensor does nothing, where a framework may
    keep an untrained one of these for none. `source` is the attribute's documented shape.
    """

    name: str
    path: str
    source: str
    axes: tuple[int, ...] = ()
    share: tuple[int, int] | None = None
    along: int = 0
    flat: bool = False
    needed: bool = False
    neutral: float | None = None
    rows: tuple[int, int] | None = None

    def cut(self, length: int) -> slice:
        """What is taken of the axis `along`, which is so long."""
        if self.rows is not None:
            return slice(*self.rows)
        at, count = self.share or (0, 1)
        return slice(at * (length // count), (at + 1) * (length // count))

    def view(self, elements: NDArray[Any]) -> NDArray[Any]:
        """The common form of the tensor's elements, in their own memory if they are in C order."""
        if self.share is not None or self.rows is not None:
            rows = self.cut(elements.shape[self.along])
            elements = elements[(slice(None),) * self.along + (rows,)]
        if self.axes:
            elements = elements.transpose(self.axes)
        return elements.reshape(-1) if self.flat else elements


@dataclass(frozen=True, slots=True)
class Layout:
    """How one framework lays out a layer; `kind` is the layer's name in torch.

    `classes` are the framework's classes that do so.
    """

    kind: str
    framework: str
    classes: tuple[str, ...]
    parts: tuple[Part, ...]


def _weight(source: str, axes: tuple[int, ...] = ()) -> Part:
    return Part("weight", "weight", source, axes, needed=True)


def _bias(source: str = "(out_features,)") -> Part:
    return Part("bias", "bias", source)


def _affine(source: str, *, weight: str = "weight", flat: bool = False) -> tuple[Part, ...]:
    return (
        Part("weight", weight, source, flat=flat, neutral=1.0),
        Part("bias", "bias", source, flat=flat, neutral=0.0),
    )


def _statistics(mean: str, variance: str) -> tuple[Part, ...]:
    return (
        Part("running_mean", mean, "(num_features,)"),
        Part("running_var", variance, "(num_features,)"),
    )


def _cell(gates: int, path: str = "{}", name: str = "{}") -> tuple[Part, ...]:
    """The four tensors of a cell, of which a `{}` in `path` stands for `weight_ih` and the rest.

    Both frameworks stack the gates in one order, input, forget, cell, output (LSTM) and reset,
    update, new (GRU), and apply a GRU's reset gate after the product with the state.
    """
    height = "hidden_size" if gates == 1 else f"{gates} * hidden_size"
    # of a second direction there need not be any
    needed = not name.endswith("_reverse")
    weights = (("weight_ih", "input_size"), ("weight_hh", "hidden_size or proj_size"))
    return (
        *(
            Part(name.format(own), path.format(own), f"({height}, {width})", needed=needed)
            for own, width in weights
        ),
        *(
            Part(name.format(own), path.format(own), f"({height},)", neutral=0.0)
            for own in ("bias_ih", "bias_hh")
        ),
    )


def _paddle_cell(gates: int, path: str = "{}", name: str = "{}") -> tuple[Part, ...]:
    """The same in paddle, whose LSTM cell may make its state smaller."""
    cell = _cell(gates, path, name)
    if gates != 4:
        return cell
    source = "(hidden_size, proj_size)"
    return (*cell, Part(name.format("weight_hr"), path.format("weight_ho"), source, (1, 0)))


def _torch_stack(gates: int) -> tuple[Part, ...]:
    """The tensors of a recurrent network by layer and direction, as in `weight_ih_l0_reverse`."""
    parts: list[Part] = []
    for end in ("", "_reverse"):
        # the layer's number stays open
        path, name = "{}_l{{}}" + end, "{{}}.{}" + end
        parts += _cell(gates, path, name)
        if gates == 4:
            own, source = "weight_hr", "(proj_size, hidden_size)"
            parts.append(Part(name.format(own), path.format(own), source))
    return tuple(parts)


def _paddle_stack(gates: int) -> tuple[Part, ...]:
    """The same, from the cells: which of the network's own names is which depends on settings."""
    return tuple(
        part
        for cell, end in (("cell", ""), ("cell_fw", ""), ("cell_bw", "_reverse"))
        for part in _paddle_cell(gates, f"{{{{}}}}.{cell}.{{}}", "{{}}.{}" + end)
    )


_SEPARATE = (
    Part("q.weight", "q_proj_weight", "(embed_dim, embed_dim)", needed=True),
    Part("k.weight", "k_proj_weight", "(embed_dim, kdim)", needed=True),
    Part("v.weight", "v_proj_weight", "(embed_dim, vdim)", needed=True),
)
_PACKED = tuple(
    Part(f"{name}.weight", "in_proj_weight", "(3 * embed_dim, embed_dim)", share=(i, 3))
    for i, name in enumerate("qkv")
)
_TORCH_ATTENTION = (
    *_SEPARATE,
    *_PACKED,
    *(
        Part(f"{name}.bias", "in_proj_bias", "(3 * embed_dim,)", share=(i, 3))
        for i, name in enumerate("qkv")
    ),
    Part("out.weight", "out_proj.weight", "(embed_dim, embed_dim)", needed=True),
    Part("out.bias", "out_proj.bias", "(embed_dim,)"),
    Part("bias_k", "bias_k", "(1, 1, embed_dim)"),
    Part("bias_v", "bias_v", "(1, 1, embed_dim)"),
)
_PADDLE_ATTENTION = tuple(
    part
    for name in ("q", "k", "v", "out")
    for part in (
        Part(f"{name}.weight", f"{name}_proj.weight", "(in, out)", (1, 0), needed=True),
        Part(f"{name}.bias", f"{name}_proj.bias", "(out,)"),
    )
)
_TORCH_ADAPTIVE = (
    Part("head.weight", "head.weight", "(head_size, in_features)", needed=True),
    Part("head.bias", "head.bias", "(head_size,)"),
    Part("tail.{}.in", "tail.{}.0.weight", "(projection, in_features)"),
    Part("tail.{}.out", "tail.{}.1.weight", "(classes, projection)"),
)
_PADDLE_ADAPTIVE = (
    Part("head.weight", "head_weight", "(in_features, head_size)", (1, 0), needed=True),
    Part("head.bias", "head_bias", "(head_size,)"),
    Part("tail.{}.in", "tail_weights.{}.0", "(in_features, projection)", (1, 0)),
    Part("tail.{}.out", "tail_weights.{}.1", "(projection, classes)", (1, 0)),
)
_CONV = (_weight("(out_channels, in_channels / groups, *kernel)"), _bias("(out_channels,)"))
_UPWARD = (_weight("(in_channels, out_channels / groups, *kernel)"), _bias("(out_channels,)"))
_LINEAR = (_weight("(out_features, in_features)"), _bias())
_PADDLE_LINEAR = (_weight("(in_features, out_features)", (1, 0)), _bias())
_EMBEDDING = (_weight("(num_embeddings, embedding_dim)"),)
_BILINEAR = _weight("(out_features, in1_features, in2_features)")
_BILINEAR_BIAS = Part("bias", "bias", "(1, out_features)", flat=True)
_SLOPE = Part("weight", "_weight", "(num_parameters,)", needed=True)


def _row(
    kind: str, torch: str, parts: Iterable[Part], paddle: str, others: Iterable[Part]
) -> tuple[Layout, Layout]:
    """A layer that both frameworks have: the classes of each, and what is in them."""
    return (
        Layout(kind, "torch", tuple(torch.split()), tuple(parts)),
        Layout(kind, "paddle", tuple(paddle.split()), tuple(others)),
    )


_ROWS = (
    _row("Linear", "Linear", _LINEAR, "Linear", _PADDLE_LINEAR),
    _row("Bilinear", "Bilinear", (_BILINEAR, _bias()), "Bilinear", (_BILINEAR, _BILINEAR_BIAS)),
    *(_row(f"Conv{n}d", f"Conv{n}d", _CONV, f"Conv{n}D", _CONV) for n in (1, 2, 3)),
    *(
        _row(f"ConvTranspose{n}d", f"ConvTranspose{n}d", _UPWARD, f"Conv{n}DTranspose", _UPWARD)
        for n in (1, 2, 3)
    ),
    _row("Embedding", "Embedding", _EMBEDDING, "Embedding", _EMBEDDING),
    _row(
        "BatchNorm",
        "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm",
        (*_affine("(num_features,)"), *_statistics("running_mean", "running_var")),
        "BatchNorm1D BatchNorm2D BatchNorm3D BatchNorm SyncBatchNorm",
        (*_affine("(num_features,)"), *_statistics("_mean", "_variance")),
    ),
    _row(
        "LayerNorm",
        "LayerNorm",
        _affine("normalized_shape", flat=True),
        "LayerNorm",
        _affine("(product of normalized_shape,)"),
    ),
    _row(
        "GroupNorm",
        "GroupNorm",
        _affine("(num_channels,)"),
        "GroupNorm",
        _affine("(num_channels,)"),
    ),
    _row(
        "InstanceNorm",
        "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
        (*_affine("(num_features,)"), *_statistics("running_mean", "running_var")),
        "InstanceNorm1D InstanceNorm2D InstanceNorm3D",
        _affine("(num_features,)", weight="scale"),
    ),
    _row("PReLU", "PReLU", (_weight("(num_parameters,)"),), "PReLU", (_SLOPE,)),
    *(
        row
        for kind, paddle, gates in (("RNN", "SimpleRNN", 1), ("LSTM", "LSTM", 4), ("GRU", "GRU", 3))
        for row in (
            _row(kind, kind, _torch_stack(gates), paddle, _paddle_stack(gates)),
            _row(f"{kind}Cell", f"{kind}Cell", _cell(gates), f"{paddle}Cell", _paddle_cell(gates)),
        )
    ),
    _row(
        "MultiheadAttention",
        "MultiheadAttention",
        _TORCH_ATTENTION,
        "MultiHeadAttention",
        _PADDLE_ATTENTION,
    ),
    _row(
        "AdaptiveLogSoftmaxWithLoss",
        "AdaptiveLogSoftmaxWithLoss",
        _TORCH_ADAPTIVE,
        "AdaptiveLogSoftmaxWithLoss",
        _PADDLE_ADAPTIVE,
    ),
)

LAYOUTS: tuple[Layout, ...] = (
    *(layout for row in _ROWS for layout in row),
    # paddle has these a second time, laid out as torch's are
    Layout("Linear", "paddle", ("compat.Linear",), _LINEAR),
    Layout("MultiheadAttention", "paddle", ("compat.MultiheadAttention",), _TORCH_ATTENTION),
)

# Buffers that count how often a layer ran, which the other framework does not.
ONE_SIDED = frozenset({"num_batches_tracked"})

_BY_CLASS = {(layout.framework, name): layout for layout in LAYOUTS for name in layout.classes}


def layout_of(framework: str, classes: Iterable[str]) -> Layout | None:
    """The layout of the nearest of a layer's framework classes that the table has."""
    found = (_BY_CLASS.get((framework, name)) for name in classes)
    return next((layout for layout in found if layout is not None), None)
