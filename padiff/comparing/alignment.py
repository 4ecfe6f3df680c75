"""Pair two sequences of layers in order: certain pairs first, then the best in the gaps."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from padiff.comparing.classes import class_score
from padiff.tree import Node

__all__ = ["Alignment", "Candidate", "align"]

_CELLS = 250_000  # about half a second; larger gaps are aligned a window at a time
_WINDOW = 128

Shapes = tuple[tuple[int, ...], ...]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node with what speaks for or against a partner.

    `name` is the last part of its route, `shapes` those of what it returned (of its parameters, in
    a section of those), each sorted, since layouts differ; `inside` the classes below it, `leaves`
    how many layers of each kind do its work, and `height` how many levels of layers these are.
    """

    node: Node
    name: str
    shapes: Shapes
    inside: frozenset[str]
    leaves: Counter[object]
    height: int

    @property
    def key(self) -> tuple[str, int]:
        return (self.node.route, self.node.call)

    @property
    def numbered(self) -> bool:
        """Whether the name is an index, so says where the layer stands and not what it is."""
        return self.name.isdecimal()


@dataclass(frozen=True, slots=True)
class Alignment:
    """Index pairs of two lists: those that increase on both sides, and those that cross them."""

    in_order: Pairs
    moved: Pairs


def _kinship(a: Candidate, b: Candidate) -> float | None:
    """How well the classes go together; None when they do not: a wrapper is not what it wraps."""
    same_class = class_score(a.node.name, b.node.name)
    if same_class is None or same_class == 2:
        return same_class
    wraps = a.node.name in b.inside or b.node.name in a.inside
    return None if wraps else same_class


def _score(a: Candidate, b: Candidate, trust_numbers: bool) -> float | None:
    """How much speaks for a pair; None or nothing above 0 when it must not be made."""
    same_class = _kinship(a, b)
    if same_class is None:
        return None
    same_route = a.key == b.key
    # nor is a single layer what is made of several, unless it has that one's name
    if same_class < 2 and not same_route and bool(a.inside) != bool(b.inside):
        return None
    total = 2.5 * same_class
    if a.numbered and b.numbered and not trust_numbers:
        total += 0.25 if a.name == b.name else 0.0
    elif same_route:
        total += 4.0
    elif a.name == b.name:
        total += 2.0
    if a.shapes and b.shapes:
        total += 1.5 if a.shapes == b.shapes else -0.5
    return total


def align(base: Sequence[Candidate], raw: Sequence[Candidate], *, numbers: bool) -> Alignment:
    """The best pairs: those of one route and call, then by class, shapes and order between them.

    With `numbers` the two lists are of one parent, so that indexes may mean the same in both.
    """
    trust = numbers and _numbers_agree(base, raw)
    same = _of_one_key(base, raw, trust)
    if all(i == j for i, j in same) and _all_twins(base, raw):
        return Alignment([(at, at) for at in range(len(base))], [])
    anchors = _longest_increasing(same)
    kept = set(anchors)
    moved = [pair for pair in same if pair not in kept]
    # a layer whose route says that it runs elsewhere is no partner for what runs here
    left = _others(len(base), {i for i, _ in moved})
    right = _others(len(raw), {j for _, j in moved})
    pairs: Pairs = []
    begin = (0, 0)
    for end in [*anchors, (len(base), len(raw))]:
        ours = left[bisect_left(left, begin[0]) : bisect_left(left, end[0])]
        theirs = right[bisect_left(right, begin[1]) : bisect_left(right, end[1])]
        gap = _align_gap([base[i] for i in ours], [raw[j] for j in theirs], trust)
        pairs += [(ours[i], theirs[j]) for i, j in gap]
        if end[0] < len(base):
            pairs.append(end)
        begin = (end[0] + 1, end[1] + 1)
    return Alignment(pairs, moved)


def _others(length: int, taken: Set[int]) -> list[int]:
    return [at for at in range(length) if at not in taken]


def _all_twins(base: Sequence[Candidate], raw: Sequence[Candidate]) -> bool:
    """Whether the lists are one list but for the names, which then tell less than the places."""
    return len(base) == len(raw) and all(
        a.shapes == b.shapes
        and a.leaves == b.leaves
        and bool(a.inside) == bool(b.inside)
        and class_score(a.node.name, b.node.name) == 2
        for a, b in zip(base, raw, strict=True)
    )


def _numbers_agree(base: Sequence[Candidate], raw: Sequence[Candidate]) -> bool:
    """Whether equal indexes mean equal layers: as many on both sides, none of another kind."""
    by_key = {c.key: c for c in raw if c.numbered}
    numbered = [c for c in base if c.numbered]
    return len(numbered) == len(by_key) and all(
        c.key not in by_key or _kinship(c, by_key[c.key]) is not None for c in numbered
    )


def _of_one_key(base: Sequence[Candidate], raw: Sequence[Candidate], trust: bool) -> Pairs:
    """Pairs of one route and call that may be the same layer."""
    places = {c.key: j for j, c in enumerate(raw)}
    return [
        (i, places[c.key])
        for i, c in enumerate(base)
        if c.key in places
        and (not c.numbered or (trust and c.shapes == raw[places[c.key]].shapes))
        and _kinship(c, raw[places[c.key]]) is not None
    ]


def _longest_increasing(pairs: Sequence[tuple[int, int]]) -> Pairs:
    """The longest subsequence of `pairs`, sorted by the first, that increases in the second."""
    tails: list[int] = []  # the least second number that ends a series of each length
    ends: list[int] = []  # and where in `pairs` it stands
    before: list[int] = []
    for at, (_, second) in enumerate(pairs):
        length = bisect_left(tails, second)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [second]
        ends[length : length + 1] = [at]
    series: Pairs = []
    at = ends[-1] if ends else -1
    while at >= 0:
        series.append(pairs[at])
        at = before[at]
    return series[::-1]


def _align_gap(base: Sequence[Candidate], raw: Sequence[Candidate], trust: bool) -> Pairs:
    if not base or not raw:
        return []
    if len(base) * len(raw) <= _CELLS:
        return _align_best(base, raw, lambda a, b: _score(a, b, trust))
    return _align_far(base, raw, lambda a, b: _score(a, b, trust))


Score = Callable[[Candidate, Candidate], float | None]


def _align_best(base: Sequence[Candidate], raw: Sequence[Candidate], rate: Score) -> Pairs:
    """The alignment of the greatest total, by dynamic programming over all prefixes."""
    width = len(raw) + 1
    best = [[0.0] * width for _ in range(len(base) + 1)]
    taken = [[False] * width for _ in range(len(base) + 1)]
    # from the end, so that of equal alignments the one that pairs early layers is found
    for i in range(len(base) - 1, -1, -1):
        row, below = best[i], best[i + 1]
        for j in range(len(raw) - 1, -1, -1):
            row[j] = max(below[j], row[j + 1])
            rated = rate(base[i], raw[j])
            if rated is not None and rated > 0 and rated + below[j + 1] >= row[j]:
                row[j] = rated + below[j + 1]
                taken[i][j] = True
    pairs: Pairs = []
    i = j = 0
    while i < len(base) and j < len(raw):
        if taken[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _align_far(base: Sequence[Candidate], raw: Sequence[Candidate], rate: Score) -> Pairs:
    """The best alignment of a window that moves on by half its length: in linear time.

    What one side has more of, at one place, than half a window is not bridged.
    """
    pairs: Pairs = []
    i = j = 0
    while i < len(base) and j < len(raw):
        found = _align_best(base[i : i + _WINDOW], raw[j : j + _WINDOW], rate)
        last = i + _WINDOW >= len(base)
        kept = [(i + a, j + b) for a, b in found if last or a < _WINDOW // 2]
        pairs += kept
        i = len(base) if last else i + _WINDOW // 2
        j = kept[-1][1] + 1 if kept else j
    return pairs
