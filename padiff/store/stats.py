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
_ONES = {np.dtype(name): np.ones(_COLUMNS, name) for name in ("float32", "float64")}
# Between these, rows of float32 are summed as they are: no square is infinite, none that counts 0.
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
    """The figures of a C-contiguous array of any type in the table."""
    # signalling NaNs make casts complain, squares of large numbers overflow: both are told by
    # the figures themselves
    with np.errstate(invalid="ignore", over="ignore"):
        return _of_blocks(values)


def _of_blocks(values: NDArray[Any]) -> PartialStats:
    flat = values.reshape(-1)
    total = PartialStats()
    scratch = np.empty(min(_BLOCK, flat.size), np.float64)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        part = _of_single(block, scratch) if block.dtype == np.float32 else None
        total = merge(total, part or _of_block(block, scratch[: block.size]))
    return total


def _of_single(block: NDArray[np.float32], scratch: NDArray[np.float64]) -> PartialStats | None:
    """The figures of float32 values, with no copy in float64; None where that would lose digits.

    Rows of 128 are added up in single precision, which keeps the eighth digit and takes half the
    time: what is written as fast as memory is read has no time to spare.
    """
    least, most = _range(block)
    if block.size < _ROWS * _COLUMNS or not _LEAST < max(-least, most) < _MOST:
        return None
    total, squares = _sums(block)
    sizes = np.abs(block, out=scratch.view(np.float32)[: block.size]) if least < 0 else block
    total_abs = _sum(sizes) if least < 0 else total
    return PartialStats(block.size, least, most, total, total_abs, squares)


def _of_block(block: NDArray[Any], real: NDArray[np.float64]) -> PartialStats:
    """The figures of values of any type, copied to `real`."""
    if dtype_of(block.dtype).kind == "complex":
        # in double precision, lest finite parts have an infinite absolute value
        np.abs(block.astype(np.complex128, copy=False), out=real)
    else:
        real[...] = block
    least, most = _range(real)
    nan = inf = 0
    if not (math.isfinite(least) and math.isfinite(most)):
        nan = int(np.count_nonzero(np.isnan(real)))
        finite = real[np.isfinite(real)]
        inf = real.size - finite.size - nan
        if finite.size == 0:
            return PartialStats(nan=nan, inf=inf)
        real = finite
        least, most = _range(real)
    total, squares = _sums(real)
    total_abs = _sum(np.abs(real, out=real)) if least < 0 else total
    return PartialStats(real.size, least, most, total, total_abs, squares, nan, inf)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    return float(np.minimum.reduce(values)), float(np.maximum.reduce(values))


def _sum(values: NDArray[Any]) -> float:
    whole = values.size // (_ROWS * _COLUMNS) * _ROWS * _COLUMNS
    rows = values[:whole].reshape(-1, _ROWS, _COLUMNS) @ _ONES[values.dtype]
    return _reduce(rows) + _reduce(values[whole:])


def _sums(values: NDArray[Any]) -> tuple[float, float]:
    """The sum of the values and that of their squares."""
    whole = values.size // _COLUMNS * _COLUMNS
    rows, rest = values[:whole].reshape(-1, _COLUMNS), values[whole:].astype(np.float64)
    return _sum(values), _reduce(np.vecdot(rows, rows)) + float(np.vecdot(rest, rest))


def _reduce(values: NDArray[Any]) -> float:
    return float(np.add.reduce(values, axis=None, dtype=np.float64))


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
