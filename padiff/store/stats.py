"""Figures of one tensor, folded over blocks that stay in the processor's cache."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import dtype_of
from padiff.tree import TensorStats

__all__ = ["PartialStats", "finish", "merge", "of_contiguous"]

# Elements. Smaller blocks would stay in a nearer cache, but threads would meet more often at the
# lock of the interpreter.
_BLOCK = 2**19
_ROW = 256  # elements summed in their own precision, before sums of rows are in float64
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

    All but float32 is summed in float64. Of float32, 256 elements at a time are summed as they are,
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
    single = block.dtype == np.float32 and block.size % _ROW == 0
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
    if single and (real.size % _ROW or not _LEAST < max(-least, most) < _MOST):
        real, single = _in_double(real, scratch[: real.size]), False
    rows = real.reshape(-1, real.size if real.size % _ROW else _ROW)
    ones = np.ones(rows.shape[1], rows.dtype)
    total, squares = _added(rows @ ones), _added(np.vecdot(rows, rows))
    total_abs = total
    if least < 0:
        sizes = scratch.view(rows.dtype)[: real.size].reshape(rows.shape)
        total_abs = _added(np.abs(rows, out=sizes) @ ones)
    return PartialStats(real.size, least, most, total, total_abs, squares, nan, inf)


def _added(sums: NDArray[Any]) -> float:
    return float(sums.sum(dtype=np.float64))


def _in_double(block: NDArray[Any], scratch: NDArray[np.float64]) -> NDArray[np.float64]:
    if dtype_of(block.dtype).kind == "complex":
        # as complex128, lest finite parts have an infinite absolute value
        return np.abs(block.astype(np.complex128, copy=False), out=scratch)
    scratch[...] = block
    return scratch


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
