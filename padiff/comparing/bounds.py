"""What the statistics of two tensors say of their difference, where the elements are not there."""

import math

from padiff.comparing.statistics import PairStatistics, of_equal
from padiff.dtypes import dtype_named
from padiff.tree import TensorRecord, TensorStats

__all__ = ["LEAST", "of_statistics"]

_EPS = 2.0**-52
LEAST = (
    "compared by their statistics where a side was recorded with these alone: errors are the least "
    "that there must be, and pairs within tolerance may differ by more"
)


def of_statistics(
    base: TensorRecord, raw: TensorRecord, stats: tuple[TensorStats, TensorStats], rtol: float
) -> PairStatistics:
    """The least that the figures of a pair can be; those of equal tensors where digests are equal.

    With `e = raw - base` over n elements that are finite on both sides, `sum(abs(e))` is at least
    n times the distance of the means (of the values, and of their absolutes) and at least the
    distance of the L2 norms, by the triangle inequality; `max(abs(e))` is at least the mean of
    `abs(e)`, and the distance of the extremes. What the sums may have been rounded by is taken off.
    """
    size = math.prod(base.shape)
    ours, theirs = stats
    kinds = [dtype_named(side.dtype).kind for side in (base, raw)]
    agreeing = min(ours.nan, theirs.nan) + min(ours.inf, theirs.inf)
    if "complex" in kinds:  # whose parts may be both: all such numbers are alike
        agreeing = min(ours.nan + ours.inf, theirs.nan + theirs.inf)
    nonfinite = max(ours.nan + ours.inf, theirs.nan + theirs.inf) - agreeing
    finite = size - agreeing - nonfinite
    if base.dtype == raw.dtype and base.chunks == raw.chunks and base.dims == raw.dims:
        sizes = (ours.mean_abs or 0.0) * finite
        return of_equal(finite, agreeing, sizes, _square(ours.l2))
    if not finite or nonfinite:
        return PairStatistics(finite, agreeing, nonfinite, mismatched=nonfinite)
    share = (finite + 2) * _EPS  # of the sum of the absolutes, by which a sum may be off
    sizes = (ours.mean_abs or 0.0) + (theirs.mean_abs or 0.0)
    means = [_apart(ours.mean_abs, theirs.mean_abs)]
    extremes = [0.0]
    if kinds[0] == kinds[1] or "complex" not in kinds:  # of which all else is of absolutes
        means.append(_apart(ours.mean, theirs.mean))
        extremes = [_apart(ours.min, theirs.min), _apart(ours.max, theirs.max)]
    norms = (ours.l2 or 0.0) + (theirs.l2 or 0.0)
    norm = _less(_apart(ours.l2, theirs.l2), share * norms)
    sum_abs = max(_less(max(means), share * sizes) * finite, norm)
    largest = _largest(ours)
    most = max(sum_abs / finite, _less(max(extremes), _EPS * (largest + _largest(theirs))))
    exact = kinds == ["exact", "exact"]  # to which no tolerance applies
    excess = max(0.0, most - (0.0 if exact else rtol) * largest)
    return PairStatistics(
        finite=finite,
        agreeing=agreeing,
        mismatched=int(excess > 0 or (exact and _must_differ(base, raw))),
        max_abs=most,
        excess=excess,
        sum_abs=sum_abs,
        sum_base=(ours.mean_abs or 0.0) * finite,
        squares=max(_square(norm), _square(sum_abs) / finite),
        squares_base=_square(ours.l2),
        squares_raw=_square(theirs.l2),
    )


def _less(distance: float, rounding: float) -> float:
    return max(0.0, distance - rounding) if math.isfinite(rounding) else 0.0


def _square(value: float | None) -> float:
    return 0.0 if value is None else value * value  # `**` has no infinite result


def _apart(ours: float | None, theirs: float | None) -> float:
    """How far two numbers are apart; of infinities nothing is known."""
    distance = abs((ours or 0.0) - (theirs or 0.0))
    return distance if math.isfinite(distance) else 0.0


def _largest(stats: TensorStats) -> float:
    return max(abs(stats.min or 0.0), abs(stats.max or 0.0))


def _must_differ(base: TensorRecord, raw: TensorRecord) -> bool:
    """Whether the digests are of the same elements: of one chunk, which is the whole tensor."""
    return (
        base.dtype == raw.dtype
        and base.dims == raw.dims
        and len(base.chunks) == len(raw.chunks) == 1
        and base.chunks != raw.chunks
    )
