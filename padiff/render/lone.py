"""Layers that one side alone calls on the way to a layer or inside it."""

from collections.abc import Iterator, Sequence, Set

from padiff.comparing.comparison import Comparison, Record
from padiff.matching.classes import does_one_thing
from padiff.tree import LayerTree, Node, TensorRecord

__all__ = ["called_alone"]


def called_alone(
    comparison: Comparison, first: Record, layer: Node, side: int
) -> Iterator[tuple[str, list[Node]]]:
    """The layers of base (0) or raw (1) without a partner `before` the layer and `inside` it.

    Before it are those that ran since the last layer with a partner. What returned just what the
    layer before it had returned is left out: an identity, a dropout in evaluation mode.
    """
    lone = {
        (item.route, item.call)
        for item in comparison.unmatched
        if (item.step, item.rank, item.section) == (first.step, first.rank, "report")
        and item.kind == "layer"
        and item.side == ("base", "raw")[side]
    }
    tree = comparison.first_trees[side]
    before = [node for node in _before(tree, layer, lone) if _changes(tree, node)]
    if before:
        yield "before", before
    # what one framework makes of several layers is one layer in the other
    if first.phase == "forward" and not does_one_thing(layer.name):
        inside = [node for node in _outermost(layer.children, lone) if _changes(tree, node)]
        if inside:
            yield "inside", inside


def _before(tree: LayerTree, layer: Node, lone: Set[tuple[str, int]]) -> list[Node]:
    """Without a partner, from the last layer that has one to this: in the order in which they ran.

    Layers inside these go with them.
    """
    found: list[Node] = []
    path = _path(tree.roots, layer)
    levels = [tree.roots, *(node.children for node in path[:-1])]
    for siblings, node in zip(reversed(levels), reversed(path), strict=True):
        at = next(i for i, sibling in enumerate(siblings) if sibling is node)
        if _collect(siblings[:at], lone, found):
            break
    return found[::-1]


def _collect(nodes: Sequence[Node], lone: Set[tuple[str, int]], found: list[Node]) -> bool:
    """Add the last layers to `found`, latest first; whether one with a partner ended it."""
    for node in reversed(nodes):
        if all((inner.route, inner.call) in lone for inner in node.walk()):
            found.append(node)
            continue
        if (node.route, node.call) in lone:  # a container, of layers that have one
            _collect(node.children, lone, found)
        return True
    return False


def _path(nodes: Sequence[Node], layer: Node) -> list[Node]:
    """From a root down to the layer."""
    for node in nodes:
        if node is layer:
            return [node]
        below = _path(node.children, layer)
        if below:
            return [node, *below]
    return []


def _outermost(nodes: Sequence[Node], lone: Set[tuple[str, int]]) -> Iterator[Node]:
    """Without a partner, and not inside a layer that has one: what that returned is compared."""
    for node in nodes:
        if all((inner.route, inner.call) in lone for inner in node.walk()):
            yield node
        elif (node.route, node.call) in lone:
            yield from _outermost(node.children, lone)


def _changes(tree: LayerTree, node: Node) -> bool:
    """Whether a layer returned something else than what came before it."""
    given = [tensor for tensor in node.tensors if tensor.phase == "input"] or _latest(tree, node)
    returned = [tensor for tensor in node.tensors if tensor.phase == "forward"]
    if not given or not returned or given[0].stats is None:
        return True
    return given[0].stats != returned[0].stats


def _latest(tree: LayerTree, node: Node) -> list[TensorRecord]:
    """What was returned last before the layer was called, or given to the model."""
    earlier = (
        tensor
        for other in tree.walk()
        for tensor in other.tensors
        if tensor.phase != "backward" and tensor.order < node.order
    )
    return sorted(earlier, key=lambda tensor: tensor.order)[-1:]
