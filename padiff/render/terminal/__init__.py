"""A comparison for the terminal: the answer first, one screen in all, as wide as there is room."""

from padiff.comparing.comparison import Comparison, Record
from padiff.render.causes import cause
from padiff.render.findings import NOT_ALIGNED, hidden, verdict
from padiff.render.lines import Line, Style, ending, line, plain, shorten, wrapped
from padiff.render.printable import HEIGHT, WIDTH
from padiff.render.summary import summary
from padiff.render.terminal.first import first_part
from padiff.render.terminal.screen import Group, Part, chosen, on_screen
from padiff.render.terminal.trees import outlines
from padiff.render.terminal.unmatched import unmatched_parts
from padiff.render.terminal.worst import worst_part
from padiff.render.words import clean, source_words

__all__ = ["render", "screen"]

_NOTE = 400  # a sentence or two, whatever the stores' names in it
_ANSWER = 7  # lines of 80 cells, and more of shorter ones
_NAMES = (60, 40, 24, 15)  # cells of the names in it, which stand below too: they give way
_TREES = 4  # lines, of one tree beside the other
_NARROWEST = 40


def render(comparison: Comparison, width: int = WIDTH, height: int | None = HEIGHT) -> str:
    """The same as plain text, safe to print whatever the stores hold."""
    return "".join(f"{text}\n" for text in plain(screen(comparison, width, height)))


def screen(comparison: Comparison, width: int, height: int | None) -> list[Line]:
    """The comparison in lines of at most `width` cells, and no more of them than `height`.

    None shows all there is: the whole trees, all that diverged in event order, and all that has no
    partner. No character of it steers a terminal, whatever the stores hold.
    """
    width = max(_NARROWEST, width)
    whole = height is None
    first = comparison.first_divergence
    parts = [_opening(comparison, first, width)]
    if first is not None:
        parts.append(first_part(comparison, first, width))
        parts.append(_trees(comparison, first, width, whole=whole))
        parts.append(worst_part(comparison, width, whole=whole))
    parts.append(_hidden(comparison, width))
    parts += unmatched_parts(comparison, width, whole=whole)
    lines, left_out = on_screen(parts, height)
    if left_out:
        told = f"With padiff-check --all: {', '.join(left_out)}."
        if () in lines and height is not None and len(lines) + 2 <= height:
            lines.append(())
        lines.append(line(ending(told, width), "dim"))
    return lines


def _opening(comparison: Comparison, first: Record | None, width: int) -> Part:
    """The answer, where it comes from, how much was compared, and what."""
    count = verdict(comparison)
    if first is None:
        groups: list[Group] = [(0, _answer(count, width))]
    else:
        groups = [
            (0, _answer(_sentences(comparison, first, width), width)),
            (0, _said(count.removeprefix(NOT_ALIGNED), width)),
        ]
    for name, source in (("base", comparison.base), ("raw", comparison.raw)):
        label = f"  {name:<4}  "
        groups.append((0, [line(shorten(label + source_words(source, width - len(label)), width))]))
    least = sum(len(lines) for _, lines in groups)
    groups += [(1, _said(clean(note, _NOTE), width)) for note in comparison.notes]

    def lines(room: int) -> tuple[list[Line], str]:
        taken, left = chosen(groups, room)
        return taken, "notes" if left else ""

    return Part(least, least + 2, lines)


def _sentences(comparison: Comparison, first: Record, width: int) -> str:
    """Where, how large and why, with names as long as there is room for."""
    why = cause(comparison, first)
    for longest in _NAMES:
        told = f"{summary(comparison, first, longest)} {why}"
        if len(wrapped(told, width, "", "  ")) <= _most(width):
            break
    return told


def _most(width: int) -> int:
    """Lines of the answer."""
    return max(_ANSWER, _ANSWER * WIDTH // width)


def _answer(sentences: str, width: int) -> list[Line]:
    """Lines of which the first begins with the verdict."""
    most = _most(width)
    first, *others = wrapped(sentences, width, "", "  ")
    if len(others) >= most:
        others[most - 2 :] = [ending(" ".join(others[most - 2 :]), width)]
    word, colon, rest = first.partition(":")
    style: Style = "bad" if first.startswith(NOT_ALIGNED) else "good"
    return [((f"{word}{colon}", style), (rest, "")), *map(line, others)]


def _said(sentence: str, width: int) -> list[Line]:
    return [line(text) for text in wrapped(sentence, width, "  ")]


def _trees(comparison: Comparison, first: Record, width: int, *, whole: bool) -> Part:
    base, raw = (
        (tree, side.route, side.call)
        for tree, side in zip(comparison.first_trees, (first.base, first.raw), strict=True)
    )

    layers = len(outlines(base, raw, width, whole=True))

    def lines(room: int) -> tuple[list[Line], str]:
        taken = outlines(base, raw, width, room, whole=whole)
        return taken, "whole trees" if len(taken) < layers else ""

    return Part(_TREES, 2 * _TREES, lines)


def _hidden(comparison: Comparison, width: int) -> Part:
    told = [
        line(text)
        for sentence in hidden(comparison)
        for text in wrapped(f"{sentence} --mode strict holds each element to the tolerance.", width)
    ]
    return Part(len(told), len(told), lambda _: (told, ""))
