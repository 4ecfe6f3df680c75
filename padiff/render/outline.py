"""The layer tree as lines, folded around one layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from padiff.render import lines
from padiff.render.words import named
from padiff.tree import LayerTree, Node

__all__ = ["MARKER", "Line", "Marked", "name_below", "outline", "outlines"]

MARKER = "<---  *** HERE ***"

_WHOLE = 16  # nodes; a tree this small is shown without folds
_WIDTH = 80
_AROUND = 2  # siblings shown on either side of the marked layer, and one fewer of its parents
_NARROW = 16  # cells of a layer's name, at least
_KIND = 12  # and of its class


@dataclass(frozen=True, slots=True)
class Line:
    """One layer, or a fold of several: `text` is safe to print, `marked` is the one looked for."""

    depth: int
    text: str
    marked: bool = False
    fold: bool = False


Marked = tuple[LayerTree, str | None, int | None]  # a tree, and route and call of one layer


def outlines(
    base: Marked,
    raw: Marked,
    width: int = _WIDTH,
    room: int | None = None,
    *,
    whole: bool = False,
) -> list[lines.Line]:
    """Both layer trees, one layer of each marked; side by side where there is room.

    They take at most `width` cells and about `room` lines; `whole` leaves out none.
    """
    left, right = (_column(*each, width - 2, room and room - 1, whole) for each in (base, raw))
    wide = max(lines.cells(text) for text in lines.plain([*left, ((("base", "")),)]))
    other = max(lines.cells(text) for text in lines.plain(right))
    if wide + other + 4 <= width:
        together = [
            (("  ", ""), *a, (" " * (wide + 2 - _width(a)), ""), *b)
            for a, b in zip_longest(
                [lines.line("base"), *left], [lines.line("raw"), *right], fillvalue=()
            )
        ]
        return [_stripped(each) for each in together]
    if room is not None:
        left, right = (_column(*m, width - 2, room // 2 - 1, whole) for m in (base, raw))
    below = [lines.line("base"), *left, lines.line("raw"), *right]
    return [(("  ", ""), *each) for each in below]


def _width(each: lines.Line) -> int:
    return sum(lines.cells(text) for text, _ in each)


def _stripped(each: lines.Line) -> lines.Line:
    """Without spaces at the end."""
    while each and not each[-1][0].strip():
        each = each[:-1]
    return each


def _column(
    tree: LayerTree, route: str | None, call: int | None, width: int, room: int | None, whole: bool
) -> list[lines.Line]:
    column: list[lines.Line] = []
    found = outline(tree, route, call, room, whole=whole)
    highest = min((each.depth for each in found), default=0)  # where what is above it is left out
    for each in found:
        mark = f"  {MARKER}" if each.marked else ""
        left = width - len(mark)
        indent = min(2 * (each.depth - highest), max(0, left - _NARROW))
        text = " " * indent + _shortened(each.text, max(1, left - indent))
        style: lines.Style = "mark" if each.marked else "dim" if each.fold else ""
        column.append(lines.line(text + mark, style))
    return column


def _shortened(text: str, width: int) -> str:
    """Of name and class each a part of what there is, the name most of it."""
    name, bracket, kind = text.rpartition(" (")
    if lines.cells(text) <= width or not bracket:
        return lines.shorten(text, width)
    kind = lines.shorten(kind, max(_KIND, width - lines.cells(name) - len(bracket)))
    room = width - len(bracket) - lines.cells(kind)
    return lines.shorten(f"{lines.shorten(name, max(_KIND, room))}{bracket}{kind}", width)


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
