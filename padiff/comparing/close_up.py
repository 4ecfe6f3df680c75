"""The outcome of looking at one pair of tensors once more: where in them the error sits."""

from msgspec import Struct

from padiff.comparing.statistics import Element

__all__ = ["CELLS", "MAPPED", "WORST", "CloseUp"]

CELLS = 64  # at most, along an axis
MAPPED = 5  # axes at most, of which pairs are tried
WORST = 10


class CloseUp(Struct, frozen=True, gc=False):
    """Where two tensors of one record differ, and by how much; the axes are those of base.

    All errors are absolute ones of elements, in float64. Elements that are NaN alike, or the same
    infinity, have none; where one side alone is NaN or infinite it is infinite. `order` is that of
    the record.

    `counts` are the elements with an error by powers of two: the first those with one in
    `[2**exponent, 2**(exponent + 1))`. `equal` are those without, and `nonfinite` those that are
    NaN or infinite on one side alone; together they are all.

    An axis of n indices is cut into ranges of `ceil(n / 64)`, the last of which may be shorter: 64
    ranges at most. `profiles` have for each axis the largest error in each range. The `map` has it
    for each cell of ranges of two axes, `map_axes`, by rows: of all pairs of axes of more than one
    index (of the last five such) those in which the error is most concentrated, which are those
    whose cells have the lowest geometric mean beside their largest. There is one row, and one axis,
    where no more axes have several indices, and one cell and no axis where none has. `worst` are
    the ten elements that differ most, the worst first, of equal errors that of the first index.
    """

    order: int
    exponent: int
    counts: tuple[int, ...]
    equal: int
    nonfinite: int
    profiles: tuple[tuple[float, ...], ...]
    map_axes: tuple[int, ...]
    map: tuple[tuple[float, ...], ...]
    worst: tuple[Element, ...]
