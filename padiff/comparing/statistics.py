"""What is kept of the elements of a pair of tensors, and how parts of a pair are put together."""

import math

from msgspec import Struct

from padiff.tree import TensorStats

__all__ = ["Element", "PairStatistics", "Value", "merge", "of_equal", "with_equal_rest"]

Value = int | float | complex


class Element(Struct, frozen=True, gc=False):
    """What both sides have at one index, in the axes of base."""

    index: tuple[int, ...]
    base: Value
    raw: Value


class PairStatistics(Struct, frozen=True, gc=False):
    """Sums and extremes over some elements of a pair; the defaults are those of no element.

    `finite` counts the elements the figures are over, `agreeing` those that are NaN, or the same
    infinity, on both sides, `nonfinite` those where the sides part in that. `sum_abs` and
    `squares` are of the errors, `excess` is the greatest `abs(raw - base) - rtol * abs(base)`,
    `mismatched` counts the elements out of tolerance, those of `nonfinite` included.
    """

    finite: int = 0
    agreeing: int = 0
    nonfinite: int = 0
    mismatched: int = 0
    max_abs: float = 0.0
    max_rel: float = 0.0
    excess: float = 0.0
    sum_abs: float = 0.0
    sum_base: float = 0.0
    squares: float = 0.0
    squares_base: float = 0.0
    squares_raw: float = 0.0
    product: float = 0.0
    worst: Element | None = None

    @property
    def size(self) -> int:
        """Elements of either side, of every kind."""
        return self.finite + self.agreeing + self.nonfinite

    @property
    def equal(self) -> bool:
        """Whether every element of one side is that of the other, NaN for NaN."""
        return self.max_abs == 0 and not self.nonfinite

    @property
    def mean_abs(self) -> float:
        return self.sum_abs / self.finite if self.finite else 0.0

    @property
    def mean_base(self) -> float:
        return self.sum_base / self.finite if self.finite else 0.0

    @property
    def rel_l2(self) -> float:
        """`norm(raw - base) / norm(base)`: 0 for equal tensors, infinite beside a base of zeros."""
        if self.squares == 0:
            return 0.0
        return math.sqrt(self.squares / self.squares_base) if self.squares_base else math.inf

    @property
    def cosine(self) -> float:
        """Of the angle between the tensors as vectors: 1 for equal ones, 0 if just one is zero."""
        if self.squares == 0:
            return 1.0
        norms = math.sqrt(self.squares_base) * math.sqrt(self.squares_raw)
        if norms == 0:
            return 0.0
        cosine = self.product / norms
        return cosine if math.isnan(cosine) else max(-1.0, min(1.0, cosine))


def merge(a: PairStatistics, b: PairStatistics) -> PairStatistics:
    """The figures of both parts together; of two equal errors the first element is the worst."""
    if not a.size:
        return b
    return PairStatistics(
        finite=a.finite + b.finite,
        agreeing=a.agreeing + b.agreeing,
        nonfinite=a.nonfinite + b.nonfinite,
        mismatched=a.mismatched + b.mismatched,
        max_abs=max(a.max_abs, b.max_abs),
        max_rel=max(a.max_rel, b.max_rel),
        excess=max(a.excess, b.excess),
        sum_abs=a.sum_abs + b.sum_abs,
        sum_base=a.sum_base + b.sum_base,
        squares=a.squares + b.squares,
        squares_base=a.squares_base + b.squares_base,
        squares_raw=a.squares_raw + b.squares_raw,
        product=a.product + b.product,
        worst=_worse(a, b),
    )


def _worse(a: PairStatistics, b: PairStatistics) -> Element | None:
    if a.worst is None or b.worst is None:
        return a.worst or b.worst
    rank_a, rank_b = (a.nonfinite > 0, a.max_abs), (b.nonfinite > 0, b.max_abs)
    if (a.nonfinite > 0 and b.nonfinite > 0) or rank_a == rank_b:
        return a.worst if a.worst.index <= b.worst.index else b.worst
    return a.worst if rank_a > rank_b else b.worst


def of_equal(finite: int, agreeing: int, sum_base: float, squares: float) -> PairStatistics:
    """The figures of elements known to be equal, from those of one side."""
    return PairStatistics(
        finite=finite,
        agreeing=agreeing,
        sum_base=sum_base,
        squares_base=squares,
        squares_raw=squares,
        product=squares,
    )


def with_equal_rest(
    part: PairStatistics, size: int, base: TensorStats, raw: TensorStats
) -> PairStatistics:
    """Complete the figures of some elements of a tensor of `size`, the others known to be equal.

    `base` and `raw` are the figures of the whole tensors. NaN and infinities are all among the
    others.
    """
    agreeing = base.nan + base.inf
    finite = size - agreeing
    sizes, whole_base, whole_raw = ((s or 0.0) for s in (base.mean_abs, base.l2, raw.l2))
    # of two differences that should be the same the one of smaller numbers is rounded less
    squares = (
        whole_base**2 - part.squares_base
        if whole_base <= whole_raw
        else whole_raw**2 - part.squares_raw
    )
    rest = of_equal(
        finite - part.finite,
        agreeing,
        max(0.0, sizes * finite - part.sum_base),
        max(0.0, squares),
    )
    return merge(part, rest)
