"""A tensor that is several on the other side: queries, keys and values, of any lengths."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

from padiff.naming.figures import Figures, coarsest
from padiff.naming.found import Found, Whole, by_route, turned
from padiff.naming.layout import part_layout
from padiff.naming.likeness import route_of
from padiff.naming.repeats import Place, repeated
from padiff.naming.table import Certainty
from padiff.naming.values import (
    Tensor,
    axes_between,
    is_distinctive,
    is_telling,
    selection_of,
    stats_of,
)

__all__ = ["add_parts"]


@dataclass(frozen=True, slots=True)
class _Cut:
    """What has the elements of the whole from one place of an axis up to another.

    `axes` are None where they are in another order. `alone` says that no other tensor has them.
    """

    span: tuple[int, int]
    tensor: Tensor
    axes: tuple[int, ...] | None
    alone: bool


@dataclass(frozen=True, slots=True)
class _Divided:
    """A tensor that is several on the other side, along an axis."""

    whole: Whole
    along: int
    cuts: list[_Cut]

    def place(self, cut: _Cut) -> Place:
        return Place(self.whole[1], self.along, cut.span)


def add_parts(found: Found) -> None:
    """Parts by their values, put together along an axis; and what is beside them.

    All are known before any is added, as what several have is certain of none.
    """
    near = coarsest((*found.sides[0], *found.sides[1]))
    figures = [Figures(side, near) for side in found.sides]
    divided = [one for side in (0, 1) for one in _divided(found, side, figures[1 - side])]
    shared = [_shared(found, side, divided) for side in (0, 1)]
    for one in divided:
        side, _ = one.whole
        _add_cuts(found, one, figures[side], shared[side])
    routes = [by_route(side) for side in found.sides] if divided else []
    for one in divided:
        _add_beside(found, one, routes)


def _divided(found: Found, side: int, figures: Figures) -> list[_Divided]:
    """What of a side is several tensors of the other, of which those are the figures."""
    sizes = sorted({t.size for t in found.left(1 - side) if is_telling(t)}, reverse=True)
    left = found.left(side)
    divided: list[_Divided] = []
    taken: set[Tensor] = set()
    for number, tensor in enumerate(left):
        found.tell("parts", (side + number / len(left)) / 2)
        if tensor.open is None or not is_telling(tensor):
            continue
        if not figures.have_ends_of(tensor.stats):
            continue  # which the parts would have
        for along in range(min(2, len(tensor.shape))):
            cuts = _cuts(found, (side, tensor), along, sizes, figures, taken)
            if len(cuts) > 1:
                divided.append(_Divided((side, tensor), along, cuts))
                taken.update(cut.tensor for cut in cuts)
                break
    return divided


def _shared(found: Found, side: int, divided: Sequence[_Divided]) -> set[Place]:
    """Which parts of what is divided stand in others of the side, too, or begin as such."""
    held = [(one, cut) for one in divided if one.whole[0] == side for cut in one.cuts]
    wholes = Counter(cut.tensor for _, cut in held)
    places = {one.place(cut) for one, cut in held if wholes[cut.tensor] == 1}
    others = {one.place(cut) for one, cut in held} - places
    return others | repeated(places, found.sides[side])


def _cuts(
    found: Found,
    whole: Whole,
    along: int,
    sizes: Sequence[int],
    figures: Figures,
    others: Set[Tensor],
) -> list[_Cut]:
    """The parts in their order; none where they do not make the whole.

    Of equal ones those are taken that others do not have.
    """
    side, tensor = whole
    length = tensor.shape[along]
    row = tensor.size // length
    lengths = [size // row for size in sizes if size % row == 0 and size < tensor.size]
    cuts: list[_Cut] = []
    start = 0
    while start < length:
        for stop in (start + n for n in lengths if n <= length - start):
            part = selection_of(tensor, start, stop, along)
            fit = figures.alike((stop - start) * row, stats_of(tensor, part), tensor.dtype)
            taken = [cut.tensor for cut in cuts]
            left = [t for t in fit if found.is_left(1 - side, t) and t not in taken]
            if left:
                beside = route_of(route_of(taken[-1].name)) if taken else ""
                other = max(
                    left, key=lambda t: (t.name.startswith(beside), t not in others, -t.order)
                )
                axes = axes_between(tensor, other, part)
                if axes is not None or (tensor.dtype == other.dtype and len(fit) == 1):
                    cuts.append(_Cut((start, stop), other, axes, len(fit) == 1))
                    break
        else:
            return []
        start = stop
    return cuts


def _add_cuts(found: Found, one: _Divided, figures: Figures, shared: Set[Place]) -> None:
    side, tensor = one.whole
    alone = len(figures.alike(tensor.size, tensor.stats, tensor.dtype)) == 1
    spans = [cut.span for cut in one.cuts]
    for at, cut in enumerate(one.cuts):
        axes = cut.axes
        if axes is not None and side == 1:  # by the axes of base, not of raw
            axes = tuple(sorted(range(len(axes)), key=axes.__getitem__))
        order = () if axes is None else turned(axes).axes
        layout = part_layout(side, spans, at, one.along, order)
        part = cut.tensor
        only = alone and cut.alone and one.place(cut) not in shared
        only = only and not figures.alike(part.size, part.stats, part.dtype)
        is_certain = only and axes is not None and is_distinctive(part)
        certainty: Certainty = "certain" if is_certain else "likely"
        values = "equal values" if axes is not None else "the same values in another order"
        reason = f"{values} of part {at + 1} of {len(spans)}"
        found.add_part(one.whole, part, layout, certainty, reason)


def _add_beside(found: Found, one: _Divided, routes: Sequence[dict[str, list[Tensor]]]) -> None:
    """What has one axis, as a bias, and stands beside a tensor and beside its parts."""
    (side, tensor), along, cuts = one.whole, one.along, one.cuts
    for sibling in routes[side][route_of(tensor.name)]:
        if sibling.shape != (tensor.shape[along],) or not found.is_left(side, sibling):
            continue
        others: list[Tensor] = []
        for cut in cuts:
            fit = [
                other
                for other in routes[1 - side][route_of(cut.tensor.name)]
                if other.shape == (cut.span[1] - cut.span[0],)
                if found.is_left(1 - side, other) and other not in others
            ]
            if fit:
                others.append(max(fit, key=lambda t: _common(t.name, cut.tensor.name)))
        if len(others) == len(cuts):
            for at, other in enumerate(others):
                layout = part_layout(side, [cut.span for cut in cuts], at, 0)
                reason = f"beside part {at + 1} of {len(cuts)}, whose values are equal"
                found.add_part((side, sibling), other, layout, "likely", reason)


def _common(name: str, other: str) -> int:
    """How many letters two names begin with in common."""
    pairs = zip(name, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(name), len(other)))
