"""The parts of a text on one screen: where room is short each keeps the least that it needs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from padiff.render.lines import Line

__all__ = ["Group", "Part", "chosen", "on_screen"]

Group = tuple[int, Sequence[Line]]  # a rank, the lower the more it matters, and lines to be kept

_ALL = 10**9  # lines


@dataclass(frozen=True, slots=True)
class Part:
    """What one part makes of the lines that it may take.

    `lines` gives them, and what they leave out in a few words; empty where that is nothing. They
    are no more than it is given where that is `least` or more; else the last ones are cut off. With
    `enough` it says most of what it has to say, and is the first to do without more.
    """

    least: int
    enough: int
    lines: Callable[[int], tuple[list[Line], str]]


def chosen(groups: Iterable[Group], room: int) -> tuple[list[Line], int]:
    """Those that matter most, in the order given, and how many lines are left out."""
    groups = list(groups)
    kept = set()
    for at, (_, lines) in sorted(enumerate(groups), key=lambda each: (each[1][0], each[0])):
        if len(lines) <= room:
            room -= len(lines)
            kept.add(at)
    taken = [each for at, (_, lines) in enumerate(groups) if at in kept for each in lines]
    return taken, sum(len(lines) for at, (_, lines) in enumerate(groups) if at not in kept)


def on_screen(parts: Sequence[Part], height: int | None) -> tuple[list[Line], list[str]]:
    """The lines of all parts, an empty one between two, and what they leave out.

    One line of `height` is kept free for that; of a height of None there is no end. The parts that
    come first get what is left over.
    """
    whole = [part.lines(_ALL) for part in parts]
    parts = [part for part, (lines, _) in zip(parts, whole, strict=True) if lines]
    whole = [each for each in whole if each[0]]
    if height is None:
        return _joined(whole, apart=True)
    room = height - 1
    if sum(len(lines) for lines, _ in whole) + len(whole) - 1 <= room:
        return _joined(whole, apart=True)
    sizes = [len(lines) for lines, _ in whole]
    given = _shared_out(parts, sizes, room - (len(parts) - 1))
    apart = all(
        lines >= min(part.least, size)
        for lines, part, size in zip(given, parts, sizes, strict=True)
    )
    if not apart:
        given = _shared_out(parts, sizes, room)
    fitted = []
    for part, most in zip(parts, given, strict=True):
        lines, left_out = part.lines(most)
        fitted.append((lines[:most], left_out))
    return _joined(fitted, apart=apart)


def _shared_out(parts: Sequence[Part], sizes: Sequence[int], room: int) -> list[int]:
    """How many lines each part gets: one, then the least, then enough, then all, in turn."""
    given = [0] * len(parts)
    for level in range(4):
        for at, (part, size) in enumerate(zip(parts, sizes, strict=True)):
            wanted = min(size, (1, part.least, part.enough, size)[level])
            more = max(0, min(wanted - given[at], room))
            given[at] += more
            room -= more
    return given


def _joined(
    taken: Sequence[tuple[list[Line], str]], *, apart: bool
) -> tuple[list[Line], list[str]]:
    lines: list[Line] = []
    for part, _ in taken:
        lines += [(), *part] if apart and lines else part
    return lines, [words for _, words in taken if words]
