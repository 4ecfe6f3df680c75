"""Figures of one tensor, folded over blocks that stay in the processor's cache."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import dtype_of
from padiff.tree import TensorStats

__all__ = ["PartialStats", "finish", "merge", "of_contiguous"]

_BLOCK = 2**17  # elements; what the passes over a block read again is then in a near cache
_ROW = 128  # elements summed in their own precision, before sums of rows are in float64
# Where the squares of float32 are neither infinite nor lost; elsewhere float64 is used.
_LEAST, _MOST = 1e-12, 1e12


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
    """The figures of a C-contiguous array of any type in the table.

    All but float32 is summed in float64. Of float32, 128 elements at a time are summed as they are,
    which keeps the eighth digit: in float64 throughout, writing a large tensor would take half as
    long again. Sums are products by BLAS: whoever calls this in several threads should hold it to
    one thread each.
    """
    flat = values.reshape(-1)
    scratch = np.empty(min(_BLOCK, flat.size))
    total = PartialStats()
    # signalling NaNs make casts complain, squares of large numbers overflow: both are told by
    # the figures themselves
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            total = merge(total, _of_block(block, scratch[: block.size]))
    return total


def _of_block(block: NDArray[Any], scratch: NDArray[np.float64]) -> PartialStats:
    single = block.dtype == np.float32
    real = block if single else _in_double(block, scratch)
    least, most = float(real.min()), float(real.max())
    nan = inf = 0
    if not (math.isfinite(least) and math.isfinite(most)):
        finite = np.isfinite(real)
        nan = int(np.count_nonzero(np.isnan(real)))
        inf = real.size - int(np.count_nonzero(finite)) - nan
        if nan + inf == real.size:
            return PartialStats(nan=nan, inf=inf)
        real = real[finite]
        least, most = float(real.min()), float(real.max())
    if single and not _LEAST < max(-least, most) < _MOST:
        real, single = _in_double(real, scratch[: real.size]), False
    total, squares = _sum(real), _sum_of_squares(real)
    total_abs = total
    if least < 0:
        sizes = scratch.view(np.float32)[: real.size] if single else scratch[: real.size]
        total_abs = _sum(np.abs(real, out=sizes))
    return PartialStats(real.size, least, most, total, total_abs, squares, nan, inf)


def _in_double(block: NDArray[Any], scratch: NDArray[np.float64]) -> NDArray[np.float64]:
    if dtype_of(block.dtype).kind == "complex":
        # as complex128, lest finite parts have an infinite absolute value
        return np.abs(block.astype(np.complex128, copy=False), out=scratch)
    scratch[...] = block
    return scratch


def _sum(real: NDArray[Any]) -> float:
    whole = real.size // _ROW * _ROW
    rows = real[:whole].reshape(-1, _ROW) @ np.ones(_ROW, real.dtype)
    return float(rows.sum(dtype=np.float64) + real[whole:].sum(dtype=np.float64))


def _sum_of_squares(real: NDArray[Any]) -> float:
    whole = real.size // _ROW * _ROW
    rows, rest = real[:whole].reshape(-1, _ROW), real[whole:].astype(np.float64)
    return float(np.vecdot(rows, rows).sum(dtype=np.float64) + np.vecdot(rest, rest))


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
