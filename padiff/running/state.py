"""What a forward may change beside its results, kept so that it can be put back."""

from collections.abc import Callable, Iterable
from typing import Any

from padiff.frameworks.base import Framework, Layer, Tensor

__all__ = ["keep_state"]

Restore = Callable[[], None]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, tuple)


def keep_state(framework: Framework, model: Layer, tensors: Iterable[Tensor]) -> Restore:
    """Note the buffers and attributes of a model's layers, the elements of `tensors`, and chance.

    Returns what puts them back. Parameters, which no forward changes, are not copied.
    """
    layers = [layer for _, layer in framework.named_layers(model)]
    parameters = {id(p) for layer in layers for _, p in framework.parameters(layer)}
    restore: list[Restore] = [framework.keep_random()]
    kept: set[int] = set(parameters)
    for layer in layers:
        for held in (vars(layer), *framework.registries(layer)):
            restore.append(_refill(framework, held))
            tensors = [*tensors, *filter(framework.is_tensor, held.values())]
    for tensor in tensors:
        if id(tensor) not in kept:
            kept.add(id(tensor))
            restore.append(framework.keep(tensor))

    def put_back() -> None:
        for step in restore:
            step()

    return put_back


def _refill(framework: Framework, held: dict[str, Any]) -> Restore:
    """Numbers, texts and tensors by name, as they are now; whatever else is there stays."""
    before = {name: value for name, value in held.items() if _is_kept(framework, value)}

    def refill() -> None:
        for name in [name for name, value in held.items() if _is_kept(framework, value)]:
            if name not in before:
                del held[name]
        for name, value in before.items():
            if held.get(name) is not value:
                held[name] = value

    return refill


def _is_kept(framework: Framework, value: object) -> bool:
    return isinstance(value, _PLAIN) or framework.is_tensor(value)
