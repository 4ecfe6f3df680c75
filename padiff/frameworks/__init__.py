"""The frameworks padiff records: each is imported only once the user has imported it."""

import sys

from padiff.frameworks.base import Framework

__all__ = ["framework_of"]


def framework_of(model: object) -> Framework:
    """The framework whose layer `model` is; TypeError when it is none of a framework we know."""
    # A model of a framework that was never imported cannot exist, so neither import is new.
    if "torch" in sys.modules:
        from padiff.frameworks.torch import FRAMEWORK as TORCH

        if TORCH.is_layer(model):
            return TORCH
    if "paddle" in sys.modules:
        from padiff.frameworks.paddle import FRAMEWORK as PADDLE

        if PADDLE.is_layer(model):
            return PADDLE
    found = f"{type(model).__module__}.{type(model).__qualname__}"
    raise TypeError(
        f"expected a torch.nn.Module or a paddle.nn.Layer, got {found}: give the model itself"
    )
