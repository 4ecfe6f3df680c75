"""Families of tensors, of names that differ in their numbers alone, which are paired as one."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from padiff.dtypes import dtype_named
from padiff.naming.likeness import split_role
from padiff.naming.values import Tensor

__all__ = ["GRAINS", "Profile", "Unit", "bundles", "canonical", "families", "is_sorted", "natural"]

Profile = tuple[tuple[int, ...], ...]

# What of a name may be the number of a layer: a part that is one; any digits; nothing.
GRAINS = (re.compile(r"(?<![^.])\d+(?![^.])"), re.compile(r"\d+"), re.compile(r"(?!)"))
_ROLES = (("q", "k", "v"), ("k", "v"), ("gate", "up"))
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, eq=False)
class Unit:
    """Tensors of one side by the numbers in their names, for which `#` stands in `name`.

    Each of `columns` is a family, in the order of its numbers. Of several, of one length, the i-th
    tensors may together be one of the other side; `along` is the axis on which.
    """

    name: str
    columns: tuple[tuple[Tensor, ...], ...]
    along: int = 0

    @cached_property
    def profile(self) -> Profile:
        """The shape of each member, the shorter axis of a matrix first, as it may be transposed."""
        return tuple(canonical(_joined(held, self.along)) for held in self.members)

    @property
    def members(self) -> list[tuple[Tensor, ...]]:
        """The tensors of each number."""
        return list(zip(*self.columns, strict=True))

    @property
    def exact(self) -> bool:
        """Whether they hold whole numbers."""
        return dtype_named(self.columns[0][0].dtype).kind == "exact"

    @property
    def order(self) -> float:
        """Where it stands in its side."""
        held = [tensor.order for column in self.columns for tensor in column]
        return sum(held) / len(held)


def families(tensors: Iterable[Tensor], grain: re.Pattern[str]) -> list[Unit]:
    """The tensors by what their names are but for numbers."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        found[grain.sub("#", tensor.name)].append(tensor)
    return [
        Unit(name, (tuple(sorted(held, key=lambda t: natural(t.name))),))
        for name, held in found.items()
    ]


def bundles(units: Sequence[Unit], *, by_role: bool) -> Iterator[tuple[Unit, list[Unit]]]:
    """Families that may be one on the other side, and each of them.

    They are queries, keys and values by their names; or any two or three, in their order, of which
    the names differ in a word.
    """
    for name, parts in _by_role(units) if by_role else _in_order(units):
        if len({len(part.columns[0]) for part in parts}) == 1:
            columns = tuple(part.columns[0] for part in parts)
            for along in _joining(columns):
                yield Unit(name, columns, along), parts


def _by_role(units: Sequence[Unit]) -> Iterator[tuple[str, list[Unit]]]:
    found: dict[str, dict[str, Unit]] = defaultdict(dict)
    for unit in units:
        split = split_role(unit.name)
        if split is not None:
            found[split[0]].setdefault(split[1], unit)
    for name, held in found.items():
        for roles in _ROLES:
            if all(role in held for role in roles):
                yield name, [held[role] for role in roles]


def _in_order(units: Sequence[Unit]) -> Iterator[tuple[str, list[Unit]]]:
    found: dict[str, list[Unit]] = defaultdict(list)
    for unit in sorted(units, key=lambda unit: unit.order):
        parts = unit.name.split(".")
        for at in range(len(parts) - 1):
            found[".".join((*parts[:at], "@", *parts[at + 1 :]))].append(unit)
    yield from ((name, held) for name, held in found.items() if 2 <= len(held) <= 3)


def is_sorted(tensors: Sequence[Tensor]) -> bool:
    """Whether names are in the order of the alphabet, so that it says nothing of the layers.

    What a layer has stands together; safetensors sorts by type before it sorts by name.
    """
    held: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    seen: set[tuple[str, ...]] = set()
    for tensor in tensors:
        parts = tuple(tensor.name.split("."))
        for depth, part in enumerate(parts):
            if parts[: depth + 1] not in seen:
                seen.add(parts[: depth + 1])
                is_last = depth == len(parts) - 1
                held[".".join(parts[:depth]), tensor.dtype, is_last].append(part)
    return all(names in (sorted(names), sorted(names, key=natural)) for names in held.values())


def natural(name: str) -> list[tuple[int, str]]:
    """What sorts names by the numbers in them: `layer.9` before `layer.10`."""
    pieces = _DIGITS.split(name)
    numbers = [digits.lstrip("0") for digits in _DIGITS.findall(name)]
    found = [(0, pieces[0])]
    for number, piece in zip(numbers, pieces[1:], strict=True):
        found += [(len(number), number), (0, piece)]
    return found


def _joining(columns: Sequence[Sequence[Tensor]]) -> list[int]:
    """The axes along which all rows of columns can be put together."""
    return [
        along
        for along in (0, 1)
        if all(
            len({len(t.shape) for t in row}) == 1
            and along < len(row[0].shape) <= 2
            and len({t.shape[:along] + t.shape[along + 1 :] for t in row}) == 1
            for row in zip(*columns, strict=True)
        )
    ]


def _joined(row: Sequence[Tensor], along: int) -> tuple[int, ...]:
    first = row[0].shape
    if len(row) == 1:
        return first
    return (*first[:along], sum(t.shape[along] for t in row), *first[along + 1 :])


def canonical(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The same for a matrix and its transpose."""
    return tuple(sorted(shape)) if len(shape) == 2 else shape
