"""The values in nested dicts and lists of a file, by the names that lead to them."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from padiff.errors import CorruptError
from padiff.jsonio import LONGEST, MOST_AXES
from padiff.store.foreign.machine import Object

__all__ = ["file_name", "named_values", "outermost", "sizes_of"]

_DEEPEST = 64
# Of dicts that hold one another there is no end: values that are gone through may be so many, and
# so many times those that are there.
_MOST = 2**16
_MOST_TIMES = 16
_LONGEST = 2**12  # characters of a name
_PARTS = 16  # of a name that are looked at one by one


def named_values(
    state: Any, is_wanted: Callable[[Any], bool], others: list[str] | None = None
) -> Iterator[tuple[str, Any]]:
    """The values that are wanted, in order, with dots between the names; a lone one is `tensor`.

    The names of all others are added to `others`.
    """
    if is_wanted(state):
        yield "tensor", state
        return
    left = [iter(_items(state, ""))]
    most, seen = _MOST, set[int]()
    for number in itertools.count():
        found = next(left[-1], None)
        if found is None:
            left.pop()
            if not left:
                return
            continue
        name, value = found
        if number > most or len(name) > _LONGEST:
            raise CorruptError(
                "expected a state dict, found more in it than any has: save it alone"
            )
        if is_wanted(value):
            yield name, value
        elif type(value) in (dict, list, tuple) and value and len(left) < _DEEPEST:
            if id(value) not in seen:
                seen.add(id(value))
                most += _MOST_TIMES * len(value)
            left.append(iter(_items(value, f"{name}.")))
        elif others is not None:
            others.append(name)


def _items(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"{prefix}{key}", each) for key, each in value.items())
    elif type(value) in (list, tuple):
        yield from ((f"{prefix}{number}", each) for number, each in enumerate(value))


def outermost(others: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """The names of others, or of what holds several of them and nothing that is wanted."""
    holding = {above for name in wanted for above in _from_the_top(name)}
    tops = (next((n for n in _from_the_top(name) if n not in holding), name) for name in others)
    return tuple(dict.fromkeys(tops))


def _from_the_top(name: str) -> Iterator[str]:
    """A name's first part, its first two, and so on, at last the whole of it."""
    return itertools.accumulate(name.split(".", _PARTS), lambda above, part: f"{above}.{part}")


def file_name(value: Any) -> str:
    """The name of a file beside the one that has it; ValueError where it leads elsewhere."""
    if type(value) is not str or Path(value).name != value or value == ".." or "\0" in value:
        raise ValueError("no name of a file")
    return value


def sizes_of(value: Any) -> tuple[int, ...]:
    """A shape, an index or strides that a pickle has; ValueError for what no array has."""
    if isinstance(value, Object) and value.kind == "torch.Size":
        (value,) = value.args or ((),)
    if type(value) is not tuple or len(value) > MOST_AXES:
        raise ValueError("no sizes")
    if not all(type(n) is int and 0 <= n <= LONGEST for n in value):
        raise ValueError("no sizes")
    return value
