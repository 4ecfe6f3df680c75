"""The search for partners: by values where they tell, by names and order where they do not."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from padiff.naming.layout import SAME, NamedLayout
from padiff.naming.likeness import similarity, words_of
from padiff.naming.table import Certainty, NamedPair
from padiff.naming.values import Tensor, axes_between, is_alike, is_telling, part_stats

__all__ = ["Search"]

_SHARES = (3, 2)  # of a tensor that is several on the other side: queries, keys and values
_LEAST = 0.35  # of the similarity of names, below which order alone would decide
_MOST = 250_000  # pairs of names that are held against one another, which takes seconds
_ALONE = "no partner"
_COARSE = 2.0**-3  # of the coarsest type


@dataclass(frozen=True, slots=True)
class _Found:
    """A pair by the places of its tensors."""

    base: int
    raw: int
    layout: NamedLayout
    certainty: Certainty
    reason: str


class Search:
    """Finds partners, the surest first; what has one is not asked again."""

    def __init__(self, base: Sequence[Tensor], raw: Sequence[Tensor], *, differ: bool) -> None:
        self._base, self._raw, self._differ = base, raw, differ
        self._found: list[_Found] = []
        self._done: tuple[set[int], set[int]] = (set(), set())
        self._routes: dict[str, str] = {}  # of layers that have a certain pair

    def rows(self) -> list[NamedPair]:
        """The pairs in the order of base, then what raw has alone."""
        self._by_values()
        self._by_parts()
        self._by_layer()
        self._by_names()
        self._by_ends()
        self._in_order()
        self._by_named_parts()
        self._aliases()
        rows = [
            (
                (self._base[f.base].order, self._raw[f.raw].order),
                NamedPair(
                    self._base[f.base].name,
                    self._raw[f.raw].name,
                    f.layout,
                    f.certainty,
                    f.reason,
                ),
            )
            for f in self._found
        ]
        lone = [(t, NamedPair(t.name, None, reason=_ALONE)) for t in self._left(0)]
        rows += [((tensor.order, 0), row) for tensor, row in lone]
        alone = [NamedPair(None, t.name, reason=_ALONE) for t in self._left(1)]
        return [row for _, row in sorted(rows, key=lambda pair: pair[0])] + alone

    def _left(self, side: int) -> list[Tensor]:
        tensors = (self._base, self._raw)[side]
        return [tensor for tensor in tensors if tensor.order not in self._done[side]]

    def _add(
        self, base: Tensor, raw: Tensor, layout: NamedLayout, certainty: Certainty, reason: str
    ) -> None:
        self._found.append(_Found(base.order, raw.order, layout, certainty, reason))
        self._done[0].add(base.order)
        self._done[1].add(raw.order)
        if certainty == "certain" and layout.whole is None:
            self._routes.setdefault(_route(base.name), _route(raw.name))

    def _by_values(self) -> None:
        """Tensors whose elements are the same; certain where no others on either side are alike."""
        for ours, theirs in _alike_groups(self._base, self._raw):
            for tensor in ours:
                left = [other for other in theirs if other.order not in self._done[1]]
                if not left:
                    break
                best = max(left, key=lambda o: (similarity(tensor.name, o.name), -o.order))
                alone = len(ours) == len(theirs) == 1
                if not alone and similarity(tensor.name, best.name) < _LEAST:
                    continue  # several are the same: names decide, or order
                axes = axes_between(tensor, best)
                if axes is None:
                    if alone and tensor.dtype == best.dtype:
                        self._add(tensor, best, SAME, "likely", "the same values in another order")
                elif alone:
                    self._add(tensor, best, _turned(axes), "certain", "equal values")
                else:
                    reason = "equal values, as others have, and the nearest name"
                    self._add(tensor, best, _turned(axes), "likely", reason)

    def _by_parts(self) -> None:
        """A tensor that is several on the other side, put together along an axis."""
        for side in (0, 1):
            sized = _by_size(self._left(1 - side))
            for tensor in self._left(side):
                if is_telling(tensor):
                    self._cut(tensor, side, sized)

    def _cut(self, tensor: Tensor, side: int, sized: Mapping[int, list[Tensor]]) -> None:
        for count in _SHARES:
            for along in range(min(2, len(tensor.shape))):
                if not tensor.shape[along] or tensor.shape[along] % count:
                    continue
                held = sized.get(tensor.size // count, [])
                others = [other for other in held if other.order not in self._done[1 - side]]
                if len(others) < count:
                    continue
                parts = part_stats(tensor, count, along)
                fits = [
                    [o for o in others if is_alike(part, o.stats, tensor.dtype, o.dtype)]
                    for part in parts
                ]
                if all(len(fit) == 1 and is_telling(fit[0]) for fit in fits):
                    self._add_parts(tensor, [fit[0] for fit in fits], side, along)
                    return

    def _add_parts(self, tensor: Tensor, others: list[Tensor], side: int, along: int) -> None:
        count = len(others)
        for at, other in enumerate(others):
            length = tensor.shape[along] // count
            part = [slice(0, n) for n in tensor.shape]
            part[along] = slice(at * length, (at + 1) * length)
            axes = axes_between(tensor, other, tuple(part))
            if axes is not None and side == 1:  # by the axes of base, not of raw
                axes = tuple(sorted(range(len(axes)), key=axes.__getitem__))
            layout = NamedLayout(
                "raw" if side else "base",
                (at, count),
                along,
                () if axes is None else _turned(axes).axes,
            )
            certainty: Certainty = "likely" if axes is None else "certain"
            reason = f"equal values of part {at + 1} of {count}"
            pair = (other, tensor) if side else (tensor, other)
            self._add(*pair, layout, certainty, reason)

    def _by_layer(self) -> None:
        """What is beside a certain pair in both layers, by the name of the parameter."""
        theirs = {tensor.name: tensor for tensor in self._left(1)}
        by_words = {(_route(n), words_of(_place(n))): t for n, t in theirs.items()}
        for tensor in self._left(0):
            route = self._routes.get(_route(tensor.name))
            place = _place(tensor.name)
            other = None
            if route is not None:
                same = theirs.get(f"{route}.{place}".lstrip("."))
                other = same or by_words.get((route, words_of(place)))
            if other is None or other.order in self._done[1] or not _fit(tensor, other):
                continue
            reason = "in a layer whose other values are equal"
            self._add(tensor, other, self._layout(tensor, other), "likely", reason)

    def _by_names(self) -> None:
        """The same name in either framework's words."""
        held = self._left(1)
        exact = {tensor.name: tensor for tensor in held}
        theirs = {words_of(tensor.name): tensor for tensor in reversed(held)}
        for tensor in sorted(self._left(0), key=lambda t: t.name not in exact):
            other = exact.get(tensor.name) or theirs.get(words_of(tensor.name))
            if other is not None and other.order not in self._done[1] and _fit(tensor, other):
                self._add(tensor, other, self._layout(tensor, other), "likely", "the same name")

    def _by_ends(self) -> None:
        """The same name but for what stands before it on one side, as `module.`."""
        held = self._left(0), self._left(1)
        for side in (0, 1):
            ends: dict[tuple[str, ...], list[Tensor]] = defaultdict(list)
            for tensor in held[1 - side]:
                words = words_of(tensor.name)
                for begin in range(1, len(words)):
                    ends[words[begin:]].append(tensor)
            for tensor in held[side]:
                found = ends[words_of(tensor.name)]
                fit = [o for o in found if o.order not in self._done[1 - side] and _fit(tensor, o)]
                if len(fit) == 1 and tensor.order not in self._done[side]:
                    base, raw = (fit[0], tensor) if side else (tensor, fit[0])
                    reason = "the same name behind others"
                    self._add(base, raw, self._layout(base, raw), "likely", reason)

    def _in_order(self) -> None:
        """What is left, in order: the alignment with the most that is alike."""
        ours, theirs = self._left(0), self._left(1)
        for tensor, other in _aligned(ours, theirs, self._known):
            self._add(tensor, other, self._layout(tensor, other), "guess", "by order and shape")

    def _known(self, base: str, raw: str) -> float:
        """How alike two names are, with what the pairs found so far say of the layers around."""
        score = similarity(base, raw)
        route = _route(base)
        while route:
            if route in self._routes:
                above = self._routes[route]
                return score + 0.3 if raw.startswith(f"{above}.") else score
            route = _route(route)
        return score

    def _by_named_parts(self) -> None:
        """A tensor of several that are left beside it: queries, keys and values."""
        for side in (0, 1):
            sized = _by_size(self._left(1 - side))
            for tensor in self._left(side):
                left = (o for o in sized[tensor.size // 3] if o.order not in self._done[1 - side])
                others = [other for other in left if _may_be_third(other, tensor)]
                if len(others) >= 3 and tensor.shape and tensor.shape[0] % 3 == 0:
                    self._add_named_parts(tensor, others, side)

    def _add_named_parts(self, tensor: Tensor, others: list[Tensor], side: int) -> None:
        route = _route(tensor.name)
        others.sort(key=lambda o: (-similarity(route, _route(_route(o.name))), o.order))
        for at, other in enumerate(sorted(others[:3], key=lambda o: o.order)):
            turned = self._differ and len(tensor.shape) == 2
            layout = NamedLayout("raw" if side else "base", (at, 3), 0, (1, 0) if turned else ())
            pair = (other, tensor) if side else (tensor, other)
            self._add(*pair, layout, "guess", f"part {at + 1} of 3 by order")

    def _aliases(self) -> None:
        """Second names of a tensor that has a partner by another."""
        for side in (0, 1):
            tensors = (self._base, self._raw)[side]
            known = {(f.raw if side else f.base): f for f in self._found}
            sized = _by_size(other for other in tensors if other.order in known)
            for tensor in self._left(side):
                near = sized[tensor.size] if is_telling(tensor) else []
                alike = (o for o in near if o.shape == tensor.shape and _alike(tensor, o))
                twin = next(alike, None)
                if twin is None or axes_between(tensor, twin) != tuple(range(len(tensor.shape))):
                    continue
                found = known[twin.order]
                pair = (self._base[found.base], tensor) if side else (tensor, self._raw[found.raw])
                certainty: Certainty = "guess" if found.certainty == "guess" else "likely"
                reason = f"equal to {twin.name}, of which it may be a second name"
                self._add(*pair, found.layout, certainty, reason)

    def _layout(self, base: Tensor, raw: Tensor) -> NamedLayout:
        """How the elements lie, by the shapes; by the frameworks where these do not tell."""
        if base.shape == raw.shape:
            square = len(base.shape) == 2 and base.shape[0] == base.shape[1]
            if is_telling(base) and _alike(base, raw) and (axes := axes_between(base, raw)):
                return _turned(axes)
            is_matrix = square and words_of(base.name)[-1:] == ("weight",) and self._differ
            return NamedLayout(axes=(1, 0)) if is_matrix and "emb" not in base.name else SAME
        return NamedLayout(axes=(1, 0)) if base.shape == raw.shape[::-1] else SAME


def _route(name: str) -> str:
    return name.rpartition(".")[0]


def _place(name: str) -> str:
    return name.rpartition(".")[2]


def _by_size(tensors: Iterable[Tensor]) -> dict[int, list[Tensor]]:
    found: dict[int, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        found[tensor.size].append(tensor)
    return found


def _may_be_third(tensor: Tensor, whole: Tensor) -> bool:
    """Whether a tensor may be one of three that another is, by size and name."""
    return whole.size == 3 * tensor.size and _place(whole.name).endswith(_place(tensor.name))


def _turned(axes: tuple[int, ...]) -> NamedLayout:
    return SAME if axes == tuple(range(len(axes))) else NamedLayout(axes=axes)


def _alike_groups(
    base: Sequence[Tensor], raw: Sequence[Tensor]
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Tensors of both sides that may have the same elements, by their size and figures.

    What is near to one of a group is in it, so none is alike to one of another.
    """
    sized: dict[int, list[tuple[float, int, Tensor]]] = defaultdict(list)
    for side, tensors in enumerate((base, raw)):
        for tensor in tensors:
            if is_telling(tensor):
                sized[tensor.size].append((tensor.stats.l2 or 0.0, side, tensor))
    for held in sized.values():
        held.sort(key=lambda item: item[:2])
        left = held
        while left:
            group, rest = [left[0]], []
            for item in left[1:]:
                near = item[0] <= group[-1][0] * (1 + 2 * _COARSE)
                if near and any(_alike(item[2], other) for _, _, other in group):
                    group.append(item)
                else:
                    rest.append(item)
            left = rest
            ours, theirs = ([t for _, s, t in group if s == side] for side in (0, 1))
            if ours and theirs:
                yield sorted(ours, key=_order), sorted(theirs, key=_order)


def _order(tensor: Tensor) -> int:
    return tensor.order


def _alike(base: Tensor, raw: Tensor) -> bool:
    return is_alike(base.stats, raw.stats, base.dtype, raw.dtype)


def _fit(base: Tensor, raw: Tensor) -> bool:
    """Whether one may be the other, by their shapes."""
    return base.shape == raw.shape or (len(base.shape) == 2 and base.shape == raw.shape[::-1])


def _aligned(
    ours: Sequence[Tensor], theirs: Sequence[Tensor], score: Callable[[str, str], float]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The pairs, in the order of both sides, whose names are the most alike in all."""
    if len(ours) * len(theirs) > _MOST:
        return
    best = [[0.0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for i in reversed(range(len(ours))):
        for j in reversed(range(len(theirs))):
            value = _value(ours[i], theirs[j], score)
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + value)
    i = j = 0
    while i < len(ours) and j < len(theirs):
        value = _value(ours[i], theirs[j], score)
        if value and best[i][j] == best[i + 1][j + 1] + value:
            yield ours[i], theirs[j]
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1


def _value(base: Tensor, raw: Tensor, score: Callable[[str, str], float]) -> float:
    """What a pair adds to an alignment; 0 where one cannot be the other."""
    found = score(base.name, raw.name) if _fit(base, raw) else 0.0
    return found if found >= _LEAST else 0.0
