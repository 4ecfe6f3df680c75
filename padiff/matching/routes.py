"""Layers of which no more is known than their names, as in a file of another tool."""

from collections.abc import Sequence

from padiff.matching.trees import Matching
from padiff.tree import LayerTree

__all__ = ["has_classes", "match_routes"]


def has_classes(tree: LayerTree) -> bool:
    """Whether it is known what the layers are."""
    return any(node.name for node in tree.walk())


def match_routes(
    base: LayerTree, raw: LayerTree, known: Sequence[tuple[str, str]] = ()
) -> Matching:
    """Pair the layers of one route, and no others: to guess by order is to compare what is not one.

    What is called otherwise in raw is among the pairs of routes that are `known`. Layers that hold
    no tensor are in a pair or left out: that a file of weights has no name for them says nothing.
    """
    theirs = {(node.route, node.call): node for node in raw.walk()}
    named = dict(known)
    taken = set(named.values())
    pairs, base_only = [], []
    for node in base.walk():
        route = named.get(node.route)
        if route is None and node.route not in taken:
            route = node.route
        partner = None if route is None else theirs.pop((route, node.call), None)
        if partner is None:
            base_only.append(node)
        else:
            pairs.append((node, partner))
    lone = (
        [node for node in side if node.tensors or node.unrecorded]
        for side in (base_only, theirs.values())
    )
    return Matching(tuple(pairs), *map(tuple, lone))
