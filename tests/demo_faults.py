"""A fault for any layer of either framework: it gives a wrong output, or a wrong gradient."""

from typing import Any, Literal

__all__ = ["Fault", "plant"]

Fault = Literal["forward", "backward"]


def plant(layer: Any, fault: Fault, factor: float) -> None:
    """Make `layer` return `factor` times its output, or pass back that times its input's gradient.

    The layer keeps its class, route and parameters, as a faulty kernel would leave them. Works on
    a `torch.nn.Module` and on a `paddle.nn.Layer` that takes and returns one tensor.
    """
    right = layer.forward

    def wrong_output(x: Any) -> Any:
        return right(x) * factor

    def wrong_gradient(x: Any) -> Any:
        between = x * 1.0
        between.register_hook(lambda gradient: gradient * factor)
        # what the layers inside get is a tensor of its own, whose gradient is right
        return right(between * 1.0)

    layer.forward = wrong_output if fault == "forward" else wrong_gradient
