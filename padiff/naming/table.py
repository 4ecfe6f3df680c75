"""A table of names: which tensor of base is which of raw, for a person to read and edit."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from padiff.errors import FormatError, LocationError
from padiff.naming.layout import SAME, NamedLayout, parse_layout

__all__ = ["Certainty", "NamedPair", "read_table", "table_text"]

Certainty = Literal["certain", "likely", "guess"]
_COLUMNS = ("base", "raw", "layout", "certainty", "reason")
_LONGEST = 2**26  # bytes


@dataclass(frozen=True, slots=True)
class NamedPair:
    """A row: a tensor of each side by its name, `route.parameter`; None where it has no partner.

    `line` is where it stands in a file.
    """

    base: str | None
    raw: str | None
    layout: NamedLayout = SAME
    certainty: Certainty | None = None
    reason: str = ""
    line: int = 0


def table_text(pairs: Iterable[NamedPair]) -> str:
    """The rows as comma-separated values, with a line of titles."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for pair in pairs:
        row = (pair.base or "", pair.raw or "", str(pair.layout), pair.certainty or "", pair.reason)
        writer.writerow(row)
    return text.getvalue()


def read_table(path: str | Path) -> list[NamedPair]:
    """The rows of a file, of which the columns `base` and `raw` are needed.

    Commas, semicolons or tabs stand between the columns; lines that begin with # are left out.
    Raises LocationError where no file is, FormatError where it has no such columns or a layout that
    is none.
    """
    lines = _lines(Path(path))
    if not lines:
        raise FormatError(f"expected a table of names in {path}, found nothing: titles come first")
    delimiter = next((mark for mark in ("\t", ";") if mark in lines[0][1]), ",")
    rows = list(csv.reader((text for _, text in lines), delimiter=delimiter))
    titles = [title.strip().casefold() for title in rows[0]]
    if not {"base", "raw"} <= set(titles):
        raise FormatError(
            f"expected the columns base and raw in {path}, found {', '.join(titles)[:80]}: "
            "padiff suggest-map writes such a table"
        )
    numbers = [number for number, _ in lines]
    return [
        _pair(dict(zip(titles, row, strict=False)), f"line {number} of {path}", number)
        for number, row in zip(numbers[1:], rows[1:], strict=False)
        if any(cell.strip() for cell in row)
    ]


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        if path.stat().st_size > _LONGEST:
            raise FormatError(
                f"expected a table of names in {path}, found {_LONGEST} bytes and more"
            )
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise LocationError(
            f"expected a table of names at {path}: {error.strerror or error}"
        ) from None
    except UnicodeDecodeError:
        raise FormatError(f"expected a table of names in {path}, found what is no text") from None
    lines = enumerate(text.splitlines(), 1)
    return [(n, line) for n, line in lines if line.strip() and not line.startswith("#")]


def _pair(row: dict[str, str], where: str, line: int) -> NamedPair:
    base, raw = row.get("base", "").strip(), row.get("raw", "").strip()
    try:
        layout = parse_layout(row.get("layout", ""))
    except FormatError as error:
        raise FormatError(f"expected in the column layout at {where} {error}") from None
    certainty = row.get("certainty", "").strip()
    known = cast("Certainty", certainty) if certainty in get_args(Certainty) else None
    return NamedPair(base or None, raw or None, layout, known, row.get("reason", ""), line)
