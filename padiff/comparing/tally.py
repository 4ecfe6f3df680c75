"""Where the errors of one pair of tensors lie, gathered block by block."""

from collections.abc import Iterable
from functools import reduce
from itertools import combinations
from math import isinf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.comparing.arithmetic import value_of
from padiff.comparing.close_up import CELLS, MAPPED, WORST, CloseUp
from padiff.comparing.statistics import Element

__all__ = ["Tally"]

Axes = tuple[int, ...]
Errors = NDArray[np.float64]

_BITS = 52  # of a float64, below those of its exponent
_LOWEST = -1074  # the exponent of the least float64
_NORMAL = -1022  # that of the least with a leading one, which the bits give as 1
_NONFINITE = 2047  # what the bits of the exponent are of infinity
_ROUNDING = 2.0**-24  # of the largest error: what is less is no error beside it
_SHORT = 16  # indices: an axis of these is taken index by index


class Tally:
    """The largest errors by ranges of axes, how many there are of which size, and the worst.

    Folding the parts of a tensor in any order, and any parts, gives the same.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._widths = tuple(max(1, -(-length // CELLS)) for length in shape)
        ranges = [-(-n // width) for n, width in zip(shape, self._widths, strict=True)]
        several = [axis for axis, length in enumerate(shape) if length > 1]
        self._pairs = list(combinations(several[-MAPPED:], 2))
        kept: list[Axes] = [*self._pairs, *((axis,) for axis in range(len(shape)))]
        self._largest = {axes: np.zeros([ranges[axis] for axis in axes]) for axes in kept}
        self._several = several
        self._counts = np.zeros(_NONFINITE - 1 + _NORMAL - _LOWEST, np.int64)
        self._equal = self._nonfinite = 0
        self._worst: list[tuple[float, Element]] = []

    def add(self, errors: Errors, origin: tuple[int, ...], pair: tuple[Any, Any]) -> None:
        """The errors of a block in C order, which begins at `origin`, and what they are of."""
        largest = float(errors.max())
        if largest == 0:
            self.add_equal(errors.size)
            return
        self._count(errors)
        self._note(errors, origin, pair, largest)
        self._spread(errors, origin)

    def add_equal(self, count: int) -> None:
        """Elements known to have no error."""
        self._equal += count

    @property
    def size(self) -> int:
        """Elements that were added."""
        return self._equal + self._nonfinite + int(self._counts.sum())

    def merge(self, other: "Tally") -> None:
        """Take in what was found in another part of the same tensors."""
        for axes, cells in self._largest.items():
            np.maximum(cells, other._largest[axes], out=cells)
        self._counts += other._counts
        self._equal += other._equal
        self._nonfinite += other._nonfinite
        self._keep(other._worst)

    def close_up(self, order: int) -> CloseUp:
        """All that was found."""
        filled = np.flatnonzero(self._counts)
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (-_LOWEST, 0)
        ndim = len(self._widths)
        axes, cells = self._map()
        return CloseUp(
            order,
            exponent=first + _LOWEST,
            counts=tuple(self._counts[first:last].tolist()),
            equal=self._equal,
            nonfinite=self._nonfinite,
            profiles=tuple(tuple(self._largest[axis,].tolist()) for axis in range(ndim)),
            map_axes=axes,
            map=tuple(map(tuple, cells.tolist())),
            worst=tuple(element for _, element in self._worst),
        )

    def _map(self) -> tuple[Axes, Errors]:
        """The axes in which the error is most concentrated, of equals the last, and its cells."""
        if self._pairs:
            chosen = min(reversed(self._pairs), key=lambda axes: _evenness(self._largest[axes]))
            return chosen, self._largest[chosen]
        if self._several:
            axes = tuple(self._several)
            return axes, self._largest[axes][None]
        return (), np.array([[self._worst[0][0] if self._worst else 0.0]])

    def _count(self, errors: Errors) -> None:
        bits = errors.reshape(-1).view(np.int64) >> _BITS
        counts = np.bincount(bits, minlength=_NONFINITE + 1)
        without = int(counts[0])
        if without:  # or below what has a leading one
            small = errors[(errors > 0) & (errors < 2.0**_NORMAL)]
            without -= small.size
            np.add.at(self._counts, np.frexp(small)[1] - 1 - _LOWEST, 1)
        self._equal += without
        self._nonfinite += int(counts[_NONFINITE])
        self._counts[_NORMAL - _LOWEST :] += counts[1:_NONFINITE]

    def _note(
        self, errors: Errors, origin: tuple[int, ...], pair: tuple[Any, Any], largest: float
    ) -> None:
        """Keep what is among the worst so far."""
        least = self._worst[-1][0] if len(self._worst) == WORST else 0.0
        if largest < least:
            return
        flat = errors.reshape(-1)
        places = np.flatnonzero(flat >= least if least else flat)
        if places.size > WORST:
            found = flat[places]
            tenth = np.partition(found, -WORST)[-WORST]
            above = places[found > tenth]
            places = np.concatenate([above, places[found == tenth][: WORST - above.size]])
        new = []
        for place in places.tolist():
            index = tuple(map(int, np.unravel_index(place, errors.shape)))
            there = tuple(o + i for o, i in zip(origin, index, strict=True))
            new.append((float(flat[place]), Element(there, *(value_of(s[index]) for s in pair))))
        self._keep(new)

    def _keep(self, more: Iterable[tuple[float, Element]]) -> None:
        ranked = sorted([*self._worst, *more], key=lambda found: (-found[0], found[1].index))
        self._worst = ranked[:WORST]

    def _spread(self, errors: Errors, origin: tuple[int, ...]) -> None:
        """Raise the cells in which the block lies to the largest of its errors in each."""
        cells = errors
        for axis, (start, width) in enumerate(zip(origin, self._widths, strict=True)):
            cells = _in_ranges(cells, axis, start % width, width)
        begins = [start // width for start, width in zip(origin, self._widths, strict=True)]
        held: dict[Axes, Errors] = {(): cells}
        for axes, largest in self._largest.items():
            others = (a for a, n in enumerate(cells.shape) if n > 1 and a not in axes)
            found = _without(held, tuple(others))
            there = tuple(slice(begins[a], begins[a] + found.shape[a]) for a in axes)
            part = largest[there]
            np.maximum(part, found.reshape(part.shape), out=part)


def _without(held: dict[Axes, Errors], axes: Axes) -> Errors:
    """The largest along some axes, taken from what others that leave out the first ones share."""
    if axes not in held:
        held[axes] = _largest(_without(held, axes[:-1]), axes[-1])
    return held[axes]


def _in_ranges(values: Errors, axis: int, offset: int, width: int) -> Errors:
    """The largest in each range of an axis, of which `offset` indices of the first are not here."""
    length = values.shape[axis]
    if width == 1:
        return values
    if offset + length <= width:
        return _largest(values, axis)
    first, last = -offset % width, length - (offset + length) % width
    before, whole, after = np.split(values, [first, last], axis)
    parts = [_largest(part, axis) for part in (before, after) if part.size]
    if whole.size:
        shape = (*whole.shape[:axis], -1, width, *whole.shape[axis + 1 :])
        parts.insert(bool(first), _largest(whole.reshape(shape), axis + 1).squeeze(axis + 1))
    return np.concatenate(parts, axis)


def _largest(values: Errors, axis: int) -> Errors:
    """`values.max(axis, keepdims=True)`, which is slow where it has to go in short runs."""
    if 1 < prod(values.shape[axis + 1 :]) < 2 * _SHORT:
        while values.shape[axis] > _SHORT:
            half = values.shape[axis] // 2
            ours, theirs, rest = np.split(values, [half, 2 * half], axis)
            folded = np.maximum(ours, theirs)
            if rest.size:
                first = folded[(*[slice(None)] * axis, slice(0, 1))]
                np.maximum(first, rest, out=first)
            values = folded
    if values.shape[axis] > _SHORT:
        largest: Errors = values.max(axis, keepdims=True)
        return largest
    return reduce(np.maximum, np.split(values, values.shape[axis], axis))


def _evenness(cells: Errors) -> float:
    """The mean power of two of cells beside their largest; of infinite ones how many there are.

    Of the plain mean too much is made by how large the errors in the wrong place are, where it
    matters whether there are any beside it.
    """
    largest = float(cells.max())
    if largest == 0:
        return 0.0
    if isinf(largest):
        return float(np.isinf(cells).mean())
    return float(np.log2(np.maximum(cells / largest, _ROUNDING)).mean())
