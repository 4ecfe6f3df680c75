"""Which layer of base is which of raw. What finds no partner is part of the answer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from padiff.errors import FormatError
from padiff.matching.classes import class_score
from padiff.matching.siblings import Siblings
from padiff.tree import LayerTree, Node

__all__ = ["Matching", "match_trees"]

NodePairs = list[tuple[Node, Node]]


@dataclass(frozen=True, slots=True)
class Matching:
    """Every node of two trees once: in a pair, or alone on its side."""

    pairs: tuple[tuple[Node, Node], ...]
    base_only: tuple[Node, ...]
    raw_only: tuple[Node, ...]


def match_trees(
    base: LayerTree,
    raw: LayerTree,
    base_map: Sequence[str] = (),
    raw_map: Sequence[str] = (),
    known: Sequence[tuple[str, str]] = (),
) -> Matching:
    """Pair the nodes of two trees, of calls or of parameters.

    The i-th route of one layer map goes with the i-th of the other, call by call; next come the
    pairs of routes that are `known` from elsewhere. All else goes with a partner below the same
    pair of parents, in order of execution, or by route and call where the order differs; where that
    leaves layers alone, also with one that the other side keeps in another container. FormatError
    when both sides have a layer map and these differ in length.
    """
    pairs, mapped = _match_maps(base, raw, base_map, raw_map)
    pairs += zip(_models(base), _models(raw), strict=False)
    settled = mapped | _ids(pairs)
    if known:
        found, ruled = _match_known(base, raw, known, settled)
        pairs += found
        settled |= ruled
        pairs += _by_contents(base, raw, pairs, settled)
        settled |= _ids(pairs)
    pairs += _match_lists(Siblings(settled), base, raw, pairs)
    ours, theirs = list(base.walk()), list(raw.walk())
    if len(pairs) < min(len(ours), len(theirs)):
        pairs += _by_contents(base, raw, pairs, settled)
    paired = _ids(pairs)
    order = {id(node): place for place, node in enumerate(ours)}
    return Matching(
        tuple(sorted(pairs, key=lambda pair: order[id(pair[0])])),
        tuple([node for node in ours if id(node) not in paired]),
        tuple([node for node in theirs if id(node) not in paired]),
    )


def _match_lists(
    siblings: Siblings, base: LayerTree, raw: LayerTree, above: NodePairs
) -> NodePairs:
    """The pairs of all that is below those pairs of layers, and of what is called outside them."""
    pairs: NodePairs = []
    lists = [(base.roots, raw.roots), *((a.children, b.children) for a, b in above)]
    while lists:
        ours, theirs = lists.pop()
        in_step = siblings.in_step(ours, theirs)
        if in_step is not None:
            pairs += in_step
            continue
        found = siblings.pair(ours, theirs)
        pairs += found
        lists += [(a.children, b.children) for a, b in found if a.children and b.children]
    return pairs


def _ids(pairs: NodePairs) -> set[int]:
    return {id(node) for pair in pairs for node in pair}


def _models(tree: LayerTree) -> list[Node]:
    return [root for root in tree.roots if not root.route]


def _match_maps(
    base: LayerTree, raw: LayerTree, base_map: Sequence[str], raw_map: Sequence[str]
) -> tuple[NodePairs, set[int]]:
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
    pairs: NodePairs = []
    mapped = {id(node) for node in calls.values()}
    for node in base.walk():
        if node.route in partner:
            mapped.add(id(node))
            if (partner[node.route], node.call) in calls:
                pairs.append((node, calls[partner[node.route], node.call]))
    return pairs, mapped


def _match_known(
    base: LayerTree, raw: LayerTree, known: Sequence[tuple[str, str]], settled: Set[int]
) -> tuple[NodePairs, set[int]]:
    """Layers by pairs of routes, each in the first that names it; the ids of all that are named."""
    ours, theirs = (
        {node.route: node for node in tree.walk() if id(node) not in settled}
        for tree in (base, raw)
    )
    pairs: NodePairs = []
    named: set[int] = set()
    for route, other in known:
        if route in ours and other in theirs:
            pair = ours[route], theirs[other]
            if named.isdisjoint(map(id, pair)):
                pairs.append(pair)
            named.update(map(id, pair))
    return pairs, named


def _by_contents(base: LayerTree, raw: LayerTree, pairs: NodePairs, settled: Set[int]) -> NodePairs:
    """Containers left over on both sides that hold the same pairs of layers, and little else."""
    taken = settled | _ids(pairs)
    # a pair counts as one layer when it is one on either side
    single = {
        id(node): at
        for at, pair in enumerate(pairs)
        if not all(node.children for node in pair)
        for node in pair
    }
    left, right = (_contents(tree, single, taken) for tree in (base, raw))
    holding: dict[frozenset[int], list[Node]] = defaultdict(list)
    for b, inside in right:
        holding[inside].append(b)
    found: NodePairs = []
    for a, inside in left:
        fit = [b for b in holding[inside] if class_score(a.name, b.name) is not None]
        if fit:
            best = max(fit, key=lambda b: class_score(a.name, b.name) or 0)
            holding[inside] = [b for b in holding[inside] if b is not best]
            found.append((a, best))
    return found


def _contents(
    tree: LayerTree, single: Mapping[int, int], taken: Set[int]
) -> list[tuple[Node, frozenset[int]]]:
    """The containers that are not taken, outermost first, and the pairs they hold.

    Left out are those that hold more layers without a partner than with one.
    """
    found: list[tuple[Node, frozenset[int]]] = []

    def visit(node: Node) -> tuple[frozenset[int], int]:
        at = len(found)
        if id(node) in single:
            return frozenset([single[id(node)]]), 1
        if not node.children:
            return frozenset(), 1
        below = [visit(child) for child in node.children]
        inside = frozenset().union(*(pairs for pairs, _ in below))
        layers = sum(count for _, count in below)
        if id(node) not in taken and 2 * len(inside) >= max(1, layers):
            found.insert(at, (node, inside))
        return inside, layers

    if any(node.children and id(node) not in taken for node in tree.walk()):
        for root in tree.roots:
            visit(root)
    return found
