"""What the elements of two tensors say of whether they are the same, and how they lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import permutations
from math import isclose, prod

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType, dtype_named
from padiff.store.array import Array
from padiff.store.chunks import Selection, blocks
from padiff.store.stats import PartialStats, finish, merge, of_contiguous
from padiff.tree import TensorStats

__all__ = ["Tensor", "axes_between", "is_alike", "is_telling", "part_stats"]

_BLOCK = 2**20  # elements at a time
_SAMPLES = 24
_MOST_AXES = 5  # of which all orders are tried
_FEWEST = 4  # elements, of which fewer are the same by chance


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named tensor: its place in the order of its side, figures of it, and how to read it."""

    name: str
    order: int
    shape: tuple[int, ...]
    dtype: str
    buffer: bool
    stats: TensorStats
    open: Callable[[], Array]

    @property
    def size(self) -> int:
        return prod(self.shape)


def is_telling(tensor: Tensor) -> bool:
    """Whether no other tensor has such elements by chance, as all do that begin with zeros."""
    stats = tensor.stats
    return tensor.size >= _FEWEST and stats.min is not None and stats.min != stats.max


def is_alike(ours: TensorStats, theirs: TensorStats, base: str, raw: str) -> bool:
    """Whether two tensors of these dtypes may have the same elements, in any order."""
    if (ours.nan, ours.inf) != (theirs.nan, theirs.inf):
        return False
    near = max(_rounding(dtype_named(base)), _rounding(dtype_named(raw)))
    pairs = [(getattr(ours, name), getattr(theirs, name)) for name in ("min", "max", "l2")]
    return all(
        a is b or (a is not None and b is not None and isclose(a, b, rel_tol=near))
        for a, b in pairs
    )


def _rounding(dtype: DType) -> float:
    """What a number may be off by once it was stored in a type; sums are in double precision."""
    return max(1e-9, dtype.eps)


def part_stats(tensor: Tensor, count: int, along: int) -> list[TensorStats]:
    """The figures of each of `count` equal parts of an axis."""
    array, length = tensor.open(), tensor.shape[along] // count
    whole = [slice(0, n) for n in tensor.shape]
    found = []
    for at in range(count):
        part = list(whole)
        part[along] = slice(at * length, (at + 1) * length)
        found.append(finish(reduce(merge, map(of_contiguous, _read(array, part)), PartialStats())))
    return found


def _read(array: Array, part: list[slice]) -> Iterator[NDArray[np.generic]]:
    shape = tuple(along.stop - along.start for along in part)
    for inside in blocks(shape, shape, _BLOCK):
        selection: Selection = tuple(
            slice(a.start + b.start, a.start + b.stop) for a, b in zip(part, inside, strict=True)
        )
        yield np.ascontiguousarray(array.read(selection))


def axes_between(
    base: Tensor, raw: Tensor, share: Selection | None = None
) -> tuple[int, ...] | None:
    """The order of raw's axes by which its elements are base's; None where there is none.

    `share` is the part of base that is compared, all of it where it is None. A few elements are
    looked at: of the orders that fit the shape, the first by which these agree is taken.
    """
    part = share or tuple(slice(0, n) for n in base.shape)
    shape = tuple(along.stop - along.start for along in part)
    if len(shape) != len(raw.shape):
        return None
    ours, theirs = base.open(), raw.open()
    near = max(_rounding(dtype_named(base.dtype)), _rounding(dtype_named(raw.dtype)))
    random = np.random.default_rng(0)
    places = [tuple(int(random.integers(0, n)) for n in shape) for _ in range(_SAMPLES)]
    identity = tuple(range(len(shape)))
    orders = permutations(identity) if len(shape) <= _MOST_AXES else iter([identity])
    for axes in orders:
        if tuple(raw.shape[axis] for axis in axes) != shape:
            continue
        if all(_agree(ours, theirs, part, axes, place, near) for place in places):
            return axes
    return None


def _agree(
    ours: Array,
    theirs: Array,
    part: Selection,
    axes: tuple[int, ...],
    place: tuple[int, ...],
    near: float,
) -> bool:
    """Whether one element of base is the one of raw, whose axes come in another order."""
    other = [0] * len(axes)
    for at, axis in zip(place, axes, strict=True):
        other[axis] = at
    a = ours[tuple(along.start + at for along, at in zip(part, place, strict=True))]
    b = theirs[tuple(other)]
    return bool(np.isclose(np.float64(a), np.float64(b), rtol=10 * near, atol=0, equal_nan=True))
