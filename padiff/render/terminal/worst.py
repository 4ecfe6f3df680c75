"""The records that differ, as a table that fits the width."""

from padiff.comparing.comparison import Comparison, Record
from padiff.render.findings import badness, stages
from padiff.render.lines import Line, cells, ending, line, padded, shorten
from padiff.render.terminal.screen import Part
from padiff.render.words import layer_name, number, tensor_name

__all__ = ["worst_part"]

_WORST = 5
_TITLES = 2  # lines above the first record
_WORDS = ("stage", "layer", "tensor")  # columns of which long ones give way
_NARROW = 8  # cells of such a column, at least
_FIRST_TO_GO = ("out", "max abs", "tensor")  # columns, where that is not enough

Row = dict[str, str]


def worst_part(comparison: Comparison, width: int, *, whole: bool) -> Part:
    """Those that differ most, a line each; or all of them in event order."""
    diverged = [record for record in comparison.records if record.diverged]
    ranked = diverged if whole else sorted(diverged, key=badness, reverse=True)

    def lines(room: int) -> tuple[list[Line], str]:
        most = len(ranked) if whole else min(_WORST, room - _TITLES)
        shown = ranked[: max(0, most)]
        if len(diverged) < 2:
            return [], ""
        rest = len(diverged) - len(shown)
        left = f"{rest} that differ" if rest else ""
        title = f"The {len(shown)} that differ most, of {len(diverged)}"
        if len(shown) == 1:
            title = f"The one that differs most, of {len(diverged)}"
        elif not rest:
            title = f"All {len(shown)} that differ{', in the order of events' if whole else ''}"
        if not shown:
            return [line(f"{len(diverged)} differ in all.")], left
        return _table(comparison, shown, title, width), left

    return Part(_TITLES + 1, _TITLES + _WORST, lines)


def _table(comparison: Comparison, records: list[Record], title: str, width: int) -> list[Line]:
    stage = stages(comparison)
    rows = [_row(record, stage(record)) for record in records]
    names = [name for name in rows[0] if name in _WORDS or any(row[name] for row in rows)]
    widths = {name: max(cells(text) for text in [name, *(r[name] for r in rows)]) for name in names}
    for dropped in ("", *_FIRST_TO_GO):
        if dropped and sum(widths.values()) + 2 * len(widths) > width:
            widths.pop(dropped, None)  # of what is missing nothing else is told
        while sum(widths.values()) + 2 * len(widths) > width:
            widest = max(_WORDS, key=lambda name: widths.get(name, 0))
            if widths[widest] <= _NARROW:
                break
            widths[widest] -= 1

    def cell(row: Row, name: str) -> str:
        return padded(shorten(row[name], widths[name]), widths[name])

    legend = " (out: elements out of tolerance)" if "out" in widths else ""
    lines = [
        line(ending(f"{title}{legend}:", width)),
        line(f"  {'  '.join(cell({name: name}, name) for name in widths)}".rstrip()),
    ]
    for row in rows:
        *words, last = (cell(row, name) for name in widths)
        lines.append(((f"  {'  '.join(words)}  ", ""), (last.rstrip(), "off")))
    return lines


def _row(record: Record, where: str) -> Row:
    found = record.figures
    share = found.mismatched / record.size if found and record.size else 0.0
    return {
        "step": "" if record.step is None else f"{record.step}",
        "rank": "" if record.rank is None else f"{record.rank}",
        "stage": where.removesuffix(" stage"),
        "layer": layer_name(record.either),
        "tensor": _short(record),
        "max abs": number(found.max_abs) if found else record.status,
        "rel L2": number(found.rel_l2) if found else "",
        "out": _percent(share) if found else "",
    }


def _short(record: Record) -> str:
    """The tensor, without what the stage says."""
    name = tensor_name(record)
    for prefix in ("gradient of ", "parameter ", "buffer "):
        name = name.removeprefix(prefix)
    return name


def _percent(share: float) -> str:
    """Neither 0 nor 100 where it is not."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share if share in (0, 1) else min(100 * share, 99.9):.3g} %"
