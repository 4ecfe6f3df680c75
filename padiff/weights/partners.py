"""Which layers of two models take over from which, and which of them users take care of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from msgspec.structs import replace

from padiff.matching.classes import spelling
from padiff.matching.trees import match_trees
from padiff.tree import LayerTree, Node
from padiff.weights.inventory import Described, Inventory
from padiff.weights.special import SpecialInit, special_init

__all__ = ["LayerPair", "Partners", "Special", "candidates", "is_inside"]

LayerPair = tuple[Described, Described]
Routes = tuple[str, ...]
Roots = tuple[Node, Node]


@dataclass(frozen=True, slots=True, eq=False)
class Special:
    """A pair of layers, with all inside them, that a function of the user's takes care of."""

    base: Described
    raw: Described
    function: SpecialInit


@dataclass(frozen=True, slots=True, eq=False)
class Partners:
    """The pairs of layers in base's order, without those of special inits and what is in these."""

    pairs: tuple[LayerPair, ...]
    specials: tuple[Special, ...]


def candidates(
    base: Inventory, raw: Inventory, base_map: Routes, raw_map: Routes
) -> Iterator[Partners]:
    """The partners of the models as they are; then of what is inside, where layers only wrap it.

    Then of these with the layers of each container in one order on both sides, by class and shapes:
    they need not be defined in the order in which they run.
    """
    ours, theirs = _unwrapped(base.tree.roots[0]), _unwrapped(raw.tree.roots[0])
    maps = list(zip(base_map, raw_map, strict=True)) if base_map and raw_map else []
    for roots in product(ours, theirs):
        yield _match(base, raw, maps, roots)
    for a, b in product(ours, theirs):
        yield _match(base, raw, maps, (_sorted(a), _sorted(b)))


def _sorted(node: Node) -> Node:
    children = sorted(map(_sorted, node.children), key=_signature)
    return replace(node, children=tuple(children))


def _signature(node: Node) -> list[tuple[str, list[list[int]]]]:
    """What is the same in both frameworks of a layer and of all that is inside it."""
    return [
        (spelling(inner.name), [sorted(record.shape) for record in inner.tensors])
        for inner in node.walk()
        if inner.tensors
    ]


def _unwrapped(node: Node) -> list[Node]:
    """The layer, and each one inside another that is all in it that holds weights."""
    found = [node]
    while not node.tensors:
        holding = [child for child in node.children if any(n.tensors for n in child.walk())]
        if len(holding) != 1:
            break
        (node,) = holding
        found.append(node)
    return found


def _match(
    base: Inventory, raw: Inventory, maps: Sequence[tuple[str, str]], roots: Roots
) -> Partners:
    specials: dict[tuple[str, str], Special] = {}
    while True:
        taken = {a for a, _ in specials}, {b for _, b in specials}
        others = [(a, b) for a, b in maps if a not in taken[0] and b not in taken[1]]
        # what is inside special layers has no partners outside: that may change who goes with whom
        cut = _cut(roots[0], taken[0]), _cut(roots[1], taken[1])
        pairs = [pair for pair in _paired([*specials, *others], cut) if pair not in specials]
        found = _specials(base, raw, pairs)
        if not found:
            return Partners(
                tuple((base.layers[a], raw.layers[b]) for a, b in pairs),
                tuple(specials.values()),
            )
        specials |= found


def _specials(
    base: Inventory, raw: Inventory, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Special]:
    """The outermost of the pairs that a special init is registered for."""
    found: dict[tuple[str, str], Special] = {}
    for a, b in pairs:
        ours, theirs = base.layers[a], raw.layers[b]
        function = special_init(base.framework.name, ours.name, raw.framework.name, theirs.name)
        within = any(is_inside(a, s.base) or is_inside(b, s.raw) for s in found.values())
        if function is not None and not within:
            found[a, b] = Special(ours, theirs, function)
    return found


def is_inside(route: str, layer: Described) -> bool:
    """Whether the route is that of the layer, or of one below it."""
    return not layer.route or route == layer.route or route.startswith(f"{layer.route}.")


def _paired(maps: Sequence[tuple[str, str]], roots: Roots) -> list[tuple[str, str]]:
    """The routes of the layers that go together, the roots among them."""
    above = (roots[0].route, roots[1].route)
    fixed = [pair for pair in maps if pair != ("", "")]
    # that the models are a pair is known where both are at the route of a model
    if above != ("", "") and not any(pair[i] == above[i] for pair in fixed for i in (0, 1)):
        fixed.append(above)
    matching = match_trees(
        LayerTree((roots[0],)), LayerTree((roots[1],)), *zip(*fixed, strict=True)
    )
    return [(a.route, b.route) for a, b in matching.pairs]


def _cut(node: Node, routes: set[str]) -> Node:
    """The tree without what is below the layers at those routes."""
    if node.route in routes:
        return replace(node, children=())
    return replace(node, children=tuple(_cut(child, routes) for child in node.children))
