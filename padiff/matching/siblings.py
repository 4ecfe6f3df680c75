"""Pair the layers below one pair of layers, though each side may group them in its own way."""

from collections import Counter
from collections.abc import Iterable, Sequence, Set

from padiff.matching.alignment import align, all_twins
from padiff.matching.classes import class_score, does_one_thing, spelling
from padiff.matching.likeness import Candidate, Kind, Shapes, overlap
from padiff.tree import Node

__all__ = ["Siblings"]

Pairs = list[tuple[Candidate, Candidate]]


class Siblings:
    """Pairs lists of layers; those with an id in `settled` have their partner, or none, already."""

    def __init__(self, settled: Set[int]) -> None:
        self._settled = settled
        self._known: dict[int, Candidate] = {}
        self._kinds: dict[tuple[str, Shapes, tuple[Kind, ...]], Kind] = {}

    def pair(self, base: Sequence[Node], raw: Sequence[Node]) -> list[tuple[Node, Node]]:
        """The pairs of the two lists, of layers in containers of theirs where these do not pair.

        Containers are opened, the tallest first, where that gives more layers a partner: what one
        side holds in one, the other may hold in two.
        """
        left, right = self._candidates(base), self._candidates(raw)
        pairs = self._pairs(left, right, siblings=True)
        if not _tallest(left, right):
            return [(a.node, b.node) for a, b in pairs]
        if _containers_cross_layers(left, right, pairs):
            ours, theirs = self._workers(left), self._workers(right)
            if all_twins(ours, theirs):
                # grouped otherwise, not run otherwise: the names are those of other layers
                return [(a.node, b.node) for a, b in zip(ours, theirs, strict=True)]
        kept = _kept(pairs)
        wanted = overlap(_leaves(item.kind for item in left), _leaves(item.kind for item in right))
        while kept < wanted and (height := _tallest(left, right)):
            left, right = self._opened(left, height), self._opened(right, height)
            others = self._pairs(left, right, siblings=False)
            if _kept(others) > kept:
                pairs, kept = others, _kept(others)
        return [(a.node, b.node) for a, b in pairs]

    def in_step(self, base: Sequence[Node], raw: Sequence[Node]) -> list[tuple[Node, Node]] | None:
        """The pairs of two lists, and of all below them, where both are the same from end to end.

        None where they are not. It is the usual case, and needs no description of any layer.
        """
        pairs: list[tuple[Node, Node]] = []
        lists = [(base, raw)]
        while lists:
            ours, theirs = (self._unsettled(nodes) for nodes in lists.pop())
            if len(ours) != len(theirs):
                return None
            for a, b in zip(ours, theirs, strict=True):
                if not _same(a, b):
                    return None
                if a.children:
                    lists.append((a.children, b.children))
            pairs += zip(ours, theirs, strict=True)
        return pairs

    def _pairs(
        self, left: Sequence[Candidate], right: Sequence[Candidate], *, siblings: bool
    ) -> Pairs:
        """Pairs of the lists as they are; between them, of what the containers left over hold."""
        found = align(left, right, siblings=siblings)
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
                pairs += self._pairs(*inside, siblings=False)
        return pairs

    def _unsettled(self, nodes: Sequence[Node]) -> Sequence[Node]:
        if not self._settled:
            return nodes
        return [node for node in nodes if id(node) not in self._settled]

    def _candidates(self, nodes: Sequence[Node]) -> list[Candidate]:
        return [self._candidate(node) for node in self._unsettled(nodes)]

    def _candidate(self, node: Node) -> Candidate:
        if id(node) not in self._known:
            self._known[id(node)] = Candidate(node, node.route.rpartition(".")[2], self._kind(node))
        return self._known[id(node)]

    def _kind(self, node: Node) -> Kind:
        below = tuple([self._candidate(child).kind for child in node.children])
        name, shapes = spelling(node.name), _shapes(node)
        if (name, shapes, below) not in self._kinds:
            # what one framework makes of several layers is one layer all the same
            single = not below or does_one_thing(name)
            leaves = Counter[object]([(name, shapes)]) if single else _leaves(below)
            self._kinds[name, shapes, below] = Kind(
                name,
                shapes,
                frozenset().union(*(kind.inside | {kind.name} for kind in below)),
                leaves,
                leaves.total(),
                1 + max(kind.height for kind in below) if below else 0,
            )
        return self._kinds[name, shapes, below]

    def _workers(self, items: Sequence[Candidate]) -> list[Candidate]:
        """The layers that do the work, in order, whatever holds them."""
        found: list[Candidate] = []
        left = list(reversed(items))
        while left:
            item = left.pop()
            if not item.node.children or does_one_thing(item.node.name):
                found.append(item)
            else:
                left += reversed(self._candidates(item.node.children))
        return found

    def _opened(self, items: Sequence[Candidate], height: int) -> list[Candidate]:
        """The containers of that height replaced by what they hold."""
        nodes: list[Node] = []
        for item in items:
            nodes += item.node.children if item.kind.height == height else [item.node]
        return self._candidates(nodes)


def _same(a: Node, b: Node) -> bool:
    """Whether they are one layer of one model, run twice, but for what is below them."""
    return (
        a.route == b.route
        and a.call == b.call
        and (a.name == b.name or class_score(a.name, b.name) == 2)
        and bool(a.children) == bool(b.children)
        and _shapes(a) == _shapes(b)
    )


def _shapes(node: Node) -> Shapes:
    return tuple(
        [
            tuple(sorted(t.shape))
            for t in node.tensors
            # which buffers a layer keeps is a framework's choice
            if t.phase in ("forward", None) and not t.buffer
        ]
    )


def _containers_cross_layers(
    left: Sequence[Candidate], right: Sequence[Candidate], pairs: Pairs
) -> bool:
    """Whether a container and a single layer of the two lists are paired the wrong way round."""
    places = {id(b): j for j, b in enumerate(right)}
    partners = {id(a): places[id(b)] for a, b in pairs if id(b) in places}
    last = {True: -1, False: -1}  # the last partner of a container so far, and of a single layer
    for a in left:
        at, holds = partners.get(id(a), -1), bool(a.kind.inside)
        if 0 <= at < last[not holds]:
            return True
        last[holds] = max(last[holds], at)
    return False


def _tallest(left: Sequence[Candidate], right: Sequence[Candidate]) -> int:
    return max((item.kind.height for item in (*left, *right)), default=0)


def _leaves(kinds: Iterable[Kind]) -> Counter[object]:
    total: Counter[object] = Counter()
    for kind, times in Counter(kinds).items():
        for leaf, count in kind.leaves.items():
            total[leaf] += times * count
    return total


def _kept(pairs: Pairs) -> float:
    """How many layers have a partner, or can find one inside the pair of their containers."""
    total = 0.0
    for (a, b), times in Counter((a.kind, b.kind) for a, b in pairs).items():
        if bool(a.inside) == bool(b.inside):
            total += times * overlap(a.leaves, b.leaves)
        else:  # a layer that is one on one side, and made of several on the other, settles these
            total += times * max(a.size, b.size)
    return total
