"""The frameworks padiff records: each is imported only once the user has imported it."""

import sys
from collections.abc import Iterator

from padiff.frameworks.base import Framework

__all__ = ["framework_of", "framework_of_tensor"]


def framework_of(model: object) -> Framework:
    """The framework whose layer `model` is; TypeError when it is none of a framework we know."""
    for framework in _imported():
        if framework.is_layer(model):
            return framework
    found = f"{type(model).__module__}.{type(model).__qualname__}"
    raise TypeError(
        f"expected a torch.nn.Module or a paddle.nn.Layer, got {found}: give the model itself"
    )


def framework_of_tensor(value: object) -> Framework | None:
    """The framework whose tensor `value` is, if it is one."""
    return next((found for found in _imported() if found.is_tensor(value)), None)


def _imported() -> Iterator[Framework]:
    # A model or tensor of a framework that was never imported cannot exist: neither import is new.
    if "torch" in sys.modules:
        from padiff.frameworks.torch import FRAMEWORK as TORCH

        yield TORCH
    if "paddle" in sys.modules:
        from padiff.frameworks.paddle import FRAMEWORK as PADDLE

        yield PADDLE
