"""The first divergence in all that is known of it: both sides, figures, settings, source lines."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from padiff.comparing.comparison import Comparison, Record
from padiff.render.findings import extremes, figures, find_node, stage_in
from padiff.render.lines import (
    Line,
    Style,
    cells,
    ending,
    line,
    padded,
    shorten,
    wrapped,
)
from padiff.render.terminal.screen import Group, Part, chosen
from padiff.render.traps import traps
from padiff.render.words import clean, named, shape_of, tensor_name, when

__all__ = ["first_part"]

_FRAMES = 2
_NOTE = 400  # a sentence or two, whatever the stores' names in it
_LEAST, _ENOUGH = 5, 14  # lines
_BOTH = ("base", "raw")
_BELOW = " " * 10  # before code below its place


def first_part(comparison: Comparison, first: Record, width: int) -> Part:
    """What is known beside the summary; of little room the sides and the source lines get most."""

    def lines(room: int) -> tuple[list[Line], str]:
        taken, left = chosen(groups, room)
        return taken, "details" if left else ""

    groups = list(_groups(comparison, first, width))
    return Part(_LEAST, _ENOUGH, lines)


def _groups(comparison: Comparison, first: Record, width: int) -> Iterator[Group]:
    def said(rank: int, sentence: str, style: Style = "") -> Group:
        return rank, [line(text, style) for text in wrapped(sentence, width, "  ")]

    place = when(first)
    title = f"First divergence: {stage_in(comparison, first)}{f', {place}' if place else ''}"
    yield 0, [line(text) for text in wrapped(f"{title}, {tensor_name(first)}", width, "", "  ")]
    yield 0, _sides(first, width)
    for rank, sentence in enumerate(figures(comparison, first)):
        yield said(3 + 2 * rank, sentence, "" if rank else "off")
    for sentence in extremes(first):
        yield said(4, sentence)
    if first.note:
        yield said(2, clean(first.note, _NOTE))
    for sentence in traps(comparison, first):
        yield said(2, sentence)
    yield from _stacks(comparison, first, width)


def _sides(first: Record, width: int) -> list[Line]:
    """Route, class and shape of both, below each other; of what is too long both ends."""
    rows = [
        [
            "(no such layer)" if side.route is None else clean(side.route, 2000) or _WHOLE,
            f"call {side.call}" if side.call else "",
            named(side.class_name or "", 40),
            shape_of(side),
        ]
        for side in (first.base, first.raw)
    ]
    columns = [list(column) for column in zip(*rows, strict=True) if any(column)]
    widths = [max(map(cells, column)) for column in columns]
    room = width - len("  base  ") - 2 * (len(columns) - 1)
    while sum(widths) > room and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for at, label in enumerate(_BOTH):
        texts = [
            padded(shorten(column[at], wide), wide)
            for column, wide in zip(columns, widths, strict=True)
        ]
        lines.append(line(f"  {label:<4}  {'  '.join(texts)}".rstrip()))
    return lines


_WHOLE = "the model itself"


def _stacks(comparison: Comparison, first: Record, width: int) -> Iterator[Group]:
    """The last lines of the user's code on the way to the layer, the last of all first in rank.

    That one is shown whole, below its place where there is no room behind it.
    """
    for side, label in enumerate(_BOTH):
        node = find_node(comparison, first, side)
        frames = node.stack[-_FRAMES:] if node else ()
        for above, frame in zip(reversed(range(len(frames))), frames, strict=True):
            file = _file(frame.file, width // 2)
            place = f"  {label:<4}  {file}:{frame.line} in {named(frame.function, 30)}"
            code = clean(frame.code.strip(), 2 * width)
            text = f"{place}: {code}" if code else place
            below = not above and cells(text) > width
            yield 6 if above else 1, [line(ending(place if below else text, width), "dim")]
            if below:
                yield 1, [line(ending(f"{_BELOW}{code}", width), "dim")]


def _file(path: str, width: int) -> str:
    """A file as one would type it from here; of a long name the end, which tells it from others."""
    with suppress(ValueError, OSError):  # it lies elsewhere, or there is no here any more
        path = str(Path(path).relative_to(Path.cwd()))
    return shorten(clean(path, 2000), width)
