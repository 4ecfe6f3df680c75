"""Pair the layers below one pair of layers, though each side may group them in its own way."""

from collections import Counter
from collections.abc import Sequence, Set

from padiff.comparing.alignment import Candidate, align
from padiff.comparing.classes import does_one_thing, spelling
from padiff.tree import Node

__all__ = ["Siblings"]

Pairs = list[tuple[Candidate, Candidate]]


class Siblings:
    """Pairs lists of layers; those with an id in `settled` have their partner, or none, already."""

    def __init__(self, settled: Set[int]) -> None:
        self._settled = settled
        self._known: dict[int, Candidate] = {}

    def pair(self, base: Sequence[Node], raw: Sequence[Node]) -> list[tuple[Node, Node]]:
        """The pairs of the two lists, of layers in containers of theirs where these do not pair.

        Containers are opened, the tallest first, where that gives more layers a partner: what one
        side holds in one, the other may hold in two.
        """
        left, right = self._candidates(base), self._candidates(raw)
        pairs = self._pairs(left, right, numbers=True)
        if not _tallest(left, right):
            return [(a.node, b.node) for a, b in pairs]
        kept, wanted = _kept(pairs), _overlap(_leaves(left), _leaves(right))
        while kept < wanted and (height := _tallest(left, right)):
            left, right = self._opened(left, height), self._opened(right, height)
            others = self._pairs(left, right, numbers=False)
            if _kept(others) > kept:
                pairs, kept = others, _kept(others)
        return [(a.node, b.node) for a, b in pairs]

    def _pairs(
        self, left: Sequence[Candidate], right: Sequence[Candidate], *, numbers: bool
    ) -> Pairs:
        """Pairs of the lists as they are; between them, of what the containers left over hold."""
        found = align(left, right, numbers=numbers)
        pairs = [(left[i], right[j]) for i, j in (*found.in_order, *found.moved)]
        moved = {i for i, _ in found.moved}, {j for _, j in found.moved}
        begin = (0, 0)
        for end in [*found.in_order, (len(left), len(right))]:
            ours = [left[i] for i in range(begin[0], end[0]) if i not in moved[0]]
            theirs = [right[j] for j in range(begin[1], end[1]) if j not in moved[1]]
            begin = (end[0] + 1, end[1] + 1)
            height = _tallest(ours, theirs)
            if ours and theirs and height:
                # a wrapper is taller than what it wraps, and that may stand there unwrapped
                inside = self._opened(ours, height), self._opened(theirs, height)
                pairs += self._pairs(*inside, numbers=False)
        return pairs

    def _candidates(self, nodes: Sequence[Node]) -> list[Candidate]:
        return [self._candidate(node) for node in nodes if id(node) not in self._settled]

    def _candidate(self, node: Node) -> Candidate:
        if id(node) not in self._known:
            self._known[id(node)] = self._describe(node)
        return self._known[id(node)]

    def _describe(self, node: Node) -> Candidate:
        below = [self._candidate(child) for child in node.children]
        shapes = tuple(tuple(sorted(t.shape)) for t in node.tensors if t.phase in ("forward", None))
        # what one framework makes of several layers is one layer all the same
        single = not below or does_one_thing(node.name)
        return Candidate(
            node,
            node.route.rpartition(".")[2],
            shapes,
            frozenset().union(*(child.inside | {child.node.name} for child in below)),
            Counter([(spelling(node.name), shapes)]) if single else _leaves(below),
            1 + max(child.height for child in below) if below else 0,
        )

    def _opened(self, items: Sequence[Candidate], height: int) -> list[Candidate]:
        """The containers of that height replaced by what they hold."""
        nodes: list[Node] = []
        for item in items:
            nodes += item.node.children if item.height == height else [item.node]
        return self._candidates(nodes)


def _tallest(left: Sequence[Candidate], right: Sequence[Candidate]) -> int:
    return max((item.height for item in (*left, *right)), default=0)


def _leaves(items: Sequence[Candidate]) -> Counter[object]:
    total: Counter[object] = Counter()
    for item in items:
        total.update(item.leaves)
    return total


def _kept(pairs: Pairs) -> float:
    """How many layers have a partner, or can find one inside the pair of their containers."""
    return sum(
        _overlap(a.leaves, b.leaves)
        if bool(a.inside) == bool(b.inside)
        # a layer that is one on one side, and made of several on the other, settles these
        else max(a.leaves.total(), b.leaves.total())
        for a, b in pairs
    )


def _overlap(base: Counter[object], raw: Counter[object]) -> float:
    """As many as are of one kind, and half for those that may stand for one another."""
    same = (base & raw).total()
    return same + 0.5 * min(base.total() - same, raw.total() - same)
