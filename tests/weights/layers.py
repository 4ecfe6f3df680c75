"""Layers of the table, each in both frameworks, of one size and one way to call them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import paddle
import torch
from numpy.typing import NDArray
from paddle import nn as P
from torch import nn as T

from padiff import ProxyModel
from tests.zoo import SIDES

__all__ = ["CASES", "Case", "map_layers", "randomise", "results", "tensors_of"]

Elements = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A layer by its row in the table; `ids` counts its inputs that are indices, below 4."""

    kind: str
    name: str
    torch: Callable[[], Any]
    paddle: Callable[[], Any]
    inputs: tuple[tuple[int, ...], ...]
    ids: int = 0
    outputs: int | None = None  # how many both frameworks return

    def build(self, framework: str, seed: int = 0) -> Any:
        """The layer with weights that its seed tells, none of them a default."""
        model = {"torch": self.torch, "paddle": self.paddle}[framework]()
        randomise(framework, model, seed)
        return model

    def given(self, framework: str) -> list[Any]:
        """The same inputs in either framework."""
        random = np.random.default_rng(7)
        given: list[Elements] = [
            random.standard_normal(shape).astype(np.float32) for shape in self.inputs
        ]
        plain = len(given) - self.ids
        given[plain:] = [random.integers(0, 4, shape) for shape in self.inputs[plain:]]
        return [SIDES[framework].tensor(values) for values in given]


def tensors_of(framework: str, model: Any) -> dict[str, Any]:
    """Every parameter and buffer by route, as the framework lists them."""
    found = dict(model.named_parameters()) | dict(model.named_buffers())
    if framework == "paddle":
        for route, layer in model.named_sublayers(include_self=True):
            for name in ("_mean", "_variance"):
                if getattr(layer, name, None) is not None:
                    found[f"{route}.{name}".lstrip(".")] = getattr(layer, name)
            for i, pair in enumerate(getattr(layer, "tail_weights", ())):
                found |= {f"{route}.tail.{i}.{j}": tensor for j, tensor in enumerate(pair)}
    return found


def randomise(framework: str, model: Any, seed: int) -> None:
    """Other values in every tensor, positive as variances must be."""
    random = np.random.default_rng(seed)
    for name, tensor in tensors_of(framework, model).items():
        if "num_batches" in name or "dropout_state" in name:
            continue
        if framework == "paddle" and tensor.stop_gradient and "bias" in name:
            continue  # which stands for none
        values = random.uniform(0.2, 1.2, tuple(tensor.shape)).astype(np.float32)
        if "var" not in name:
            values -= 0.7
        if framework == "torch":
            with torch.no_grad():
                tensor.copy_(torch.from_numpy(values))
        else:
            tensor.set_value(paddle.to_tensor(values).astype(tensor.dtype))


def results(case: Case, framework: str, model: Any, *, train: bool) -> list[Elements]:
    """What a call returns, and the gradients of its inputs where the framework has them."""
    side = SIDES[framework]
    model.train() if train else model.eval()
    given = case.given(framework)
    outputs = list(side.tensors(model(*given)))[: case.outputs]
    if not train and case.kind in ("RNN", "LSTM", "GRU"):  # paddle keeps nothing for these
        return [side.numpy(output) for output in outputs]
    loss = sum((output * output).sum() for output in outputs)
    assert loss is not None
    loss.backward()
    gradients = [side.grad(tensor) for tensor in given[: len(given) - case.ids]]
    assert all(gradient is not None for gradient in gradients)
    return [side.numpy(output) for output in outputs] + [g for g in gradients if g is not None]


Settings = list[tuple[str, dict[str, Any], dict[str, Any]]]  # a name, and what each side is given


def _convs() -> list[Case]:
    grouped = {"groups": 2, "stride": 2, "padding": 1}
    settings: Settings = [
        ("square", {}, {}),
        ("grouped", grouped, grouped),
        ("without bias", {"bias": False}, {"bias_attr": False}),
    ]
    return [
        Case(
            kind,
            name,
            partial(getattr(T, kind), 4, 4, 3, **ours),
            partial(getattr(P, paddle_class), 4, 4, 3, **theirs),
            ((2, 4, *(5,) * n),),
        )
        for n in (1, 2, 3)
        for kind, paddle_class in (
            (f"Conv{n}d", f"Conv{n}D"),
            (f"ConvTranspose{n}d", f"Conv{n}DTranspose"),
        )
        for name, ours, theirs in settings
    ]


def _norms() -> list[Case]:
    cases = []
    for n, shape in ((1, (6, 4)), (2, (3, 4, 5, 5)), (3, (2, 4, 3, 3, 3))):
        cases += [
            Case(
                "BatchNorm",
                f"{n}d",
                partial(getattr(T, f"BatchNorm{n}d"), 4),
                partial(getattr(P, f"BatchNorm{n}D"), 4),
                (shape,),
            ),
            Case(
                "InstanceNorm",
                f"{n}d",
                partial(getattr(T, f"InstanceNorm{n}d"), 4, affine=True),
                partial(getattr(P, f"InstanceNorm{n}D"), 4),
                (shape if n > 1 else (6, 4, 3),),
            ),
        ]
    return [
        *cases,
        Case(
            "BatchNorm",
            "of any shape",
            lambda: T.BatchNorm2d(4),
            lambda: P.BatchNorm(4),
            ((3, 4, 5, 5),),
        ),
        Case(
            "BatchNorm",
            "of one trained tensor",
            lambda: T.BatchNorm2d(4, affine=False),
            lambda: P.BatchNorm2D(4, weight_attr=False, bias_attr=False),
            ((3, 4, 5, 5),),
        ),
        Case(
            "LayerNorm",
            "square",
            lambda: T.LayerNorm((4, 4)),
            lambda: P.LayerNorm([4, 4]),
            ((3, 4, 4),),
        ),
        Case(
            "LayerNorm",
            "plain",
            lambda: T.LayerNorm(4, elementwise_affine=False),
            lambda: P.LayerNorm(4, weight_attr=False, bias_attr=False),
            ((3, 4),),
        ),
        Case("GroupNorm", "", lambda: T.GroupNorm(2, 4), lambda: P.GroupNorm(2, 4), ((2, 4, 3),)),
    ]


def _recurrent() -> list[Case]:
    deep: Settings = [
        ("of two layers", {"num_layers": 2}, {"num_layers": 2}),
        (
            "of two layers, both ways",
            {"num_layers": 2, "bidirectional": True},
            {"num_layers": 2, "direction": "bidirect"},
        ),
    ]
    projected: Settings = [
        (f"projected, {name}", {**ours, "proj_size": 3}, {**theirs, "proj_size": 3})
        for name, ours, theirs in deep
    ]
    # paddle does not run whole networks without biases
    cells: Settings = [
        ("square", {}, {}),
        ("without bias", {"bias": False}, {"bias_ih_attr": False, "bias_hh_attr": False}),
    ]
    cases = []
    for kind, paddle_class in (("RNN", "SimpleRNN"), ("LSTM", "LSTM"), ("GRU", "GRU")):
        cases += [
            Case(
                kind,
                name,
                partial(getattr(T, kind), 4, 4, batch_first=True, **ours),
                partial(getattr(P, paddle_class), 4, 4, **theirs),
                ((2, 3, 4),),
            )
            for name, ours, theirs in [
                ("square", {}, {}),
                *deep,
                *(projected if kind == "LSTM" else []),
            ]
        ]
        cases += [
            Case(
                f"{kind}Cell",
                name,
                partial(getattr(T, f"{kind}Cell"), 4, 4, **ours),
                partial(getattr(P, f"{paddle_class}Cell"), 4, 4, **theirs),
                ((3, 4),),
                outputs=1,
            )
            for name, ours, theirs in cells
        ]
    return cases


class _Attention(T.MultiheadAttention):
    """The query stands for all three where there is no other, as in paddle."""

    def forward(self, q: Any, k: Any = None, v: Any = None, **rest: Any) -> Any:  # type: ignore[override]
        return super().forward(q, q if k is None else k, q if v is None else v, **rest)


def _attention() -> list[Case]:
    own = (2, 3, 4)
    settings: Settings = [
        ("to another", {}, {}),
        ("without bias", {"bias": False}, {"bias_attr": False}),
        *(
            (f"of other sizes, {sizes}", sizes, sizes)
            for sizes in ({"kdim": 3, "vdim": 5}, {"kdim": 3}, {"vdim": 3})
        ),
    ]
    return [
        Case(
            "MultiheadAttention",
            "laid out as in torch",
            lambda: T.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True),
            lambda: paddle.compat.nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True),
            (own, own, own),
            outputs=1,
        ),
    ] + [
        Case(
            "MultiheadAttention",
            name,
            partial(_Attention, 4, 2, batch_first=True, **ours),
            partial(P.MultiHeadAttention, 4, 2, **theirs),
            inputs,
            outputs=1,
        )
        for name, ours, theirs, inputs in [
            ("to itself", {}, {}, (own,)),
            *(
                (name, a, b, (own, (2, 5, a.get("kdim", 4)), (2, 5, a.get("vdim", 4))))
                for name, a, b in settings
            ),
        ]
    ]


def _others() -> list[Case]:
    return [
        Case("Linear", "square", lambda: T.Linear(4, 4), lambda: P.Linear(4, 4), ((3, 4),)),
        Case("Linear", "oblong", lambda: T.Linear(4, 6), lambda: P.Linear(4, 6), ((3, 4),)),
        Case(
            "Linear",
            "without bias",
            lambda: T.Linear(4, 4, bias=False),
            lambda: P.Linear(4, 4, bias_attr=False),
            ((3, 4),),
        ),
        Case(
            "Linear",
            "laid out as in torch",
            lambda: T.Linear(4, 4),
            lambda: paddle.compat.nn.Linear(4, 4),
            ((3, 4),),
        ),
        Case(
            "Bilinear",
            "square",
            lambda: T.Bilinear(4, 4, 4),
            lambda: P.Bilinear(4, 4, 4),
            ((3, 4), (3, 4)),
        ),
        Case(
            "Embedding",
            "square",
            lambda: T.Embedding(4, 4),
            lambda: P.Embedding(4, 4),
            ((2, 4),),
            ids=1,
        ),
        Case(
            "PReLU",
            "",
            lambda: T.PReLU(4),
            lambda: P.PReLU(4),
            ((3, 4, 2),),
        ),
        Case(
            "AdaptiveLogSoftmaxWithLoss",
            "",
            lambda: T.AdaptiveLogSoftmaxWithLoss(8, 8, [4, 6], div_value=2.0, head_bias=True),
            lambda: P.AdaptiveLogSoftmaxWithLoss(8, 8, [4, 6], div_value=2.0, head_bias=True),
            ((6, 8), (6,)),
            ids=1,
        ),
    ]


CASES = (*_others(), *_convs(), *_norms(), *_recurrent(), *_attention())


def map_layers(proxy: ProxyModel, *routes: str) -> None:
    """Set the proxy's layer map by routes."""
    layers = SIDES[proxy.framework].named_layers(proxy.model)
    proxy.set_layer_map([layers[route] for route in routes])
