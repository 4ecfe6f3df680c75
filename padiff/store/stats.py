"""Figures of one tensor, folded over blocks that stay in the processor's cache."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import dtype_of
from padiff.tree import TensorStats

__all__ = ["PartialStats", "finish", "merge", "of_contiguous"]

# Elements. Smaller blocks would stay in a nearer cache, but then two threads spend their time on
# handing each other the interpreter's lock.
_BLOCK = 2**18
# No BLAS starts threads of its own, under those of the writer, for products this small.
_ROWS, _COLUMNS = 64, 128
_ONES = np.ones(_COLUMNS)


@dataclass(frozen=True, slots=True)
class PartialStats:
    """Sums over some elements of a tensor; `count` and all else are over the finite ones."""

    count: int = 0
    min: float = math.inf
    max: float = -math.inf
    sum: float = 0.0
    sum_abs: float = 0.0
    sum_squares: float = 0.0
    nan: int = 0
    inf: int = 0


def merge(a: PartialStats, b: PartialStats) -> PartialStats:
    """The figures of both parts together."""
    return PartialStats(
        count=a.count + b.count,
        min=min(a.min, b.min),
        max=max(a.max, b.max),
        sum=a.sum + b.sum,
        sum_abs=a.sum_abs + b.sum_abs,
        sum_squares=a.sum_squares + b.sum_squares,
        nan=a.nan + b.nan,
        inf=a.inf + b.inf,
    )


def of_contiguous(values: NDArray[Any]) -> PartialStats:
    """The figures of a C-contiguous array of any type in the table."""
    # signalling NaNs make casts complain, squares of large numbers overflow: both are told by
    # the figures themselves
    with np.errstate(invalid="ignore", over="ignore"):
        return _of_blocks(values)


def _of_blocks(values: NDArray[Any]) -> PartialStats:
    flat = values.reshape(-1)
    complex_values = dtype_of(flat.dtype).kind == "complex"
    # NumPy finds the least of its own floats faster than of their copies in double precision
    native = flat.dtype.kind == "f"
    scratch = np.empty(min(_BLOCK, flat.size), np.float64)
    low, high, total, total_abs, squares, nan, inf = math.inf, -math.inf, 0.0, 0.0, 0.0, 0, 0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        real = scratch[: block.size]
        if complex_values:
            # in double precision, lest finite parts have an infinite absolute value
            np.abs(block.astype(np.complex128, copy=False), out=real)
        else:
            real[...] = block
        least, most = _range(block if native else real)
        if not (math.isfinite(least) and math.isfinite(most)):
            missing = int(np.count_nonzero(np.isnan(real)))
            nan += missing
            finite = real[np.isfinite(real)]
            inf += real.size - finite.size - missing
            if finite.size == 0:
                continue
            real = finite
            least, most = _range(real)
        low, high = min(low, least), max(high, most)
        part = _sum(real)
        total += part
        squares += _sum_of_squares(real)
        total_abs += _sum(np.abs(real, out=real)) if least < 0 < most else abs(part)
    count = flat.size - nan - inf
    return PartialStats(count, low, high, total, total_abs, squares, nan, inf)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    return float(np.minimum.reduce(values)), float(np.maximum.reduce(values))


def _sum(real: NDArray[np.float64]) -> float:
    whole = real.size // (_ROWS * _COLUMNS) * _ROWS * _COLUMNS
    parts = real[:whole].reshape(-1, _ROWS, _COLUMNS) @ _ONES
    return float(np.add.reduce(parts, axis=None)) + float(np.add.reduce(real[whole:]))


def _sum_of_squares(real: NDArray[np.float64]) -> float:
    length = _ROWS * _COLUMNS
    whole = real.size // length * length
    rows, rest = real[:whole].reshape(-1, length), real[whole:]
    return float(np.add.reduce(np.vecdot(rows, rows))) + float(np.vecdot(rest, rest))


def finish(part: PartialStats) -> TensorStats:
    """The record that goes into the layer tree."""
    if part.count == 0:
        return TensorStats(None, None, None, None, None, part.nan, part.inf)
    return TensorStats(
        min=part.min,
        max=part.max,
        mean=part.sum / part.count,
        mean_abs=part.sum_abs / part.count,
        l2=math.sqrt(part.sum_squares),
        nan=part.nan,
        inf=part.inf,
    )
