"""Values as a page holds them: each once in a table, numbers with few digits, maps in bytes."""

from base64 import b64encode
from collections.abc import Hashable, Iterable, Sequence
from math import inf, isfinite, log2
from typing import Any

from padiff.jsonio import Json, finite_or_name
from padiff.render.words import clean

__all__ = ["Columns", "Table", "quantised", "short", "text"]

_DIGITS = 4  # of a figure: enough to tell apart by eye, and half the bytes of all of them
_SHADES = 253  # steps of a map, beside those for "no error" and "not a number"
_NONFINITE = 255


class Table:
    """Distinct values in the order in which they came, each known by its index; None is -1."""

    def __init__(self) -> None:
        self._index: dict[Hashable, int] = {}

    def add(self, value: Hashable) -> int:
        """The index of a value, which is kept where it is new."""
        return -1 if value is None else self._index.setdefault(value, len(self._index))

    def values(self) -> list[Any]:
        return list(self._index)


class Columns:
    """Rows as columns; one that holds the same value throughout is that value alone."""

    def __init__(self, *names: str) -> None:
        self._columns: dict[str, list[object]] = {name: [] for name in names}

    def add(self, *row: object) -> None:
        """One row, in the order of the names."""
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)

    def to_json(self) -> Json:
        """The columns by name, and how many rows there are."""
        columns = self._columns
        return {
            "count": len(next(iter(columns.values()))),
            **{
                name: column[0] if column and _constant(column) else column
                for name, column in columns.items()
            },
        }


def _constant(column: Sequence[object]) -> bool:
    first = column[0]  # a list would be taken for a column
    return not isinstance(first, list) and all(value == first for value in column)


def text(value: str | None, limit: int = 120) -> str | None:
    """A name as it may be shown: what steers a text spelled out, and cut when very long."""
    return None if value is None else clean(value, limit)


def short(value: float | int | None, digits: int = _DIGITS) -> float | int | str | None:
    """A number of few significant digits; one that JSON lacks is the word for it."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.{digits}g}") if isfinite(value) else finite_or_name(value)


def quantised(rows: Iterable[Sequence[float]]) -> Json:
    """A map of errors as one byte a cell, in equal steps of the logarithm from `low` to `high`.

    0 stands for no error, 255 for NaN or infinite, and 1 to 254 for `2**low` to `2**high`.
    """
    cells = [list(row) for row in rows]
    logs = [log2(cell) for row in cells for cell in row if 0 < cell < inf]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)
    scale = _SHADES / (high - low) if high > low else 0.0

    def shade(cell: float) -> int:
        if cell == 0:
            return 0
        return 1 + round((log2(cell) - low) * scale) if cell < inf else _NONFINITE

    return {
        "rows": len(cells),
        "columns": len(cells[0]) if cells else 0,
        "low": short(low, 6),
        "high": short(high, 6),
        "cells": b64encode(bytes(shade(cell) for row in cells for cell in row)).decode("ascii"),
    }
