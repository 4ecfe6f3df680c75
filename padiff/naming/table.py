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
    """The rows of `pairs` as comma-separated values, with a line of titles."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for pair in pairs:
        row = (pair.base or "", pair.raw or "", str(pair.layout), pair.certainty or "", pair.reason)
        writer.writerow(row)
    return text.getvalue()


def read_table(path: str | Path) -> list[NamedPair]:
    """The rows of a file, of which the columns `base` and `raw` are needed.

    Commas, semicolons or tabs stand between the columns. Rows that begin with `# ` are left out,
    and so is a row that is there twice.
    Raises LocationError where no file is, FormatError where it has no such columns or a layout that
    is none.
    """
    text = _text(Path(path))
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in ("\t", ";") if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise FormatError(
            f"expected a table of names in {path}, found what is none in line {reader.line_num} "
            f"({error}): quotes are closed, and doubled inside others"
        ) from None
    rows = [(n, row) for n, row in rows if "".join(row).strip() and not row[0].startswith("# ")]
    if not rows:
        raise FormatError(f"expected a table of names in {path}, found nothing: titles come first")
    titles = [title.strip().casefold() for title in rows[0][1]]
    if not {"base", "raw"} <= set(titles):
        raise FormatError(
            f"expected the columns base and raw in {path}, found {', '.join(titles)[:80]!r}: "
            "padiff suggest-map writes such a table"
        )
    pairs = [
        _pair(dict(zip(titles, row, strict=False)), f"line {number} of {path}", number)
        for number, row in rows[1:]
    ]
    return list({(pair.base, pair.raw, pair.layout): pair for pair in reversed(pairs)}.values())[
        ::-1
    ]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LONGEST:
            raise FormatError(
                f"expected a table of names in {path}, found more than {_LONGEST} bytes"
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LocationError(
            f"expected a table of names at {path}: {error.strerror or error}"
        ) from None
    except UnicodeDecodeError:
        raise FormatError(f"expected a table of names in {path}, found what is no text") from None


def _pair(row: dict[str, str], where: str, line: int) -> NamedPair:
    base, raw = row.get("base", "").strip(), row.get("raw", "").strip()
    try:
        layout = parse_layout(row.get("layout", ""))
    except FormatError as error:
        raise FormatError(f"expected in the column layout at {where} {error}") from None
    certainty = row.get("certainty", "").strip()
    known = cast("Certainty", certainty) if certainty in get_args(Certainty) else None
    return NamedPair(base or None, raw or None, layout, known, row.get("reason", ""), line)
