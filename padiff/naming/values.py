"""What the elements of two tensors say of whether they are the same, and how they lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, reduce
from itertools import permutations
from math import isclose, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import dtype_named
from padiff.store.array import Array
from padiff.store.chunks import Selection, blocks
from padiff.store.stats import PartialStats, finish, merge, of_contiguous
from padiff.tree import TensorStats

__all__ = [
    "Tensor",
    "axes_between",
    "is_alike",
    "is_distinctive",
    "is_telling",
    "may_be_equal",
    "nearest_axes",
    "rounding",
    "selection_of",
    "stats_of",
]

_BLOCK = 2**20  # elements at a time
_MOST_AXES = 5  # of which all orders are tried
_FEWEST = 4  # elements, of which fewer are the same by chance
_MANY = 16  # that differ, or stand along an axis: fewer are another tensor's by design or by chance
_LOOKED_AT = 2**12  # elements
_CORNER = 2**16  # elements
_NEARER = 2  # times, of which unrelated ones are far
_STEADY = 3  # times as often as not do numbers of a table go on as they went


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One named tensor: its place in the order of its side, figures of it, and how to read it.

    Of what was recorded as figures alone there is nothing to `open`.
    """

    name: str
    order: int
    shape: tuple[int, ...]
    dtype: str
    buffer: bool
    stats: TensorStats
    open: Callable[[], Array] | None

    @property
    def size(self) -> int:
        return prod(self.shape)


def is_telling(tensor: Tensor) -> bool:
    """Whether it is worth to look for its elements elsewhere, by its figures.

    Of whole numbers, as positions and counts are, and of few or equal ones, nothing is concluded.
    """
    stats = tensor.stats
    known = stats.min is not None and stats.min != stats.max
    return known and tensor.size >= _FEWEST and dtype_named(tensor.dtype).kind != "exact"


def is_distinctive(tensor: Tensor) -> bool:
    """Whether no other tensor has its elements by chance or by design: many differ, in no order.

    One-hot vectors and masks have few; positions, frequencies, grids and waves go on as they went,
    along an axis or as they are read, where of random numbers two of three turn. It looks at what
    stands in the middle.
    """
    if not is_telling(tensor) or tensor.open is None:
        return False
    shape = [n for n in tensor.shape if n > 1]
    most = round(_LOOKED_AT ** (1 / len(shape)))
    middle = tuple(slice((n - min(n, most)) // 2, (n + min(n, most)) // 2) for n in tensor.shape)
    values = tensor.open().read(middle).astype(np.complex128).real.squeeze()
    if len(np.unique(values)) < _MANY:
        return False
    along = [np.moveaxis(values, axis, 0) for axis, n in enumerate(values.shape) if n >= _MANY]
    return all(map(_turns, [values.ravel(), *along]))


def _turns(values: NDArray[np.float64]) -> bool:
    """Whether numbers go up and down along the first axis."""
    with np.errstate(all="ignore"):
        steps = np.sign(np.diff(values, axis=0))
        both = steps[1:] * steps[:-1]
    turns = int(np.count_nonzero(both < 0))
    return turns > 0 and int(np.count_nonzero(both > 0)) <= _STEADY * turns


def is_alike(ours: TensorStats, theirs: TensorStats, base: str, raw: str) -> bool:
    """Whether two tensors of these dtypes may have the same elements, in any order."""
    if (ours.nan, ours.inf) != (theirs.nan, theirs.inf):
        return False
    near = max(rounding(base), rounding(raw))
    pairs = ((ours.min, theirs.min), (ours.max, theirs.max), (ours.l2, theirs.l2))
    return all(
        a is b or (a is not None and b is not None and isclose(a, b, rel_tol=near))
        for a, b in pairs
    )


def may_be_equal(base: Tensor, raw: Tensor) -> bool:
    """Whether the figures of two tensors are the same."""
    return is_alike(base.stats, raw.stats, base.dtype, raw.dtype)


@cache
def rounding(dtype: str) -> float:
    """What a number may be off by once it was stored in a type; sums are in double precision."""
    return max(1e-9, dtype_named(dtype).eps)


def selection_of(tensor: Tensor, start: int, stop: int, along: int) -> Selection:
    """A part of a tensor: all that lies from one place to another of an axis."""
    return tuple(
        slice(start, stop) if axis == along else slice(0, n) for axis, n in enumerate(tensor.shape)
    )


def stats_of(tensor: Tensor, selection: Selection) -> TensorStats:
    """The figures of what is selected."""
    assert tensor.open is not None
    read = _read(tensor.open(), selection)
    return finish(reduce(merge, map(of_contiguous, read), PartialStats()))


def _read(array: Array, selection: Selection) -> Iterator[NDArray[np.generic]]:
    shape = tuple(along.stop - along.start for along in selection)
    for inside in blocks(shape, shape, _BLOCK):
        yield np.ascontiguousarray(array.read(_within(selection, inside)))


def axes_between(
    base: Tensor, raw: Tensor, selection: Selection | None = None
) -> tuple[int, ...] | None:
    """The order of raw's axes by which all its elements are base's; None where none is known.

    `selection` is what of base is compared, all of it where it is None. Of two types the
    elements are the same once they are rounded to the coarser.
    """
    selection = selection or _all_of(base)
    shape = tuple(along.stop - along.start for along in selection)
    if len(shape) != len(raw.shape) or base.open is None or raw.open is None:
        return None
    coarser = max((base.dtype, raw.dtype), key=rounding)
    identity = tuple(range(len(shape)))
    orders = permutations(identity) if len(shape) <= _MOST_AXES else iter([identity])
    for axes in orders:
        if tuple(raw.shape[axis] for axis in axes) == shape and _equal(
            base.open(), raw.open(), selection, axes, dtype_named(coarser).numpy
        ):
            return axes
    return None


def nearest_axes(
    base: Tensor, raw: Tensor, selections: tuple[Selection, Selection] | None = None
) -> tuple[int, ...] | None:
    """The order of raw's axes by which its elements are near to base's; None where none is.

    As where one was trained on, or rounded. It looks at the first elements along each axis.
    """
    if base.open is None or raw.open is None or len(base.shape) != len(raw.shape):
        return None
    selected = selections or (_all_of(base), _all_of(raw))
    shapes = [tuple(along.stop - along.start for along in each) for each in selected]
    orders = [
        axes
        for axes in permutations(range(min(len(shapes[0]), _MOST_AXES + 1)))
        if tuple(shapes[1][axis] for axis in axes) == shapes[0]
    ]
    ours, theirs = _corner(base.open(), selected[0]), _corner(raw.open(), selected[1])
    with np.errstate(all="ignore"):
        apart = [float(np.linalg.norm(ours - theirs.transpose(axes))) for axes in orders]
        size = float(np.linalg.norm(ours))
    if not apart:
        return None
    best = apart.index(min(apart))
    others = [*apart[:best], *apart[best + 1 :], size]
    return orders[best] if apart[best] * _NEARER < min(others) else None


def _corner(array: Array, selection: Selection) -> NDArray[np.complex128]:
    most = round(_CORNER ** (1 / max(1, len(selection))))
    begin = (slice(0, min(along.stop - along.start, most)) for along in selection)
    return array.read(_within(selection, tuple(begin))).astype(np.complex128)  # of all types


def _equal(
    ours: Array,
    theirs: Array,
    selection: Selection,
    axes: tuple[int, ...],
    coarser: np.dtype[Any],
) -> bool:
    """Whether all elements are the same; it ends with the first block that has another."""
    shape = tuple(along.stop - along.start for along in selection)
    for inside in blocks(shape, shape, _BLOCK):
        of_raw = [slice(0)] * len(axes)
        for along, axis in zip(inside, axes, strict=True):
            of_raw[axis] = along
        a = ours.read(_within(selection, inside))
        b = theirs.read(tuple(of_raw)).transpose(axes)
        with np.errstate(all="ignore"):
            same = a.astype(coarser) == b.astype(coarser)
        if not (same | ((a != a) & (b != b))).all():
            return False
    return True


def _all_of(tensor: Tensor) -> Selection:
    return tuple(slice(0, n) for n in tensor.shape)


def _within(selection: Selection, inside: Selection) -> Selection:
    """What is selected of a selection."""
    return tuple(
        slice(a.start + b.start, a.start + b.stop) for a, b in zip(selection, inside, strict=True)
    )
