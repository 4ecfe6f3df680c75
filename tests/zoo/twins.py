"""The list of twins, and how the weights of one get into the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import paddle
import torch
from numpy.typing import NDArray

from tests.zoo import paddle_models, torch_models
from tests.zoo.sides import SIDES

__all__ = ["ZOO", "Twin"]

Values = NDArray[Any] | int


@dataclass(frozen=True)
class Twin:
    """One model in two frameworks.

    `args` and `kwargs` make the inputs. `raises` says that its forward does, `backward` that
    a gradient reaches its inputs.
    """

    name: str
    model: str
    options: dict[str, Any]
    args: Callable[[np.random.Generator], list[NDArray[Any]]]
    kwargs: Callable[[np.random.Generator], dict[str, NDArray[Any]]]
    raises: bool
    backward: bool

    def build(self, framework: Literal["torch", "paddle"] | str, seed: int = 0) -> Any:
        """The model, with the weights that both twins have."""
        torch.manual_seed(seed)
        with torch.random.fork_rng():
            base = getattr(torch_models, self.model)(**self.options)
        if framework == "torch":
            return base
        raw = getattr(paddle_models, self.model)(**self.options)
        _copy_weights(base, raw)
        return raw

    def inputs(self, framework: str, seed: int = 0) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword inputs of equal values on both sides."""
        random, side = np.random.default_rng(seed), SIDES[framework]
        args = [side.tensor(values) for values in self.args(random)]
        return args, {name: side.tensor(values) for name, values in self.kwargs(random).items()}


def _floats(*shape: int) -> Callable[[np.random.Generator], list[NDArray[Any]]]:
    return lambda random: [random.standard_normal(shape).astype(np.float32)]


def _twin(
    name: str,
    model: str,
    args: Callable[[np.random.Generator], list[NDArray[Any]]],
    kwargs: Callable[[np.random.Generator], dict[str, NDArray[Any]]] = lambda random: {},
    *,
    raises: bool = False,
    backward: bool = True,
    **options: Any,
) -> Twin:
    return Twin(name, model, options, args, kwargs, raises, backward)


_X = _floats(3, 4)

ZOO: dict[str, Twin] = {
    twin.name: twin
    for twin in (
        _twin("residual", "Residual", _X),
        _twin("residual-by-keyword", "Residual", lambda _: [], lambda random: {"x": _X(random)[0]}),
        _twin("shared", "Shared", _X),
        _twin("loop", "Loop", _floats(2, 3, 4)),
        _twin("tuple", "Split", _X),
        _twin("mapping", "Named", _X),
        _twin("dataclass", "Data", _X),
        _twin("none", "Nothing", _X),
        _twin(
            "keywords",
            "Keywords",
            _X,
            lambda random: {"plus": _X(random)[0], "mask": np.sign(_X(random)[0])},
        ),
        _twin("in-place", "InPlace", _X),
        _twin("no-grad", "NoGrad", _X),
        _twin("bfloat16", "Half", _X),
        _twin("empty", "Residual", _floats(0, 4)),
        _twin("views", "Views", _X),
        _twin("caught", "Caught", _X),
        _twin("broken", "Broken", _X, raises=True, backward=False),
        _twin("conv", "ConvNet", _floats(2, 3, 6, 6)),
        _twin("words", "Words", lambda random: [random.integers(0, 10, (2, 3))], backward=False),
        _twin("recurrent", "Recurrent", _floats(2, 3, 4)),
        _twin("encoder", "Encoder", _floats(2, 3, 8)),
        _twin("checkpoint", "Checkpointed", _X, reentrant=False),
        _twin("checkpoint-reentrant", "Checkpointed", _X, reentrant=True),
        _twin("inward", "Inward", _X, backward=False),
    )
}


def _copy_weights(base: Any, raw: Any) -> None:
    layers = SIDES["torch"].named_layers(base)
    for route, layer in SIDES["paddle"].named_layers(raw).items():
        if route in layers:
            _copy_layer(layers[route], layer)


def _copy_layer(base: Any, raw: Any) -> None:
    if isinstance(base, torch.nn.LSTM):
        for name, value in base.named_parameters():
            _set(getattr(raw[0].cell, name.removesuffix("_l0")), value)
        return
    if isinstance(base, torch.nn.MultiheadAttention):
        for part, weight, bias in zip(
            (raw.q_proj, raw.k_proj, raw.v_proj),
            base.in_proj_weight.chunk(3),
            base.in_proj_bias.chunk(3),
            strict=True,
        ):
            _set(part.weight, weight.T)
            _set(part.bias, bias)
        return
    for name, value in base.named_parameters(recurse=False):
        transposed = isinstance(base, torch.nn.Linear) and name == "weight"
        _set(getattr(raw, name), value.T if transposed else value)


def _set(parameter: Any, value: torch.Tensor) -> None:
    values = paddle.to_tensor(SIDES["torch"].numpy(value.float())).astype(parameter.dtype)
    parameter.set_value(values)
