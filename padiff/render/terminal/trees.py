"""Both layer trees around one layer of each: as one, side by side, or one below the other."""

from itertools import zip_longest

from padiff.render.lines import Line, Style, cells, line, plain, shorten
from padiff.render.outline import MARKER, outline
from padiff.render.printable import WIDTH
from padiff.tree import LayerTree

__all__ = ["Marked", "outlines"]

_NARROW = 16  # cells of a layer's name, at least
_KIND = 12  # and of its class

Marked = tuple[LayerTree, str | None, int | None]  # a tree, and route and call of one layer


def outlines(
    base: Marked,
    raw: Marked,
    width: int = WIDTH,
    room: int | None = None,
    *,
    whole: bool = False,
) -> list[Line]:
    """Both layer trees, one layer of each marked; side by side where there is room.

    They are one where nothing that is shown tells them apart. They take at most `width` cells and
    about `room` lines; `whole` leaves out none.
    """
    left, right = (_column(*each, width - 2, room and room - 1, whole) for each in (base, raw))
    if left == right:
        return [(("  ", ""), *each) for each in [line("base and raw"), *left]]
    wide = max(cells(text) for text in plain([line("base"), *left]))
    other = max(cells(text) for text in plain(right))
    if wide + other + 4 <= width:
        together = [
            (("  ", ""), *a, (" " * (wide + 2 - _width(a)), ""), *b)
            for a, b in zip_longest([line("base"), *left], [line("raw"), *right], fillvalue=())
        ]
        return [_stripped(each) for each in together]
    if room is not None:
        left, right = (_column(*m, width - 2, room // 2 - 1, whole) for m in (base, raw))
    below = [line("base"), *left, line("raw"), *right]
    return [(("  ", ""), *each) for each in below]


def _width(each: Line) -> int:
    return sum(cells(text) for text, _ in each)


def _stripped(each: Line) -> Line:
    """Without spaces at the end."""
    while each and not each[-1][0].strip():
        each = each[:-1]
    return each


def _column(
    tree: LayerTree, route: str | None, call: int | None, width: int, room: int | None, whole: bool
) -> list[Line]:
    column: list[Line] = []
    found = outline(tree, route, call, room, whole=whole)
    highest = min((each.depth for each in found), default=0)  # where what is above it is left out
    steps = max(0, width - len(MARKER) - 2 - _NARROW) // 2  # that the marked layer may stand in
    deepest = max((each.depth for each in found if each.marked), default=0)
    highest = max(highest, deepest - steps)
    for each in found:
        mark = f"  {MARKER}" if each.marked else ""
        left = width - len(mark)
        indent = min(2 * max(0, each.depth - highest), max(0, left - _NARROW))
        text = " " * indent + _shortened(each.text, max(1, left - indent))
        style: Style = "mark" if each.marked else "dim" if each.fold else ""
        column.append(line(text + mark, style))
    return column


def _shortened(text: str, width: int) -> str:
    """Of name and class each a part of what there is, the name most of it."""
    name, bracket, kind = text.rpartition(" (")
    if cells(text) <= width or not bracket:
        return shorten(text, width)
    kind = shorten(kind, max(_KIND, width - cells(name) - len(bracket)))
    room = width - len(bracket) - cells(kind)
    return shorten(f"{shorten(name, max(_KIND, room))}{bracket}{kind}", width)
