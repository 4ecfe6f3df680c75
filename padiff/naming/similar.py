"""Partners by names, shapes and order, where values do not tell: families first, then each."""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from padiff.naming.affinity import NEVER, Affinity, Matrix
from padiff.naming.found import Found, Whole
from padiff.naming.layout import part_layout
from padiff.naming.likeness import place_of, route_of, words_of
from padiff.naming.units import GRAINS, Profile, Unit, bundles, canonical, families
from padiff.naming.values import Tensor

__all__ = ["Similar"]

_MARGINS = (0.6, 0.3, 0.15, 0.05)  # by which a pair is better than others, before the rest is asked
_MOST = 2_000_000  # pairs of tensors that are held against one another at once
_FEW = 200_000  # of which more than once
_PLACE = 0.02  # of being at another place among those of one shape: more than chance makes
_NUMBERS = re.compile(r"\d+")
_EACH = GRAINS[-1]
_PASSES = (*((grain, True) for grain in GRAINS), (GRAINS[0], False))

Classes = dict[Profile, tuple[list[Unit], list[Unit]]]


class Similar:
    """Pairs what is left of two sides, the surest first."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._affinity = Affinity(found)
        self._progress = 0.0  # of all that is to do
        self._classes: Classes = {}
        self._left: set[Unit] = set()
        self._layers: tuple[dict[str, list[Unit]], ...] = ()

    def paired(self, base: Sequence[Tensor], raw: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Tensors of one size by their names and what stands around them."""
        self._affinity.begin(_EACH)
        ours, theirs = (families(side, _EACH) for side in (base, raw))
        return [
            (unit.columns[0][0], other.columns[0][0]) for unit, other in self._best(ours, theirs)
        ]

    def add_pairs(self) -> None:
        """Families of tensors by names, by what stands around them, and by order; then each."""
        self._by_equal_names()
        for at, (grain, by_role) in enumerate(_PASSES):
            if not by_role and not self._affinity.has_order:
                continue
            self._begin(grain, by_role=by_role)
            classes = self._classes
            for held in classes.values():
                self._by_same_names(*held)
            for held in classes.values():
                self._by_ends(*held)
            for margin in _MARGINS:
                while sum(self._by_margin(*held, margin) for held in classes.values()):
                    pass  # what was found tells more of the rest
            for number, (ours, theirs) in enumerate(classes.values()):
                self._progress = (at + number / len(classes)) / len(_PASSES)
                while self._add_all(self._best(ours, theirs)):
                    pass  # what was left out as its partner was taken

    def _by_equal_names(self) -> None:
        """The same names, of families of which one side has the same numbers, or some of them.

        Where each side has numbers that the other does not have, layers may be counted from others.
        """
        ours, theirs = (
            {unit.name: unit.columns[0] for unit in families(self._found.left(side), GRAINS[0])}
            for side in (0, 1)
        )
        for name in filter(theirs.__contains__, ours):
            base, raw = ({t.name: t for t in side[name]} for side in (ours, theirs))
            if base.keys() <= raw.keys() or raw.keys() <= base.keys():
                for key in filter(raw.__contains__, base):
                    if canonical(base[key].shape) == canonical(raw[key].shape):
                        self._add_pair(base[key], raw[key], "the same name")

    def _begin(self, grain: re.Pattern[str], *, by_role: bool) -> None:
        """The units that are left, by their profile: those of one may go together."""
        self._affinity.begin(grain)
        sides = [families(self._found.left(side), grain) for side in (0, 1)]
        self._left = {unit for side in sides for unit in side}
        self._layers = tuple(_by_route(side) for side in sides)
        classes: Classes = defaultdict(lambda: ([], []))
        for side, units in enumerate(sides):
            for unit in units:
                classes[unit.profile][side].append(unit)
        for side, units in enumerate(sides):
            for bundle, parts in bundles(units, by_role=by_role):
                own, others = classes.get(bundle.profile, ([], []))[:: -1 if side else 1]
                if len(others) > len(own) and all(_is_more(classes, p, side) for p in parts):
                    own.append(bundle)
                    for part in parts:
                        classes[part.profile][side].remove(part)
                    self._left.difference_update(parts)
                    self._left.add(bundle)
        self._classes = classes

    def _by_same_names(self, base: list[Unit], raw: list[Unit]) -> None:
        """The same name in either framework's words, an exact one before all."""
        keys: list[Callable[[Unit], Hashable]] = [lambda u: u.name, lambda u: words_of(u.name)]
        for key in keys:
            theirs = {key(unit): unit for unit in reversed(raw)}
            for unit in list(base):
                other = theirs.pop(key(unit), None)
                if other is not None:
                    self._add(unit, other, "the same name")

    def _by_ends(self, base: list[Unit], raw: list[Unit]) -> None:
        """The same name but for what stands before it on one side, as `module.`."""
        for side, (ours, theirs) in enumerate(((base, raw), (raw, base))):
            ends: dict[tuple[str, ...], list[Unit]] = defaultdict(list)
            for unit in theirs:
                words = words_of(unit.name)
                for begin in range(1, len(words)):
                    ends[words[begin:]].append(unit)
            for unit in list(ours):
                left = (other for other in ends[words_of(unit.name)] if other in self._left)
                fit = list(islice(left, 2))
                if len(fit) == 1:
                    pair = (fit[0], unit) if side else (unit, fit[0])
                    self._add(*pair, "the same name behind others")

    def _by_margin(self, base: list[Unit], raw: list[Unit], margin: float) -> bool:
        """Pairs of which both are better with each other than with any else by so much."""
        if not (base and raw) or len(base) * len(raw) * len(base[0].profile) > _FEW:
            return False
        scores = self._affinity.between(base, raw)
        pairs = [
            (i, j)
            for i, j in _mutual(scores)
            if min(scores[i, j] - _second(scores[i], j), scores[i, j] - _second(scores[:, j], i))
            > margin
        ]
        return self._add_all([(base[i], raw[j]) for i, j in pairs]) > 0

    def _add_all(self, pairs: Iterable[tuple[Unit, Unit]]) -> int:
        """Pairs by their affinity, but for what came to be in another meanwhile; how many."""
        added = 0
        for unit, other in pairs:
            self._found.tell("similar", self._progress)
            if unit in self._left and other in self._left:
                self._add(unit, other, "")
                added += 1
        return added

    def _best(self, base: list[Unit], raw: list[Unit]) -> Iterator[tuple[Unit, Unit]]:
        """Pairs of all units of the shorter side, the best first."""
        if not (base and raw):
            return
        most = max(1, _MOST // len(base[0].profile))
        count = 1 + int((len(base) * len(raw) / most) ** 0.5)
        for ours, theirs in zip(self._slabs(base, count), self._slabs(raw, count), strict=True):
            if ours and theirs:
                scores = self._affinity.between(ours, theirs)
                yield from ((ours[i], theirs[j]) for i, j in _greedy(scores))

    def _slabs(self, units: Sequence[Unit], count: int) -> list[list[Unit]]:
        """So many equal parts: of more than can be asked those that are near."""
        held = self._affinity.in_order(units)
        edges = [len(held) * at // count for at in range(count + 1)]
        return [held[a:b] for a, b in pairwise(edges)]

    def _add(self, ours: Unit, theirs: Unit, reason: str) -> None:
        for side, unit in enumerate((ours, theirs)):
            self._classes[unit.profile][side].remove(unit)
            self._left.discard(unit)
        self._affinity.add(ours, theirs)
        for own, others in zip(ours.members, theirs.members, strict=True):
            if len(own) == len(others) == 1:
                self._add_pair(own[0], others[0], reason)
            elif len(own) == 1:
                self._add_bundle((0, own[0]), others)
            elif len(others) == 1:
                self._add_bundle((1, others[0]), own)
        if not reason and self._affinity.is_alike_beside(ours, theirs):
            self._add_beside(ours, theirs)

    def _add_beside(self, ours: Unit, theirs: Unit) -> None:
        """The other parameters of two layers of one kind, of which some are a pair."""
        held = [
            [unit for unit in layers[route_of(one.name)] if unit in self._left]
            for layers, one in zip(self._layers, (ours, theirs), strict=True)
        ]
        for unit in held[0]:
            place = words_of(place_of(unit.name))
            same = (u for u in held[1] if u in self._left and u.profile == unit.profile)
            other = next((u for u in same if words_of(place_of(u.name)) == place), None)
            if other is not None and unit in self._left:
                self._add(unit, other, "")

    def _add_pair(self, base: Tensor, raw: Tensor, reason: str) -> None:
        if not reason:
            self._found.add(base, raw, None, "guess", "by name, shape and order")
            return
        if _NUMBERS.findall(base.name) != _NUMBERS.findall(raw.name):
            reason = f"{reason} but for its numbers"
        self._found.add(base, raw, None, "likely", reason)

    def _add_bundle(self, whole: Whole, parts: Sequence[Tensor]) -> None:
        """Parts in the order of their roles; which axes they have in common is told by lengths."""
        side, tensor = whole
        axes = (0,) if len(tensor.shape) == 1 else (0, 1)
        for along in axes:
            for turned in (self._found.is_turned, not self._found.is_turned):
                across = 1 - along if turned and len(axes) > 1 else along
                lengths = [part.shape[across] for part in parts]
                if sum(lengths) != tensor.shape[along]:
                    continue
                if len(axes) > 1 and parts[0].shape[1 - across] != tensor.shape[1 - along]:
                    continue
                spans = list(pairwise(accumulate(lengths, initial=0)))
                order = (1, 0) if across != along else ()
                for at, part in enumerate(parts):
                    layout = part_layout(side, spans, at, along, order)
                    reason = f"part {at + 1} of {len(parts)} by name and order"
                    self._found.add_part(whole, part, layout, "guess", reason)
                return


def _by_route(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        found[route_of(unit.name)].append(unit)
    return found


def _is_more(classes: Classes, unit: Unit, side: int) -> bool:
    """Whether a side has a unit that may be left alone, as it has more such than the other."""
    sides = classes[unit.profile]
    return unit in sides[side] and len(sides[side]) > len(sides[1 - side])


def _mutual(scores: Matrix) -> list[tuple[int, int]]:
    """The pairs that are the best of both, the first of those that are equal."""
    best, of_raw = scores.argmax(axis=1), scores.argmax(axis=0)
    return [(i, int(j)) for i, j in enumerate(best) if of_raw[j] == i and scores[i, j] > NEVER]


def _second(scores: NDArray[np.float32], best: int) -> float:
    return float(max(np.delete(scores, best), default=NEVER))


def _greedy(scores: Matrix) -> Iterator[tuple[int, int]]:
    """All pairs, the best of what is left first; of equal ones those at the same place."""
    rows, columns = np.arange(scores.shape[0]), np.arange(scores.shape[1])
    places = rows[:, None] / max(1, len(rows)), columns[None, :] / max(1, len(columns))
    left = scores - _PLACE * np.abs(places[0] - places[1]).astype(np.float32)
    while left.size:
        pairs = _mutual(left)
        if not pairs:
            return
        for i, j in pairs:
            yield int(rows[i]), int(columns[j])
        keep = [np.ones(n, bool) for n in left.shape]
        for i, j in pairs:
            keep[0][i] = keep[1][j] = False
        left, rows, columns = left[np.ix_(*keep)], rows[keep[0]], columns[keep[1]]
