"""How much speaks for two layers being one: classes, shapes, contents and names."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from padiff.matching.classes import class_score
from padiff.tree import Node

__all__ = ["Candidate", "Kind", "Scores", "Shapes", "kinship", "may_be_twins", "overlap", "twins"]

# What speaks for a pair, where 1 is for two layers of one class and shapes. A layer of another
# width is found by its route only where no twin of it is lost by that.
_CLASS = 0.4  # times the score of the two classes, of at most 2
_SHAPES = 0.2
_OTHER_SHAPES = -0.3
_ROUTE = 0.45
_NAME = 0.15
_NUMBER = 0.03
_NEVER = -inf

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What there is to know a layer by but its name, once for all layers of which it is the same.

    `name` is the class in one spelling, `shapes` those of what it returned (of its parameters, in
    a section of those), each sorted, since layouts differ; `inside` the classes below it, `leaves`
    how many layers of each sort do its work, `size` how many in all, and `height` how many levels
    of layers these are.
    """

    name: str
    shapes: Shapes
    inside: frozenset[str]
    leaves: Counter[object]
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node with what speaks for or against a partner; `name` is the last part of its route."""

    node: Node
    name: str
    kind: Kind

    @property
    def key(self) -> tuple[str, int]:
        return (self.node.route, self.node.call)

    @property
    def numbered(self) -> bool:
        """Whether the name says by its number where the layer stands, and less what it is."""
        return self.name[-1:].isdecimal()


def overlap(base: Counter[object], raw: Counter[object]) -> float:
    """As many as are of one sort, and half for those that may stand for one another."""
    same = (base & raw).total()
    return same + 0.5 * min(base.total() - same, raw.total() - same)


def twins(a: Kind, b: Kind) -> bool:
    """Whether they are of one class and shapes, or hold the same layers under two users' names."""
    if a is b:
        return True
    if a.shapes != b.shapes or a.leaves != b.leaves:
        return False
    same_class = kinship(a, b)
    return same_class == 2 or (same_class is not None and bool(a.inside and b.inside))


def may_be_twins(a: Kind, b: Kind) -> bool:
    """Whether nothing but a class that only its user knows is between two single layers."""
    return not a.inside and not b.inside and a.shapes == b.shapes and kinship(a, b) == 0


def kinship(a: Kind, b: Kind) -> float | None:
    """How well the classes go together; None when they do not: a wrapper is not what it wraps."""
    same_class = class_score(a.name, b.name)
    if same_class is None or same_class == 2:
        return same_class
    return None if a.name in b.inside or b.name in a.inside else same_class


def _likeness(a: Kind, b: Kind, *, same_route: bool) -> float:
    """How much speaks for a pair but for its names; a pair of nothing above 0 is not made."""
    same_class = kinship(a, b)
    if same_class is None:
        return _NEVER
    # nor is a single layer what is made of several, unless it has that one's name
    if same_class < 2 and not same_route and bool(a.inside) != bool(b.inside):
        return _NEVER
    total = _CLASS * same_class
    if a.shapes and b.shapes:
        total += _SHAPES if a.shapes == b.shapes else _OTHER_SHAPES
    if a.inside and b.inside:
        total += overlap(a.leaves, b.leaves)
    return total


class Scores:
    """How much speaks for each pair of two lists, found once for all layers of two kinds."""

    def __init__(self, numbers: bool) -> None:
        self._numbers = numbers
        self._known: dict[tuple[Kind, Kind], float] = {}

    def rows(self, base: Sequence[Candidate], raw: Sequence[Candidate]) -> list[list[float]]:
        """For each layer of base its score with every one of raw."""
        named: dict[str, list[int]] = defaultdict(list)
        for j, b in enumerate(raw):
            named[b.name].append(j)
        rows: dict[Kind, list[float]] = {}
        for a in base:
            if a.kind not in rows:
                rows[a.kind] = [self._of_kinds(a.kind, b.kind) for b in raw]
        return [self._with_names(a, raw, rows[a.kind], named) for a in base]

    def _with_names(
        self,
        a: Candidate,
        raw: Sequence[Candidate],
        row: list[float],
        named: Mapping[str, list[int]],
    ) -> list[float]:
        if a.name not in named:
            return row
        row = row.copy()
        for j in named[a.name]:
            same_route = a.key == raw[j].key
            rated = _likeness(a.kind, raw[j].kind, same_route=True) if same_route else row[j]
            if a.numbered and not self._numbers:
                row[j] = rated + _NUMBER
            else:
                row[j] = rated + (_ROUTE if same_route else _NAME)
        return row

    def _of_kinds(self, a: Kind, b: Kind) -> float:
        if (a, b) not in self._known:
            self._known[a, b] = _likeness(a, b, same_route=False)
        return self._known[a, b]
