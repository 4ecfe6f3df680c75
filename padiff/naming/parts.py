"""A tensor that is several on the other side: queries, keys and values, of any lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

from padiff.naming.figures import Figures, coarsest
from padiff.naming.found import Found, Whole, by_route, route_of, turned
from padiff.naming.layout import part_layout
from padiff.naming.table import Certainty
from padiff.naming.values import Tensor, axes_between, is_telling, selection_of, stats_of

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


def add_parts(found: Found) -> None:
    """Parts by their values, put together along an axis; and what is beside them."""
    near = coarsest((*found.sides[0], *found.sides[1]))
    figures = [Figures(side, near) for side in found.sides]
    cut: list[tuple[Whole, int, list[_Cut]]] = []
    for side in (0, 1):
        sizes = sorted({t.size for t in found.left(1 - side) if is_telling(t)}, reverse=True)
        left = found.left(side)
        for number, tensor in enumerate(left):
            found.tell("parts", (side + number / len(left)) / 2)
            if tensor.open is None or not is_telling(tensor):
                continue
            if not figures[1 - side].have_ends_of(tensor.stats):
                continue  # which the parts would have
            for along in range(min(2, len(tensor.shape))):
                cuts = _cuts(found, (side, tensor), along, sizes, figures[1 - side])
                if len(cuts) > 1:
                    _add_cuts(found, (side, tensor), along, cuts, figures[side])
                    cut.append(((side, tensor), along, cuts))
                    break
    routes = [by_route(side) for side in found.sides] if cut else []
    for whole, along, cuts in cut:
        _add_beside(found, whole, along, cuts, routes)


def _cuts(
    found: Found, whole: Whole, along: int, sizes: Sequence[int], figures: Figures
) -> list[_Cut]:
    """The parts in their order; none where they do not make the whole."""
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
                other = max(left, key=lambda t: (t.name.startswith(beside), -t.order))
                axes = axes_between(tensor, other, part)
                if axes is not None or (tensor.dtype == other.dtype and len(fit) == 1):
                    cuts.append(_Cut((start, stop), other, axes, len(fit) == 1))
                    break
        else:
            return []
        start = stop
    return cuts


def _add_cuts(
    found: Found, whole: Whole, along: int, cuts: Sequence[_Cut], figures: Figures
) -> None:
    side, tensor = whole
    alone = len(figures.alike(tensor.size, tensor.stats, tensor.dtype)) == 1
    for at, cut in enumerate(cuts):
        axes = cut.axes
        if axes is not None and side == 1:  # by the axes of base, not of raw
            axes = tuple(sorted(range(len(axes)), key=axes.__getitem__))
        order = () if axes is None else turned(axes).axes
        layout = part_layout(side, [cut.span for cut in cuts], at, along, order)
        part = cut.tensor
        only = alone and cut.alone and not figures.alike(part.size, part.stats, part.dtype)
        certainty: Certainty = "certain" if only and axes is not None else "likely"
        values = "equal values" if axes is not None else "the same values in another order"
        found.add_part(whole, part, layout, certainty, f"{values} of part {at + 1} of {len(cuts)}")


def _add_beside(
    found: Found,
    whole: Whole,
    along: int,
    cuts: Sequence[_Cut],
    routes: Sequence[dict[str, list[Tensor]]],
) -> None:
    """What has one axis, as a bias, and stands beside a tensor and beside its parts."""
    side, tensor = whole
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
