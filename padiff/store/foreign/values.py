"""The values in nested dicts and lists of a file, by the names that lead to them."""

from collections.abc import Callable, Iterator
from typing import Any

from padiff.errors import CorruptError

__all__ = ["named_values"]

_DEEPEST = 64
_MOST = 10_000_000  # which are visited: of dicts that hold one another there is no end


def named_values(state: Any, is_wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """The values that are wanted, in order, with dots between the names; a lone one is `tensor`."""
    if is_wanted(state):
        yield "tensor", state
        return
    left = [iter(_items(state, ""))]
    for _ in range(_MOST):
        found = next(left[-1], None)
        if found is None:
            left.pop()
            if not left:
                return
            continue
        name, value = found
        if is_wanted(value):
            yield name, value
        elif len(left) < _DEEPEST:
            left.append(iter(_items(value, f"{name}.")))
    raise CorruptError("expected a state dict, found more in it than any has: save it alone")


def _items(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"{prefix}{key}", each) for key, each in value.items())
    elif type(value) in (list, tuple):
        yield from ((f"{prefix}{number}", each) for number, each in enumerate(value))
