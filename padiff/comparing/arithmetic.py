"""The figures of one pair of tensors, folded over blocks that stay in the processor's cache.

All arithmetic is in float64, whatever the tensors hold. Elements of which either side is NaN or
infinite are counted and left out of every other figure.
"""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.comparing.criterion import Criterion
from padiff.comparing.statistics import PairStatistics, Value, Worst, merge, of_equal
from padiff.dtypes import dtype_of
from padiff.store.base import Selection
from padiff.store.chunks import blocks

__all__ = ["Scratch", "of_pair"]

# Elements. Small enough that a block stays in the last-level cache from pass to pass, large enough
# that threads seldom meet at the lock of the interpreter, which each takes between two passes.
_BLOCK = 2**18

Real = NDArray[np.float64]


class Scratch:
    """The buffers one thread needs to compare any pair; made once, used for every block."""

    __slots__ = ("base", "raw", "spare")

    def __init__(self) -> None:
        # twice the block: a complex number is two of float64
        self.base: Real = np.empty(2 * _BLOCK)
        self.raw: Real = np.empty(2 * _BLOCK)
        self.spare: Real = np.empty(2 * _BLOCK)


def of_pair(
    base: NDArray[Any],
    raw: NDArray[Any],
    criterion: Criterion,
    scratch: Scratch,
    origin: tuple[int, ...] = (),
) -> PairStatistics:
    """The figures of two arrays of one shape and any strides, of any types in the table.

    `origin` is where the arrays lie in the tensors they are part of, for the index of the worst
    element.
    """
    origin = origin or (0,) * base.ndim
    atol, rtol = (0.0, 0.0) if _both_exact(base, raw) else (criterion.atol, criterion.rtol)
    total = PairStatistics()
    with np.errstate(all="ignore"):  # NaN, infinities and division by zero are expected here
        for selection in _selections(base, raw):
            part: Any = (*selection, ...)  # the dots keep a 0-d array an array
            block = _Block(base[part], raw[part], scratch)
            corner = tuple(o + along.start for o, along in zip(origin, selection, strict=True))
            total = merge(total, block.figures(atol, rtol, total, corner))
    return total


def _selections(base: NDArray[Any], raw: NDArray[Any]) -> Iterable[Selection]:
    """The blocks to cut the arrays into; a small one needs no cutting."""
    if 0 < base.size <= _BLOCK and _in_c_order(base) and _in_c_order(raw):
        return (tuple(slice(0, length) for length in base.shape),)
    return blocks(base.shape, _tile(base, raw), _BLOCK)


def _tile(base: NDArray[Any], raw: NDArray[Any]) -> tuple[int, ...]:
    """The shape to cut into blocks: all of it, unless the two sides order their axes differently.

    Then as near to a cube as it will go, so that neither side is read one element a cache line.
    """
    shape = tuple(max(1, length) for length in base.shape)
    if _in_c_order(base) and _in_c_order(raw):
        return shape
    tile = list(shape)
    left = _BLOCK
    for done, axis in enumerate(sorted(range(len(shape)), key=shape.__getitem__)):
        side = max(1, int(left ** (1 / (len(shape) - done))))
        tile[axis] = min(shape[axis], side)
        left //= tile[axis]
    return tuple(tile)


def _in_c_order(values: NDArray[Any]) -> bool:
    strides = [
        step for step, length in zip(values.strides, values.shape, strict=True) if length > 1
    ]
    return all(a >= b for a, b in pairwise(strides))


class _Block:
    """One block of a pair, widened to float64 or complex128 in the scratch buffers."""

    __slots__ = ("base", "base_source", "errors", "raw", "raw_source", "scratch")

    def __init__(self, base: NDArray[Any], raw: NDArray[Any], scratch: Scratch) -> None:
        self.base_source, self.raw_source, self.scratch = base, raw, scratch
        wide = np.complex128 if "c" in (base.dtype.kind, raw.dtype.kind) else np.float64
        self.base = scratch.base.view(wide)[: base.size]
        self.raw = scratch.raw.view(wide)[: base.size]
        np.copyto(self.base.reshape(base.shape), base)
        np.copyto(self.raw.reshape(base.shape), raw)
        self.errors = scratch.spare[: base.size]
        if max(_integer_size(base), _integer_size(raw)) == 8 and _both_exact(base, raw):
            _wide_integer_errors(base, raw, self.errors)
        else:
            difference = scratch.spare.view(wide)[: base.size]
            np.absolute(np.subtract(self.raw, self.base, out=difference), out=self.errors)

    def figures(
        self, atol: float, rtol: float, known: PairStatistics, corner: tuple[int, ...]
    ) -> PairStatistics:
        """Fold the block; extremes that cannot top the `known` ones are not looked for."""
        at = int(self.errors.argmax())
        greatest = float(self.errors[at])
        agreeing = nonfinite = 0
        if not math.isfinite(greatest):  # so if an element is not finite: no need to ask each
            agreeing, parted = self._drop_nonfinite()
            nonfinite = parted.size
            greatest = float(self.errors.max())
            at = int(parted[0]) if nonfinite else int(self.errors.argmax())
        finite = self.errors.size - agreeing - nonfinite
        # complex numbers as pairs of real ones: of products, the real part is wanted
        base, raw = self.base.view(np.float64), self.raw.view(np.float64)
        squares_base = _dot(base, base)
        if greatest == 0 and not nonfinite:
            sizes = np.absolute(self.base, out=self.errors)
            return of_equal(finite, agreeing, float(np.add.reduce(sizes)), squares_base)
        squares_raw, product = _dot(raw, raw), _dot(base, raw)
        worst = self._worst(at, corner)
        # from here on the buffers of raw and base hold abs(base) and whatever is needed last
        sizes = np.absolute(self.base, out=self.scratch.raw[: self.base.size])
        work = self.scratch.base[: self.base.size]
        max_rel, excess, mismatched = 0.0, 0.0, 0
        if not greatest <= known.max_rel * float(sizes.min()):
            max_rel = float(np.fmax.reduce(np.divide(self.errors, sizes, out=work)))
        if greatest > min(atol, known.excess):
            np.subtract(self.errors, np.multiply(sizes, rtol, out=work), out=work)
            most = float(work.max())
            # NaN where error and tolerance are both too large for float64
            excess = math.inf if math.isnan(most) else max(0.0, most)
            if excess > atol:
                mismatched = work.size - int(np.count_nonzero(work <= atol))
        return PairStatistics(
            finite=finite,
            agreeing=agreeing,
            nonfinite=nonfinite,
            mismatched=mismatched + nonfinite,
            max_abs=greatest,
            max_rel=0.0 if math.isnan(max_rel) else max_rel,
            excess=excess,
            sum_abs=float(np.add.reduce(self.errors)),
            sum_base=float(np.add.reduce(sizes)),
            squares=_dot(self.errors, self.errors),
            squares_base=squares_base,
            squares_raw=squares_raw,
            product=product,
            worst=worst,
        )

    def _drop_nonfinite(self) -> tuple[int, NDArray[np.intp]]:
        """Count what both sides have alike, say where they part, and let 0 stand for them all."""
        dropped = ~(np.isfinite(self.base) & np.isfinite(self.raw))
        alike = (self.base == self.raw) | (np.isnan(self.base) & np.isnan(self.raw))
        for values in (self.base, self.raw, self.errors):
            values[dropped] = 0
        return int(np.count_nonzero(dropped & alike)), np.flatnonzero(dropped & ~alike)

    def _worst(self, flat: int, corner: tuple[int, ...]) -> Worst:
        index: list[int] = []
        for length in reversed(self.base_source.shape):
            flat, place = divmod(flat, length)
            index.insert(0, place)
        element = tuple(index)
        return Worst(
            tuple(i + start for i, start in zip(index, corner, strict=True)),
            _value(self.base_source[element]),
            _value(self.raw_source[element]),
        )


def _dot(a: Real, b: Real) -> float:
    """The inner product, by BLAS, which lets other threads run meanwhile.

    It would start threads of its own as well: `stream` holds it to one.
    """
    return float(np.dot(a, b))


def _both_exact(base: NDArray[Any], raw: NDArray[Any]) -> bool:
    return dtype_of(base.dtype).kind == dtype_of(raw.dtype).kind == "exact"


def _integer_size(values: NDArray[Any]) -> int:
    return values.dtype.itemsize if values.dtype.kind in "iu" else 0


def _wide_integer_errors(base: NDArray[Any], raw: NDArray[Any], out: Real) -> None:
    """Absolute differences that are zero only where the integers are equal.

    Float64 cannot tell neighbours beyond 2**53 apart.
    """
    shaped = out.reshape(base.shape)
    common = np.result_type(base, raw)
    if common.kind in "iu":
        # both bounds wrap around alike, so their difference as unsigned is the true one
        high = np.maximum(base, raw, dtype=common).astype(np.uint64)
        np.copyto(shaped, high - np.minimum(base, raw, dtype=common).astype(np.uint64))
    else:  # uint64 beside a signed type
        np.absolute(np.subtract(raw, base, dtype=np.float64), out=shaped)
        np.maximum(shaped, np.not_equal(base, raw), out=shaped)


def _value(element: Any) -> Value:
    kind = dtype_of(element.dtype).kind
    if kind == "exact":
        return int(element)
    return complex(element) if kind == "complex" else float(element)
