"""A comparison for the terminal: the answer first, one screen in all, as wide as there is room."""

from padiff.comparing.comparison import Comparison, Record
from padiff.render.causes import cause
from padiff.render.findings import NOT_ALIGNED, stage_in, verdict
from padiff.render.first import first_part
from padiff.render.lines import Line, Style, ending, line, plain, shorten, wrapped
from padiff.render.outline import outlines
from padiff.render.printable import HEIGHT, WIDTH
from padiff.render.screen import Group, Part, chosen, on_screen
from padiff.render.summary import summary
from padiff.render.unmatched import unmatched_parts
from padiff.render.words import clean, layer_name, number, source_words, tensor_name, when
from padiff.render.worst import worst_part

__all__ = ["render", "screen"]

_NOTE = 400  # a sentence or two, whatever the stores' names in it
_ANSWER = 7  # lines, which only names that are as long as can be fill
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
        lines.append(line(shorten(told, width), "dim"))
    return lines


def _opening(comparison: Comparison, first: Record | None, width: int) -> Part:
    """The answer, where it comes from, how much was compared, and what."""
    count = verdict(comparison)
    if first is None:
        groups: list[Group] = [(0, _answer(count, width))]
    else:
        sentences = f"{summary(comparison, first)} {cause(comparison, first)}"
        groups = [
            (0, _answer(sentences, width)),
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


def _answer(sentences: str, width: int) -> list[Line]:
    """Lines of which the first begins with the verdict."""
    first, *others = wrapped(sentences, width, "", "  ")
    if len(others) >= _ANSWER:
        others[_ANSWER - 2 :] = [ending(" ".join(others[_ANSWER - 2 :]), width)]
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
    """What a mean that is within tolerance does not show: single elements that are not."""
    found = [
        record
        for record in comparison.records
        if record.status == "match" and record.figures and record.figures.mismatched
    ]
    sentence = ""
    if found and comparison.aligned:
        worst = max(found, key=lambda record: (record.figures and record.figures.max_abs) or 0.0)
        assert worst.figures is not None
        tensors = "one tensor" if len(found) == 1 else f"{len(found)} tensors"
        place = ", ".join(filter(None, (stage_in(comparison, worst), when(worst))))
        sentence = (
            f"Of {tensors} single elements are out of tolerance, and the mean is within it. The "
            f"largest error is {number(worst.figures.max_abs)}, in {tensor_name(worst)} of "
            f"{layer_name(worst.base)} ({place}). --mode strict holds each element to the "
            "tolerance."
        )
    told = [line(text) for text in wrapped(sentence, width)]
    return Part(len(told), len(told), lambda _: (told, ""))
