"""Which layer of base is which of raw, and which of their tensors belong together.

What finds no partner is part of the answer, never dropped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from padiff.comparing.alignment import Candidate, align, candidates, kinship
from padiff.errors import FormatError
from padiff.tree import LayerTree, Node, TensorRecord

__all__ = ["Matching", "TensorMatching", "match_tensors", "match_trees"]


@dataclass(frozen=True, slots=True)
class Matching:
    """Every node of two trees once: in a pair, or alone on its side."""

    pairs: tuple[tuple[Node, Node], ...]
    base_only: tuple[Node, ...]
    raw_only: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class TensorMatching:
    """Every tensor of a pair of nodes once, as in `Matching`."""

    pairs: tuple[tuple[TensorRecord, TensorRecord], ...]
    base_only: tuple[TensorRecord, ...]
    raw_only: tuple[TensorRecord, ...]


@dataclass(slots=True)
class _Trees:
    """The state of one matching: what is settled so far."""

    mapped: set[int]  # ids of the nodes that the layer map pairs, or leaves alone
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    base_left: list[Candidate] = field(default_factory=list)
    raw_left: list[Candidate] = field(default_factory=list)


def match_trees(
    base: LayerTree,
    raw: LayerTree,
    base_map: Sequence[str] = (),
    raw_map: Sequence[str] = (),
) -> Matching:
    """Pair the nodes of two trees, of calls or of parameters.

    The i-th route of one layer map goes with the i-th of the other, call by call. All else goes
    with a partner below the same pair of parents: first in order of execution, then by route and
    call where the order differs; layers that one side wraps once more are sought inside the
    wrapper. FormatError when both sides have a layer map and these differ in length.
    """
    mapped_pairs, mapped = _match_maps(base, raw, base_map, raw_map)
    trees = _Trees(mapped, list(mapped_pairs))
    models = list(zip(_models(base), _models(raw), strict=False))
    trees.pairs += models
    rooted = {id(node) for pair in models for node in pair}
    _match_below(
        trees,
        [node for node in base.roots if id(node) not in rooted],
        [node for node in raw.roots if id(node) not in rooted],
    )
    for a, b in [*models, *mapped_pairs]:
        _match_below(trees, a.children, b.children)
    paired = {id(node) for pair in trees.pairs for node in pair}
    order = {id(node): place for place, node in enumerate(base.walk())}
    return Matching(
        tuple(sorted(trees.pairs, key=lambda pair: order[id(pair[0])])),
        tuple(node for node in base.walk() if id(node) not in paired),
        tuple(node for node in raw.walk() if id(node) not in paired),
    )


def _models(tree: LayerTree) -> list[Node]:
    return [root for root in tree.roots if not root.route]


def _match_maps(
    base: LayerTree, raw: LayerTree, base_map: Sequence[str], raw_map: Sequence[str]
) -> tuple[list[tuple[Node, Node]], set[int]]:
    if not base_map or not raw_map:
        return [], set()
    if len(base_map) != len(raw_map):
        raise FormatError(
            f"expected layer maps of one length, found {len(base_map)} layers in that of base "
            f"({', '.join(base_map)}) and {len(raw_map)} in that of raw ({', '.join(raw_map)}): "
            "set them anew and dump again"
        )
    partner = dict(zip(base_map, raw_map, strict=True))
    calls = {(node.route, node.call): node for node in raw.walk() if node.route in set(raw_map)}
    pairs = []
    mapped = {id(node) for node in calls.values()}
    for node in base.walk():
        if node.route in partner:
            mapped.add(id(node))
            if (partner[node.route], node.call) in calls:
                pairs.append((node, calls[partner[node.route], node.call]))
    return pairs, mapped


def _match_below(trees: _Trees, base: Sequence[Node], raw: Sequence[Node]) -> None:
    """Pair two lists of siblings, and whatever lies below the pairs."""
    stack = [(base, raw)]
    while stack:
        left, right = stack.pop()
        for a, b in _match_siblings(trees, left, right):
            trees.pairs.append((a, b))
            stack.append((a.children, b.children))


def _match_siblings(
    trees: _Trees, base: Sequence[Node], raw: Sequence[Node]
) -> Iterator[tuple[Node, Node]]:
    """Pairs of siblings; when containers are left over on both sides, pairs of what they hold."""
    left = candidates([node for node in base if id(node) not in trees.mapped])
    right = candidates([node for node in raw if id(node) not in trees.mapped])
    while left and right:
        pairs = align(left, right)
        yield from ((left[i].node, right[j].node) for i, j in pairs)
        left = _without(left, {i for i, _ in pairs})
        right = _without(right, {j for _, j in pairs})
        moved = _moved(left, right)
        yield from ((left[i].node, right[j].node) for i, j in moved)
        left = _without(left, {i for i, _ in moved})
        right = _without(right, {j for _, j in moved})
        tallest = max((item.height for item in (*left, *right)), default=0)
        if not tallest:
            return
        # a wrapper is taller than what it wraps, which may stand unwrapped on the other side
        left = _opened(trees, left, tallest)
        right = _opened(trees, right, tallest)


def _without(items: list[Candidate], taken: set[int]) -> list[Candidate]:
    return [item for at, item in enumerate(items) if at not in taken]


def _moved(left: Sequence[Candidate], right: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Layers of one route and call that the two sides run in another order."""
    places = {c.key: j for j, c in enumerate(right) if not c.numbered}
    return [
        (i, places[c.key])
        for i, c in enumerate(left)
        if c.key in places and kinship(c, right[places[c.key]]) is not None
    ]


def _opened(trees: _Trees, items: Sequence[Candidate], height: int) -> list[Candidate]:
    """The containers of that height replaced by what they hold."""
    nodes: list[Node] = []
    for item in items:
        if item.height == height:
            nodes += [child for child in item.node.children if id(child) not in trees.mapped]
        else:
            nodes.append(item.node)
    return candidates(nodes)


def match_tensors(base: Sequence[TensorRecord], raw: Sequence[TensorRecord]) -> TensorMatching:
    """Pair the tensors of two matched nodes by phase and place.

    Then by a place that differs in case alone; then, where just as many are left of a phase on both
    sides and their shapes agree in turn, in order: a dict on one side may be a tuple on the other.
    """
    rows = {id(record): at for at, record in enumerate(base)}
    pairs = _by_key(base, raw, lambda record: (record.phase, record.place))
    left, right = _rest(base, raw, pairs)
    pairs += _by_key(left, right, lambda record: (record.phase, record.place.casefold()))
    left, right = _rest(base, raw, pairs)
    for phase in {record.phase for record in left}:
        ours = [record for record in left if record.phase == phase]
        theirs = [record for record in right if record.phase == phase]
        alone = all(sum(r.phase == phase for r in side) == 1 for side in (base, raw))
        if len(ours) == len(theirs) and (
            alone or all(_layout(a) == _layout(b) for a, b in zip(ours, theirs, strict=True))
        ):
            pairs += zip(ours, theirs, strict=True)
    left, right = _rest(base, raw, pairs)
    pairs.sort(key=lambda pair: rows[id(pair[0])])
    return TensorMatching(tuple(pairs), tuple(left), tuple(right))


Pairs = list[tuple[TensorRecord, TensorRecord]]


def _by_key(
    base: Sequence[TensorRecord],
    raw: Sequence[TensorRecord],
    key: Callable[[TensorRecord], tuple[str | None, str]],
) -> Pairs:
    found = {key(record): record for record in reversed(raw)}
    return [(record, found.pop(key(record))) for record in base if key(record) in found]


def _rest(
    base: Sequence[TensorRecord], raw: Sequence[TensorRecord], pairs: Pairs
) -> tuple[list[TensorRecord], list[TensorRecord]]:
    taken = {id(record) for pair in pairs for record in pair}
    return (
        [record for record in base if id(record) not in taken],
        [record for record in raw if id(record) not in taken],
    )


def _layout(record: TensorRecord) -> object:
    """The shape; by axis name where these are known, since the axes may be in another order."""
    if record.dims is None:
        return record.shape
    return dict(zip(record.dims, record.shape, strict=False))
