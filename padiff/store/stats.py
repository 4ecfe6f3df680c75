"""Figures of one tensor, folded over parts of it."""

import math
from typing import Any

from msgspec import Struct
from numpy.typing import NDArray

from padiff._kernel import describe
from padiff.dtypes import absolute, dtype_of, kernel_input
from padiff.tree import TensorStats

__all__ = ["PartialStats", "finish", "merge", "of_contiguous"]


class PartialStats(Struct, frozen=True, gc=False):
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
    """The figures of a C-contiguous array of any type in the table; complex by absolute value."""
    if dtype_of(values.dtype).kind == "complex":
        values = absolute(values)
    return PartialStats(*describe(*kernel_input(values)))


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
