"""Partners by values: tensors that are equal, what is beside them, and what is equal to those."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from padiff.naming.figures import Figures, alike_groups, coarsest
from padiff.naming.found import Found, Pair, by_route, turned
from padiff.naming.layout import SAME
from padiff.naming.likeness import place_of, route_of, words_of
from padiff.naming.table import Certainty
from padiff.naming.values import Tensor, axes_between, is_distinctive, is_telling, nearest_axes

__all__ = ["add_aliases", "add_copies", "add_equal", "add_in_layers"]

Copies = tuple[list[Tensor], list[Tensor]]


def add_equal(found: Found) -> list[Copies]:
    """Tensors whose elements are the same as of one on the other side, and no others.

    Gives those of which there are several: names decide, once more is known.
    """
    copies = []
    seen = 0
    for ours, theirs in alike_groups(*found.sides):
        seen += len(ours)
        found.tell("equal", seen / len(found.sides[0]))
        if len(ours) > 1 or len(theirs) > 1:
            copies.append((ours, theirs))
            continue
        (tensor,), (other,) = ours, theirs
        axes = axes_between(tensor, other)
        if axes is not None:
            if is_distinctive(tensor) and is_distinctive(other):
                found.add(tensor, other, turned(axes), "certain", "equal values")
            else:
                reason = "equal values, which others may have too"
                found.add(tensor, other, turned(axes), "likely", reason)
        elif tensor.open is None or other.open is None:
            found.add(tensor, other, None, "likely", "equal statistics")
        elif (axes := nearest_axes(tensor, other)) is not None:
            found.add(tensor, other, turned(axes), "likely", "nearly equal values")
        elif tensor.dtype == other.dtype and tensor.shape == other.shape:
            found.add(tensor, other, SAME, "likely", "the same values in another order")
    return copies


def add_copies(
    found: Found,
    copies: Iterable[Copies],
    paired: Callable[[list[Tensor], list[Tensor]], Iterable[tuple[Tensor, Tensor]]],
) -> None:
    """Of tensors that are the same on both sides, those that are `paired` by their names."""
    for ours, theirs in copies:
        for tensor, other in paired(ours, theirs):
            axes = axes_between(tensor, other)
            if axes is not None:
                reason = "equal values, as others have, and the nearest name"
                found.add(tensor, other, turned(axes), "likely", reason)


def add_aliases(found: Found) -> None:
    """Second names of a tensor that has a partner by another."""
    near = coarsest((*found.sides[0], *found.sides[1]))
    for side in (0, 1):
        known: dict[int, list[Pair]] = defaultdict(list)
        for pair in found.pairs:
            known[(pair.raw if side else pair.base).order].append(pair)
        figures = Figures((t for t in found.sides[side] if t.order in known), near)
        for tensor in filter(is_telling, found.left(side)):
            fit = figures.alike(tensor.size, tensor.stats, tensor.dtype)
            twin = next((other for other in fit if other.shape == tensor.shape), None)
            if twin is None or axes_between(tensor, twin) != tuple(range(len(tensor.shape))):
                continue
            reason = f"equal to {twin.name}, of which it may be a second name"
            for pair in known[twin.order]:  # of each of its parts
                both = (pair.base, tensor) if side else (tensor, pair.raw)
                certainty: Certainty = "guess" if pair.certainty == "guess" else "likely"
                found.add(*both, pair.layout, certainty, reason)


def add_in_layers(found: Found) -> None:
    """What is beside a certain pair in both layers, by the name of the parameter."""
    routes: dict[str, str] = {}
    for pair in found.pairs:
        if pair.certainty == "certain" and pair.layout is not None and pair.layout.whole is None:
            routes.setdefault(route_of(pair.base.name), route_of(pair.raw.name))
    theirs = by_route(found.left(1))
    for tensor in found.left(0):
        route = routes.get(route_of(tensor.name))
        held = [] if route is None else theirs.get(route, [])
        place = place_of(tensor.name)
        fit = [t for t in held if words_of(place_of(t.name)) == words_of(place)]
        fit = [t for t in fit if found.is_left(1, t) and _may_fit(tensor, t)]
        if fit:
            other = max(fit, key=lambda t: place_of(t.name) == place)
            reason = "in a layer whose other values are equal"
            found.add(tensor, other, None, "likely", reason)


def _may_fit(base: Tensor, raw: Tensor) -> bool:
    """Whether one may be the other, by their shapes."""
    return base.shape == raw.shape or (len(base.shape) == 2 and base.shape == raw.shape[::-1])
