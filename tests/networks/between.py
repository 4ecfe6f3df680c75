"""What stands between the layers of a network: nothing, until a fault is planted there."""

from collections.abc import Callable
from typing import Any

import paddle
import torch

__all__ = ["detach", "round_trip", "same", "scaled_gradient"]


def same(x: Any) -> Any:
    """What a network calls where a fault may take its place."""
    return x


def detach(x: Any) -> Any:
    """The same values, and no gradient through them."""
    return x.detach()


def round_trip(x: Any) -> Any:
    """To bfloat16 and back, in either framework."""
    if isinstance(x, torch.Tensor):
        return x.to(torch.bfloat16).to(torch.float32)
    return x.astype("bfloat16").astype("float32")


def scaled_gradient(factor: float) -> Callable[[Any], Any]:
    """The same values, with `factor` times the gradient, as a kernel with a wrong backward."""

    def call(x: Any) -> Any:
        function: Any = _TorchScaled if isinstance(x, torch.Tensor) else _PaddleScaled
        return function.apply(x, factor)

    return call


class _TorchScaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.factor, None


class _PaddleScaled(paddle.autograd.PyLayer):  # type: ignore[misc]  # paddle has no types
    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.factor
