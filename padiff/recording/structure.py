"""Finding the tensors in what a layer takes and gives, and naming the place of each."""

import dataclasses
import io
from collections import deque
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Set,
    ValuesView,
)
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

__all__ = ["Found", "find_in_arguments", "find_in_result", "parts_of", "with_tensors"]

IsTensor = Callable[[object], bool]
Parts = list[tuple[str, Any]]

MAX_DEPTH = 32  # of containers within containers
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type, np.generic)


@dataclass(frozen=True, slots=True)
class Found:
    """Tensors and NumPy arrays by place, in order; and of what could not be entered, the reason."""

    tensors: list[tuple[str, Any]]
    refused: list[tuple[str, str]]


def find_in_arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], is_tensor: IsTensor
) -> Found:
    """The tensors a call was given: `0`, `x`, and inside of containers `0.1`, `x.mask`."""
    parts = [(str(index), value) for index, value in enumerate(args)]
    return _find([*parts, *kwargs.items()], is_tensor)


def find_in_result(result: object, is_tensor: IsTensor) -> Found:
    """The tensors a call returned: `0` for a lone one; else `1`, `logits`, `1.hidden`.

    Tuples and lists are entered by index, mappings by key, dataclasses by field. Two values that
    would share a place, such as those of the keys `1` and `"1"`, are told by a `~1`.
    """
    if is_tensor(result):
        return Found([("0", result)], [])
    parts = parts_of(result)
    return _find([("0", result)] if parts is None else parts, is_tensor)


def with_tensors(
    value: Any, handed: Mapping[int, Any], put_back: list[Callable[[], None]], depth: int = 0
) -> Any:
    """`value` with other tensors, by the `id` of each.

    Containers that can be written to stay the same objects, as others may go on with them: what
    puts their own tensors back is added to `put_back`.
    """
    if id(value) in handed:
        return handed[id(value)]
    if not handed or depth > MAX_DEPTH or isinstance(value, _PLAIN):
        return value
    old = _members(value)
    new = {key: with_tensors(part, handed, put_back, depth + 1) for key, part in old.items()}
    changed = {key: part for key, part in new.items() if part is not old[key]}
    if not changed:
        return value
    if isinstance(value, tuple):
        parts = new.values()
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    write = _writer(value)
    for key, part in changed.items():
        write(key, part)
        put_back.append(partial(_put_back, value, key, old[key], part))
    return value


def _writer(value: Any) -> Callable[[Any, Any], None]:
    if isinstance(value, list | MutableMapping):
        return value.__setitem__
    if isinstance(value, Mapping):
        raise TypeError(f"{_kind(value)} cannot be written to")
    return partial(object.__setattr__, value)  # a dataclass, which may be frozen


def _put_back(value: Any, key: Any, old: Any, new: Any) -> None:
    """Unless something else was put there meanwhile."""
    if _members(value).get(key) is new:
        _writer(value)(key, old)


def _members(value: Any) -> dict[Any, Any]:
    """What a container holds, by what it is asked for it with; nothing for what is none."""
    if isinstance(value, tuple | list):
        return dict(enumerate(value))
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = vars(value) if hasattr(value, "__dict__") else {}
        return {f.name: held.get(f.name) for f in dataclasses.fields(value)}
    return {}


def _find(parts: Parts, is_tensor: IsTensor) -> Found:
    walk = _Walk(is_tensor)
    for name, value in parts:
        walk.enter(value, name)
    return walk.found


class _Walk:
    def __init__(self, is_tensor: IsTensor) -> None:
        self.found = Found([], [])
        self._is_tensor = is_tensor
        self._taken: set[str] = set()
        self._inside: list[int] = []

    def enter(self, value: Any, place: str) -> None:
        if self._is_tensor(value) or isinstance(value, np.ndarray):
            self.found.tensors.append((self._free(place), value))
            return
        if isinstance(value, _PLAIN):
            return
        parts = parts_of(value)
        if parts is None:
            # files are iterators too, of lines
            if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
                self._refuse(place, f"a {type(value).__qualname__} can be gone through but once")
            elif _holds_tensor(value, self._is_tensor):
                self._refuse(place, f"{_kind(value)} is no container that padiff looks into")
        elif id(value) in self._inside:
            self._refuse(place, f"{_kind(value)} contains itself")
        elif len(self._inside) == MAX_DEPTH:
            self._refuse(place, f"it lies more than {MAX_DEPTH} containers deep")
        else:
            self._inside.append(id(value))
            for name, part in parts:
                self.enter(part, f"{place}.{name}")
            self._inside.pop()

    def _refuse(self, place: str, reason: str) -> None:
        self.found.refused.append((self._free(place), reason))

    def _free(self, place: str) -> str:
        """`place`, or with a number where another value has that name."""
        name, attempt = place, 0
        while name in self._taken:
            attempt += 1
            name = f"{place}~{attempt}"
        self._taken.add(name)
        return name


def parts_of(value: Any) -> Parts | None:
    """What a container holds, by name; None for what is no container."""
    if isinstance(value, tuple | list):
        return [(str(index), part) for index, part in enumerate(value)]
    if isinstance(value, Mapping):
        return [(_key_name(key), part) for key, part in value.items()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name, None)) for f in dataclasses.fields(value)]
    return None


def _key_name(key: object) -> str:
    # the default text of an object is its address, another in every run
    if type(key).__str__ is object.__str__ and type(key).__repr__ is object.__repr__:
        return type(key).__name__
    return str(key)


def _holds_tensor(value: Any, is_tensor: IsTensor, depth: int = 0) -> bool:
    """Whether some tensor lies in an object of the user's, as far as is cheap to see."""
    if is_tensor(value) or isinstance(value, np.ndarray):
        return True
    if depth > 3 or isinstance(value, _PLAIN) or callable(value):
        return False
    if isinstance(value, tuple | list | Set | deque | ValuesView):
        inner: Iterable[Any] = value
    else:
        inner = (value if isinstance(value, Mapping) else getattr(value, "__dict__", {})).values()
    return any(_holds_tensor(part, is_tensor, depth + 1) for part in list(inner))


def _kind(value: object) -> str:
    name = type(value).__qualname__
    return f"a {name} has no order and" if isinstance(value, Set) else f"a {name}"
