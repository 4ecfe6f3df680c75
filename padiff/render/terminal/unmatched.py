"""What has no partner, and what was not stored: listed, as none of it was compared."""

from collections.abc import Sequence
from functools import partial

from padiff.comparing.comparison import Comparison, Unmatched
from padiff.render.findings import missing_tensors
from padiff.render.lines import Line, ending, line, wrapped
from padiff.render.terminal.screen import Part
from padiff.render.words import clean, named, when, with_class

__all__ = ["unmatched_parts"]

_SHOWN = 6

Named = Sequence[tuple[str, str]]  # the side, and what it is


def unmatched_parts(comparison: Comparison, width: int, *, whole: bool) -> list[Part]:
    """The layers inside a listed layer left out, buffers of one name as one; or each of them."""
    refused = [item for item in comparison.unmatched if item.kind == "unrecorded"]
    alone = [item for item in comparison.unmatched if item.kind not in ("buffer", "unrecorded")]
    buffers = [item for item in comparison.unmatched if item.kind == "buffer"]
    told: list[tuple[str, str]] = [
        (item.side, _describe(item, width)) for item in (alone if whole else _outermost(alone))
    ]
    told += (
        [(item.side, _describe(item, width)) for item in buffers]
        if whole
        else _together(buffers, width)
    )
    counted = missing_tensors(comparison)
    beside = f" beside the {counted} that should have one" if counted else ""
    lost = [(item.side, _describe(item, width)) for item in refused]
    part = partial(_part, width=width, whole=whole)
    return [
        part(f"Without a partner{beside}", told, len(alone) + len(buffers), "unmatched"),
        part("Not stored, so not compared", lost, len(lost), "not stored"),
    ]


def _part(title: str, items: Named, count: int, left: str, *, width: int, whole: bool) -> Part:
    def lines(room: int) -> tuple[list[Line], str]:
        if not items:
            return [], ""
        shown = len(items) if whole else max(0, min(len(items), _SHOWN, room - 1))
        taken = [line(f"{title} ({count} in all):")]
        for side, text in items[:shown]:
            label = f"  {side:<4}  "
            if whole:
                taken += map(line, wrapped(text, width, label, " " * len(label)))
            else:
                taken.append(line(ending(label + text, width)))
        rest = len(items) - shown
        return taken, f"{rest} {left}" if rest else ""

    return Part(1, 3, lines)


def _together(buffers: Sequence[Unmatched], width: int) -> list[tuple[str, str]]:
    """A line for each name: what one framework keeps in each layer of a class, the other lacks."""
    groups: dict[tuple[str, str | None], list[Unmatched]] = {}
    for item in buffers:
        groups.setdefault((item.side, item.tensor), []).append(item)
    lines = []
    for (side, name), items in groups.items():
        layers = len({item.route for item in items})
        text = f"buffer {named(name or '', 40)} of {layers} layers"
        lines.append((side, text if layers > 1 else _describe(items[0], width)))
    return lines


def _outermost(items: Sequence[Unmatched]) -> list[Unmatched]:
    layers = {
        (item.side, item.section, item.step, item.rank, item.route)
        for item in items
        if item.kind == "layer"
    }
    kept = []
    for item in items:
        parts = item.route.split(".")
        above = [".".join(parts[:depth]) for depth in range(1, len(parts))]
        place = (item.side, item.section, item.step, item.rank)
        if not any((*place, route) in layers for route in above):
            kept.append(item)
    return kept


def _describe(item: Unmatched, width: int) -> str:
    where = when(item)
    at = f"{item.section}{f', {where}' if where else ''}"
    if item.kind == "section":
        return f"all of {at}"
    layer = with_class(
        named(item.route, max(16, min(60, width - 36))) or "the model itself", item.class_name
    )
    if item.kind == "layer":
        return f"{layer} in {at}"
    reason = f": {clean(item.reason)}" if item.reason else ""
    what = "buffer" if item.kind == "buffer" else item.phase or "parameter"
    return f"{what} {named(item.tensor or '', 24)} of {layer} in {at}{reason}"
