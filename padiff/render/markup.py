"""Pieces of HTML for notebooks: inline styles alone, no script, and all text is text.

Front ends strip `<style>`, and are light or dark: colours are inherited, and what is tinted is
tinted so faintly that it can be read on both.
"""

from collections.abc import Iterable, Sequence
from html import escape

from padiff.render.printable import clean

__all__ = ["beside", "box", "details", "line", "pre", "safe", "table"]

_EDGES = {"good": "#2e9e4f", "bad": "#d64545", "plain": "#8888"}
_CELL = "text-align:left;padding:1px 12px 1px 0;border:0;background:none;white-space:nowrap"


def safe(text: str, limit: int = 120) -> str:
    """Text from a store, of which no character steers anything, in a tag or between two."""
    return escape(clean(text, limit), quote=True)


def box(parts: Iterable[str], mood: str = "plain") -> str:
    """All that is shown of one object, at an edge that is green, red or grey."""
    style = f"border-left:4px solid {_EDGES[mood]};padding:2px 0 2px 12px;overflow-x:auto"
    return f'<div style="{style}">{"".join(parts)}</div>'


def line(text: str, limit: int = 400, *, bold: bool = False) -> str:
    """A paragraph of text."""
    weight = ";font-weight:bold" if bold else ""
    return f'<div style="margin:2px 0{weight}">{safe(text, limit)}</div>'


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Cells of text, as wide as what is in them."""
    titles = "".join(f'<th style="{_CELL};opacity:.7">{safe(cell)}</th>' for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td style={_quoted(_CELL)}>{safe(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    top = f"<tr>{titles}</tr>" if head else ""
    style = "border-collapse:collapse;border:0;margin:4px 0;font-variant-numeric:tabular-nums"
    return f'<table style="{style}">{top}{body}</table>'


def pre(lines: Iterable[str], limit: int = 400) -> str:
    """Lines whose columns lie below one another."""
    text = "\n".join(safe(text, limit) for text in lines)
    style = "margin:4px 0;padding:0;border:0;background:none;line-height:1.35;white-space:pre"
    return f'<pre style="{style}">{text}</pre>'


def beside(pieces: Iterable[str]) -> str:
    """Pieces side by side, or below one another where there is no room."""
    style = "display:flex;flex-wrap:wrap;column-gap:3em"
    return f'<div style="{style}">{"".join(pieces)}</div>'


def details(summary: str, body: str, *, is_open: bool = False) -> str:
    """What is folded behind a line until somebody clicks on it."""
    opened = " open" if is_open else ""
    title = f'<summary style="cursor:pointer">{safe(summary)}</summary>'
    return f'<details{opened} style="margin:2px 0">{title}{body}</details>'


def _quoted(text: str) -> str:
    return f'"{text}"'
