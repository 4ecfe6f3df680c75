"""The layer tree as lines, folded around one layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from padiff.render.words import clean
from padiff.tree import LayerTree, Node

__all__ = ["MARKER", "Line", "Marked", "name_below", "outline", "outlines"]

MARKER = "<---  *** HERE ***"

_WHOLE = 16  # nodes; a tree this small is shown without folds
_COLUMNS = 100  # that both trees side by side may take
_AROUND = 2  # siblings shown on either side of the marked layer, and one fewer of its parents


@dataclass(frozen=True, slots=True)
class Line:
    """One layer, or a fold of several: `text` is safe to print, `marked` is the one looked for."""

    depth: int
    text: str
    marked: bool = False


Marked = tuple[LayerTree, str | None, int | None]  # a tree, and route and call of one layer


def outlines(base: Marked, raw: Marked) -> list[str]:
    """Both layer trees, one layer of each marked; side by side where there is room."""
    columns = []
    for label, marked in (("base", base), ("raw", raw)):
        column = [label]
        for line in outline(*marked):
            text = "  " * line.depth + line.text
            column.append(f"{text}  {MARKER}" if line.marked else text)
        columns.append(column)
    left, right = columns
    width = max(map(len, left))
    if width + max(map(len, right)) + 4 > _COLUMNS:
        return [f"  {line}" for line in (*left, *right)]
    return [f"  {a:<{width}}  {b}".rstrip() for a, b in zip_longest(left, right, fillvalue="")]


def outline(tree: LayerTree, route: str | None, call: int | None) -> list[Line]:
    """The tree, with one call of one layer marked and what is far from it folded."""
    path = _path(tree.roots, route, call)
    whole = sum(1 for _ in tree.walk()) <= _WHOLE
    return list(_lines(tree.roots, path, 0, whole, ""))


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
    nodes: Sequence[Node], path: Sequence[Node], depth: int, whole: bool, parent: str
) -> Iterator[Line]:
    """Siblings and what lies below the one on the path; runs of others as one line."""
    at = next((i for i, node in enumerate(nodes) if path and node is path[0]), None)
    reach = _AROUND if len(path) == 1 else _AROUND - 1
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
            yield from _lines(node.children, below, depth + 1, whole, node.route)
        elif node.children:
            yield _fold(sum(1 for _ in node.walk()) - 1, depth + 1)
    if folded:
        yield _fold(folded, depth)


def _fold(count: int, depth: int) -> Line:
    return Line(depth, f"... {count} {'layer' if count == 1 else 'layers'}")


def name_below(node: Node, parent: str) -> str:
    """The class, and the part of the route that the parent does not say."""
    own = node.route.removeprefix(f"{parent}.") if parent else node.route
    call = f", call {node.call}" if node.call else ""
    kind = f"{clean(node.name, 40)}{call}".removeprefix(", ")
    if own and kind:
        return f"{clean(own, 40)} ({kind})"
    return clean(own, 40) or kind or "the model itself"
