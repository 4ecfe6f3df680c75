"""Pair two sequences of layers in order: certain pairs first, then the best in the gaps."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from padiff.comparing.classes import class_score
from padiff.tree import Node

__all__ = ["Candidate", "align", "candidates", "kinship", "score"]

_CELLS = 250_000  # about half a second; larger gaps are aligned a window at a time
_WINDOW = 128

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node with what speaks for or against a partner.

    `name` is the last part of its route, `shapes` those of what it returned (of its parameters, in
    a section of those), each sorted, since layouts differ; `inside` the classes below it, and
    `height` how many levels of layers these are.
    """

    node: Node
    name: str
    shapes: Shapes
    inside: frozenset[str]
    height: int

    @property
    def key(self) -> tuple[str, int]:
        return (self.node.route, self.node.call)

    @property
    def numbered(self) -> bool:
        """Whether the name is an index, so says where the layer stands and not what it is."""
        return self.name.isdecimal()


def candidates(nodes: Sequence[Node]) -> list[Candidate]:
    """The nodes with their evidence."""
    return [
        Candidate(
            node,
            node.route.rpartition(".")[2],
            tuple(tuple(sorted(t.shape)) for t in node.tensors if t.phase in ("forward", None)),
            frozenset(below.name for child in node.children for below in child.walk()),
            _height(node),
        )
        for node in nodes
    ]


def _height(node: Node) -> int:
    return 1 + max(map(_height, node.children)) if node.children else 0


def kinship(a: Candidate, b: Candidate) -> float | None:
    """How well the classes go together; None when they do not: a wrapper is not what it wraps."""
    same_class = class_score(a.node.name, b.node.name)
    if same_class is None or same_class == 2:
        return same_class
    wraps = a.node.name in b.inside or b.node.name in a.inside
    return None if wraps else same_class


def score(a: Candidate, b: Candidate, trust_numbers: bool) -> float | None:
    """How much speaks for a pair; None or nothing above 0 when it must not be made."""
    same_class = kinship(a, b)
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


def align(base: Sequence[Candidate], raw: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Index pairs, increasing on both sides: those of one route and call, then the best between."""
    trust = _numbers_agree(base, raw)
    pairs: list[tuple[int, int]] = []
    i = j = 0
    for next_i, next_j in [*_anchors(base, raw, trust), (len(base), len(raw))]:
        gap = _align_gap(base[i:next_i], raw[j:next_j], trust)
        pairs += [(i + a, j + b) for a, b in gap]
        if next_i < len(base):
            pairs.append((next_i, next_j))
        i, j = next_i + 1, next_j + 1
    return pairs


def _numbers_agree(base: Sequence[Candidate], raw: Sequence[Candidate]) -> bool:
    """Whether equal indexes mean equal layers: as many on both sides, none of another kind."""
    by_key = {c.key: c for c in raw if c.numbered}
    numbered = [c for c in base if c.numbered]
    return len(numbered) == len(by_key) and all(
        c.key not in by_key or kinship(c, by_key[c.key]) is not None for c in numbered
    )


def _anchors(
    base: Sequence[Candidate], raw: Sequence[Candidate], trust: bool
) -> list[tuple[int, int]]:
    """Pairs of one route and call, the longest series of them that increases on both sides."""
    places = {c.key: j for j, c in enumerate(raw)}
    found = [
        (i, places[c.key])
        for i, c in enumerate(base)
        if c.key in places
        and (trust or not c.numbered)
        and kinship(c, raw[places[c.key]]) is not None
    ]
    return _longest_increasing(found)


def _longest_increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence of `pairs`, sorted by the first, that increases in the second."""
    tails: list[int] = []  # the least second number that ends a series of each length
    ends: list[int] = []  # and where in `pairs` it stands
    before: list[int] = []
    for at, (_, second) in enumerate(pairs):
        length = bisect_left(tails, second)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [second]
        ends[length : length + 1] = [at]
    series: list[tuple[int, int]] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        series.append(pairs[at])
        at = before[at]
    return series[::-1]


def _align_gap(
    base: Sequence[Candidate], raw: Sequence[Candidate], trust: bool
) -> list[tuple[int, int]]:
    if not base or not raw:
        return []
    if len(base) * len(raw) <= _CELLS:
        return _align_best(base, raw, lambda a, b: score(a, b, trust))
    return _align_far(base, raw, lambda a, b: score(a, b, trust))


Score = Callable[[Candidate, Candidate], float | None]


def _align_best(
    base: Sequence[Candidate], raw: Sequence[Candidate], rate: Score
) -> list[tuple[int, int]]:
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
    pairs: list[tuple[int, int]] = []
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


def _align_far(
    base: Sequence[Candidate], raw: Sequence[Candidate], rate: Score
) -> list[tuple[int, int]]:
    """The best alignment of a window that moves on by half its length: in linear time.

    What one side has more of, at one place, than half a window is not bridged.
    """
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(base) and j < len(raw):
        found = _align_best(base[i : i + _WINDOW], raw[j : j + _WINDOW], rate)
        last = i + _WINDOW >= len(base)
        kept = [(i + a, j + b) for a, b in found if last or a < _WINDOW // 2]
        pairs += kept
        i = len(base) if last else i + _WINDOW // 2
        j = kept[-1][1] + 1 if kept else j
    return pairs
