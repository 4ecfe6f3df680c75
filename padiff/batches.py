"""Two data loaders batch by batch: the same structure, and the same values in it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.comparing.arithmetic import of_pair
from padiff.comparing.criterion import Criterion
from padiff.comparing.records import figures_of
from padiff.dtypes import dtype_of
from padiff.errors import PadiffError
from padiff.frameworks import framework_of_tensor
from padiff.recording.capture import host_tensor
from padiff.recording.structure import parts_of
from padiff.render.words import clean, number

__all__ = ["Batches", "compare_batches"]

_SHOWN = 6
_DEPTH = 32  # of containers within containers
_END = object()


@dataclass(frozen=True, slots=True)
class Batches:
    """What comparing two data loaders found: the answer, and the lines of its log."""

    aligned: bool
    lines: tuple[str, ...]


def compare_batches(first: Iterable[Any], second: Iterable[Any], criterion: Criterion) -> Batches:
    """Go through both at once, to the end of both, and compare each pair of batches."""
    loaders = [_iterator(name, given) for name, given in (("first", first), ("second", second))]
    differences: list[str] = []
    types: dict[str, str] = {}
    total = values = 0
    for at in count():
        batches = [next(loader, _END) for loader in loaders]
        ended = sum(batch is _END for batch in batches)
        if ended == 1:
            names = ("first", "second") if batches[0] is _END else ("second", "first")
            differences.append(f"{names[0]} ends after {at} batches, {names[1]} goes on")
        if ended:
            break
        total += 1
        ours, theirs = (dict(_leaves(batch)) for batch in batches)
        values += len(ours.keys() & theirs.keys())
        differences += [f"batch {at}: {found}" for found in _differences(ours, theirs, criterion)]
        types.update(_types(ours, theirs))
    if not values and not differences:
        return Batches(False, (f"nothing to compare in {total} batches of either loader",))
    lines = [f"{values} values in {total} batches compared, {len(differences) or 'none'} differ"]
    lines += [f"  {clean(line, 300)}" for line in differences[:_SHOWN]]
    if len(differences) > _SHOWN:
        lines.append(f"  ... and {len(differences) - _SHOWN} more")
    lines += [
        f"  {clean(f'{place}: {found}', 300)}" for place, found in list(types.items())[:_SHOWN]
    ]
    return Batches(not differences, tuple(lines))


def _iterator(name: str, loader: Any) -> Iterator[Any]:
    try:
        return iter(loader)
    except TypeError:
        raise TypeError(
            f"expected {name} to be a data loader, or batches in a list, got {type(loader)}"
        ) from None


def _leaves(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """All that is no container, by place; what is empty stands for itself."""
    parts = None if depth > _DEPTH or framework_of_tensor(value) else parts_of(value)
    if not parts:
        yield place, value
        return
    for name, part in zip(_names(value, parts), (part for _, part in parts), strict=True):
        yield from _leaves(part, f"{place}.{name}" if place else name, depth + 1)


def _names(value: Any, parts: list[tuple[str, Any]]) -> list[str]:
    """What the parts are called, no two alike: `1` and `'1'` are the keys 1 and "1"."""
    if not isinstance(value, Mapping):
        return [name for name, _ in parts]
    plain = [isinstance(key, str) and not key.isdecimal() for key in value]
    return [key if is_plain else repr(key) for key, is_plain in zip(value, plain, strict=True)]


def _differences(
    ours: dict[str, Any], theirs: dict[str, Any], criterion: Criterion
) -> Iterator[str]:
    for place in dict.fromkeys((*ours, *theirs)):
        where = place or "the batch itself"
        if place not in ours or place not in theirs:
            has, lacks = ("first", "second") if place in ours else ("second", "first")
            yield f"{has} has {where}, {lacks} has not"
            continue
        found = _difference(ours[place], theirs[place], criterion)
        if found:
            yield f"{where}: {found}"


def _types(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where the values are of two types, and are compared all the same."""
    for place in ours.keys() & theirs.keys():
        base, raw = _array(ours[place]), _array(theirs[place])
        if base is not None and raw is not None and base.dtype != raw.dtype:
            yield place, f"{base.dtype.name} and {raw.dtype.name} compared by value"


def _difference(ours: Any, theirs: Any, criterion: Criterion) -> str:
    """How two values differ; empty when they do not."""
    arrays = _array(ours), _array(theirs)
    if arrays[0] is None or arrays[1] is None:
        if type(ours) is type(theirs) and _equal(ours, theirs):
            return ""
        return f"{_short(ours)} in first, {_short(theirs)} in second"
    base, raw = arrays[0], arrays[1]
    if base.shape != raw.shape:
        return f"the shapes are {list(base.shape)} and {list(raw.shape)}"
    exact = all(dtype_of(values.dtype).kind == "exact" for values in (base, raw))
    figures = figures_of(of_pair(base, raw, criterion), criterion, exact=exact)
    if criterion.accepts(figures.required_atol):
        return ""
    types = "" if base.dtype == raw.dtype else f" ({base.dtype.name} and {raw.dtype.name})"
    return (
        f"{figures.mismatched} of {base.size} elements are out of tolerance{types}, max abs "
        f"{number(figures.max_abs)}, worst at {list(figures.worst_index or ())}: "
        f"{number(figures.base_value)} in first, {number(figures.raw_value)} in second"
    )


def _array(value: Any) -> NDArray[Any] | None:
    """A tensor, array or number as an array of a type that can be compared; None for all else."""
    framework = framework_of_tensor(value)
    if framework is not None:
        host = host_tensor(framework, value)
        return None if isinstance(host, str) else np.asarray(host.values)
    if not isinstance(value, bool | int | float | complex | np.generic | np.ndarray):
        return None
    array = np.asarray(value)
    try:
        dtype_of(array.dtype)
    except PadiffError:  # texts, objects
        return None
    return array


def _equal(ours: Any, theirs: Any) -> bool:
    try:
        return bool(np.all(ours == theirs))
    except Exception:  # the user's own class
        return False


def _short(value: Any) -> str:
    return clean(" ".join(repr(value).split()), 60)
