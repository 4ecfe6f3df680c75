"""Which layers of two models take over from which, and which of them users take care of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from msgspec.structs import replace

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
    """The partners of the models as they are; then of what is inside, where layers only wrap it."""
    ours, theirs = _unwrapped(base.tree.roots[0]), _unwrapped(raw.tree.roots[0])
    maps = list(zip(base_map, raw_map, strict=True)) if base_map and raw_map else []
    for roots in product(ours, theirs):
        yield _match(base, raw, [pair for pair in maps if pair != ("", "")], roots)


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
    pairs = _paired(maps, roots)
    specials: list[Special] = []
    for a, b in pairs:
        ours, theirs = base.layers[a], raw.layers[b]
        function = special_init(base.framework.name, ours.name, raw.framework.name, theirs.name)
        within = any(is_inside(a, s.base) or is_inside(b, s.raw) for s in specials)
        if function is not None and not within:
            specials.append(Special(ours, theirs, function))
    if specials:
        # what is inside them has no partners outside
        cut = (
            _cut(roots[0], {special.base.route for special in specials}),
            _cut(roots[1], {special.raw.route for special in specials}),
        )
        fixed = [(special.base.route, special.raw.route) for special in specials]
        others = [pair for pair in maps if not any(pair[i] == f[i] for f in fixed for i in (0, 1))]
        pairs = [pair for pair in _paired([*fixed, *others], cut) if pair not in fixed]
    return Partners(
        tuple((base.layers[a], raw.layers[b]) for a, b in pairs),
        tuple(specials),
    )


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
