"""The layer tree as lines, folded around one layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from padiff.render.words import named
from padiff.tree import LayerTree, Node

__all__ = ["MARKER", "Line", "name_below", "outline"]

MARKER = "<---  *** HERE ***"

_WHOLE = 16  # nodes; a tree this small is shown without folds
_AROUND = 3  # siblings shown on either side of the marked layer, and one fewer of its parents


@dataclass(frozen=True, slots=True)
class Line:
    """One layer, or a fold of several: `text` is safe to print, `marked` is the one looked for."""

    depth: int
    text: str
    marked: bool = False
    fold: bool = False


def outline(
    tree: LayerTree,
    route: str | None,
    call: int | None,
    room: int | None = None,
    *,
    whole: bool = False,
) -> list[Line]:
    """The tree, with one call of one layer marked and what is far from it folded.

    It takes at most `room` lines where there are so many; `whole` leaves out none.
    """
    path = _path(tree.roots, route, call)
    if whole or sum(1 for _ in tree.walk()) <= min(_WHOLE, room or _WHOLE):
        return list(_lines(tree.roots, path, 0, None, ""))
    for around in range(_AROUND, -1, -1):
        found = list(_lines(tree.roots, path, 0, around, ""))
        if room is None or len(found) <= room:
            return found
    return _around_mark(found, max(1, room or 1))


def _around_mark(found: list[Line], room: int) -> list[Line]:
    """As many lines as there is room for, with the one that is marked, or else the first."""
    at = next((i for i, line in enumerate(found) if line.marked), 0)
    begin = min(max(0, at + 2 - room), at)  # one after it, and what leads to it
    cut = found[begin : begin + room]
    if begin and not cut[0].marked:
        cut[0] = Line(cut[0].depth, "...", fold=True)
    if begin + room < len(found) and not cut[-1].marked:
        cut[-1] = Line(cut[-1].depth, "...", fold=True)
    return cut


def _path(nodes: Sequence[Node], route: str | None, call: int | None) -> list[Node]:
    """From a root down to the layer; empty when it is not in the tree."""
    for node in nodes:
        if (node.route, node.call) == (route, call):
            return [node]
        below = _path(node.children, route, call)
        if below:
            return [node, *below]
    return []


def _lines(
    nodes: Sequence[Node], path: Sequence[Node], depth: int, around: int | None, parent: str
) -> Iterator[Line]:
    """Siblings and what lies below the one on the path; runs of others as one line.

    So many siblings `around` it have a line, and one fewer of its parents; None is all.
    """
    at = next((i for i, node in enumerate(nodes) if path and node is path[0]), None)
    whole = around is None
    reach = 0 if around is None else around if len(path) == 1 else max(0, around - 1)
    folded = 0
    for i, node in enumerate(nodes):
        near = at is not None and abs(i - at) <= reach
        if not (whole or near):
            folded += 1
            continue
        if folded:
            yield _fold(folded, depth)
            folded = 0
        marked = i == at and len(path) == 1
        yield Line(depth, name_below(node, parent), marked)
        below = path[1:] if i == at else []
        if node.children and (whole or below):
            yield from _lines(node.children, below, depth + 1, around, node.route)
        elif node.children:
            yield _fold(sum(1 for _ in node.walk()) - 1, depth + 1)
    if folded:
        yield _fold(folded, depth)


def _fold(count: int, depth: int) -> Line:
    return Line(depth, f"... {count} {'layer' if count == 1 else 'layers'}", fold=True)


def name_below(node: Node, parent: str) -> str:
    """The class, and the part of the route that the parent does not say."""
    own = node.route.removeprefix(f"{parent}.") if parent else node.route
    call = f", call {node.call}" if node.call else ""
    kind = f"{named(node.name, 40)}{call}".removeprefix(", ")
    if own and kind:
        return f"{named(own, 40)} ({kind})"
    return named(own, 40) or kind or "the model itself"
