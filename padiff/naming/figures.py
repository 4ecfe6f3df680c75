"""Tensors by their figures: those that may be equal to one are found without asking each."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from padiff.naming.values import Tensor, is_alike, is_telling, rounding
from padiff.tree import TensorStats

__all__ = ["Figures", "alike_groups", "coarsest"]

_Cell = tuple[int | float, ...]


def coarsest(tensors: Iterable[Tensor]) -> float:
    """What a number may be off by in the coarsest of their types."""
    return max((rounding(dtype) for dtype in {tensor.dtype for tensor in tensors}), default=0.0)


class Figures:
    """Tensors in cells so wide that what is alike is in the same cell or in the next.

    `near` is by how much numbers may differ that are the same: the `coarsest` of all that is held
    or asked for. Tensors that are not telling are left out.
    """

    def __init__(self, tensors: Iterable[Tensor], near: float) -> None:
        self._width = math.inf if near >= 1 else -math.log1p(-near) * 1.001
        self._cells: dict[_Cell, list[Tensor]] = defaultdict(list)
        self._ends: tuple[set[_Cell], set[_Cell]] = set(), set()
        for tensor in tensors:
            if is_telling(tensor):
                self._cells[self._cell(tensor.size, tensor.stats)].append(tensor)
                for ends, end in zip(self._ends, (tensor.stats.min, tensor.stats.max), strict=True):
                    ends.add(self._steps(end))

    def alike(self, size: int, stats: TensorStats, dtype: str) -> list[Tensor]:
        """What may be a tensor of that size, those figures and that type."""
        return [t for cell in self._around(size, stats) for t in self._fit(cell, stats, dtype)]

    def take(self, tensor: Tensor) -> list[Tensor]:
        """The same for a tensor; what is found is held no longer."""
        found = []
        for cell in self._around(tensor.size, tensor.stats):
            fit = self._fit(cell, tensor.stats, tensor.dtype)
            if fit:
                taken = set(map(id, fit))
                self._cells[cell] = [t for t in self._cells[cell] if id(t) not in taken]
                found += fit
        return found

    def have_ends_of(self, stats: TensorStats) -> bool:
        """Whether there are tensors with the same least element, and with the same greatest."""
        return all(
            any(cell in held for cell in _next(self._steps(end)))
            for held, end in zip(self._ends, (stats.min, stats.max), strict=True)
        )

    def _fit(self, cell: _Cell, stats: TensorStats, dtype: str) -> list[Tensor]:
        held = self._cells.get(cell, ())
        return [t for t in held if is_alike(stats, t.stats, dtype, t.dtype)]

    def _around(self, size: int, stats: TensorStats) -> Iterator[_Cell]:
        figures = (stats.min, stats.max, stats.l2)
        for near in product(*(_next(self._steps(figure)) for figure in figures)):
            yield (size, *(step for cell in near for step in cell))

    def _cell(self, size: int, stats: TensorStats) -> _Cell:
        return (size, *self._steps(stats.min), *self._steps(stats.max), *self._steps(stats.l2))

    def _steps(self, figure: float | None) -> _Cell:
        """The sign of a number, and in which step of its logarithm it is."""
        if not figure or not math.isfinite(figure):
            return (0, 0.0)
        return (1 if figure > 0 else -1, math.floor(math.log(abs(figure)) / self._width))


def _next(steps: _Cell) -> list[_Cell]:
    sign, step = steps
    return [(sign, step + by) for by in ((-1, 0, 1) if sign else (0,))]


def alike_groups(
    base: Sequence[Tensor], raw: Sequence[Tensor]
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Tensors of both sides that may have the same elements.

    What is near to one of a group is in it, so none is alike to one of another.
    """
    near = coarsest((*base, *raw))
    sides = Figures(base, near), Figures(raw, near)
    for tensor in filter(is_telling, base):
        group: tuple[list[Tensor], list[Tensor]] = ([], [])
        asked = [tensor]
        while asked:
            one = asked.pop()
            for held, side in zip(group, sides, strict=True):
                found = side.take(one)
                held += found
                asked += found
        if all(group):
            yield group
