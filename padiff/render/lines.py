"""Lines for a terminal: pieces with a style each, cut to the cells that they take there."""

from collections.abc import Iterator, Sequence
from typing import Literal

from rich.cells import cell_len

__all__ = ["Line", "Style", "cells", "ending", "line", "padded", "plain", "shorten", "wrapped"]

Style = Literal["", "good", "bad", "mark", "off", "dim"]
Line = tuple[tuple[str, Style], ...]  # pieces of text, in order; no meaning is in a style alone

cells = cell_len  # of a terminal, of which a Chinese character takes two
_DOTS = "..."


def line(text: str = "", style: Style = "") -> Line:
    """All of it in one style."""
    return ((text, style),) if text else ()


def plain(lines: Sequence[Line]) -> list[str]:
    """The characters alone."""
    return ["".join(text for text, _ in each) for each in lines]


def padded(text: str, width: int) -> str:
    """`text` with spaces behind it."""
    return text + " " * (width - cells(text))


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` cells, of which those in the middle are left out."""
    if cells(text) <= width:
        return text
    room = max(0, width - len(_DOTS))
    end = room // 2
    return f"{_head(text, room - end)}{_DOTS}{_tail(text, end)}"


def ending(text: str, width: int) -> str:
    """`text` in at most `width` cells, of which the last are left out."""
    return text if cells(text) <= width else _head(text, max(0, width - len(_DOTS))) + _DOTS


def _head(text: str, width: int) -> str:
    taken = 0
    for at, char in enumerate(text):
        taken += cells(char)
        if taken > width:
            return text[:at]
    return text


def _tail(text: str, width: int) -> str:
    return _head(text[::-1], width)[::-1]


def wrapped(text: str, width: int, first: str = "", others: str | None = None) -> list[str]:
    """`text` in lines of at most `width` cells, which begin with `first` and then with `others`.

    What is a word longer than a line goes on in the next one.
    """
    others = first if others is None else others
    lines, row = [], first
    begun = False  # whether the row holds more than its beginning
    for word in _words(text, width - max(cells(first), cells(others))):
        if begun and cells(row) + 1 + cells(word) > width:
            lines.append(row)
            row, begun = others, False
        row = f"{row} {word}" if begun else row + word
        begun = True
    return [*lines, row] if begun else lines


def _words(text: str, width: int) -> Iterator[str]:
    for word in text.split(" "):
        while cells(word) > width > 1:
            head = _head(word, width)
            yield head
            word = word[len(head) :]
        if word:
            yield word
