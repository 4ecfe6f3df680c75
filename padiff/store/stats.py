"""Figures of one tensor, folded over blocks that stay in the processor's cache."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import dtype_of
from padiff.tree import TensorStats

__all__ = ["PartialStats", "finish", "merge", "of_contiguous"]

_BLOCK = 2**15  # elements: in float64 a quarter of a megabyte, so every pass stays in cache


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
    scratch = np.empty(min(_BLOCK, flat.size), np.float64)
    total = PartialStats()
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        real = scratch[: block.size]
        if complex_values:
            # in double precision, lest finite parts have an infinite absolute value
            np.abs(block.astype(np.complex128, copy=False), out=real)
        else:
            real[...] = block
        total = merge(total, _of_block(real))
    return total


def _of_block(real: NDArray[np.float64]) -> PartialStats:
    """Figures of float64 values, which are overwritten."""
    low, high = float(real.min()), float(real.max())
    nan = inf = 0
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = np.isfinite(real)
        nan = int(np.count_nonzero(np.isnan(real)))
        inf = real.size - int(np.count_nonzero(finite)) - nan
        real = real[finite]
        if real.size == 0:
            return PartialStats(nan=nan, inf=inf)
        low, high = float(real.min()), float(real.max())
    total = float(np.add.reduce(real))
    squares = float(np.einsum("i,i->", real, real))
    np.abs(real, out=real)
    return PartialStats(real.size, low, high, total, float(np.add.reduce(real)), squares, nan, inf)


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
