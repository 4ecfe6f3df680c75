"""The weights of one side into the other, independent of how padiff does it."""

from collections.abc import Iterator
from typing import Any

import paddle
import torch

from tests.networks.catalogue import Network
from tests.zoo import SIDES

__all__ = ["copy_weights", "pairs"]


def copy_weights(network: Network, base: Any, raw: Any) -> None:
    """All parameters, and the running statistics of BatchNorm, of one framework's into the other's.

    Either may be the base.
    """
    if isinstance(base, torch.nn.Module):
        for _, ours, theirs in pairs(network, base, raw):
            theirs.set_value(paddle.to_tensor(SIDES["torch"].numpy(ours)))
    else:
        for _, ours, theirs in pairs(network, raw, base):
            ours.copy_(torch.from_numpy(SIDES["paddle"].numpy(theirs)))


def pairs(network: Network, ours: Any, theirs: Any) -> Iterator[tuple[str, torch.Tensor, Any]]:
    """Name in torch, view of torch's memory in paddle's layout, and paddle's own tensor."""
    layers = SIDES["paddle"].named_layers(theirs)
    for route, layer in ours.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        if isinstance(layer, torch.nn.BatchNorm2d):
            own |= {"_mean": layer.running_mean, "_variance": layer.running_var}
        if own:
            twin = layers[network.route(route, "paddle")]
            for name, value, other in _paired(layer, twin, own):
                yield f"{route}.{name}".lstrip("."), value, other


def _paired(
    layer: torch.nn.Module, twin: Any, own: dict[str, Any]
) -> Iterator[tuple[str, torch.Tensor, Any]]:
    for name, parameter in own.items():
        value = parameter.detach()
        if isinstance(layer, torch.nn.MultiheadAttention):
            parts = zip((twin.q_proj, twin.k_proj, twin.v_proj), value.chunk(3), strict=True)
            kind = name.removeprefix("in_proj_")
            for place, (part, piece) in enumerate(parts):
                yield f"{name}.{place}", piece.T if kind == "weight" else piece, getattr(part, kind)
        else:
            transposed = isinstance(layer, torch.nn.Linear) and name == "weight"
            yield name, value.T if transposed else value, getattr(twin, name)
