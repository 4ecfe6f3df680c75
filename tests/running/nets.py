"""A network of twelve layers in both frameworks, and faults that can be planted in it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
import torch

from tests.zoo import SIDES

__all__ = ["LAYERS", "BackwardScaled", "Deep", "Fault", "inputs", "pair"]

LAYERS = 12
NN: dict[str, Any] = {"torch": torch.nn, "paddle": paddle.nn}

# What a fault does to the value at a place of the network: `(place, number of the layer, value)`.
Fault = Callable[[str, int, Any], Any]


class _Torch(torch.nn.Module):
    pass


class _TorchScaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * 1.5


class _PaddleScaled(paddle.autograd.PyLayer):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * 1.5


BackwardScaled: dict[str, Any] = {"torch": _TorchScaled, "paddle": _PaddleScaled}


def Deep(framework: str, fault: Fault | None = None) -> Any:  # noqa: N802  it makes models
    """Twelve layers with residuals, each a linear one and a tanh; a fault may stand anywhere.

    Its places are `layer`, inside of a layer, and `between`, after it; both get the layer's number.
    """
    nn = NN[framework]
    base = torch.nn.Module if framework == "torch" else paddle.nn.Layer
    plant = fault or (lambda place, number, value: value)

    class Layer(base):  # type: ignore[misc, valid-type]
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number
            self.fc = nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return plant("layer", self.number, (self.fc(x) * 0.5).tanh())

    class Net(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            for number in range(LAYERS):
                setattr(self, f"layer{number}", Layer(number))

        def forward(self, x: Any) -> Any:
            for number in range(LAYERS):
                h = getattr(self, f"layer{number}")(x)
                x = x + plant("between", number, h)
            return x

    return Net()


def inputs(*frameworks: str, seed: int = 0) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What base and raw are called with."""
    base, raw = (
        {
            "x": SIDES[name].tensor(
                np.random.default_rng(seed).standard_normal((5, 8)).astype(np.float32)
            )
        }
        for name in frameworks
    )
    return base, raw


def pair(base: str, raw: str, fault: Fault | None = None) -> tuple[Any, Any]:
    """A model of each framework, the second with the fault."""
    return Deep(base), Deep(raw, fault)
