"""A comparison for the terminal: the answer first, about one screen in all."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import wrap

from padiff.comparing.comparison import Comparison, Record, Unmatched
from padiff.render.causes import cause
from padiff.render.findings import figures, find_node, verdict
from padiff.render.outline import outlines
from padiff.render.traps import traps
from padiff.render.words import (
    clean,
    exact_number,
    layer_name,
    number,
    shape_of,
    source_words,
    stage,
    tensor_name,
    when,
    with_class,
)

__all__ = ["render"]

_WORST = 5
_UNMATCHED = 6
_FRAMES = 2
_NOTE = 400  # a sentence or two, whatever the stores' names in it
_FILE = 60
_WIDTH = 118


def render(comparison: Comparison) -> str:
    """The whole comparison as text, safe to print whatever the stores hold."""
    lines = [verdict(comparison)]
    for name, source in (("base", comparison.base), ("raw", comparison.raw)):
        lines.append(f"  {name:<4}  {source_words(source)}")
    for note in comparison.notes:
        lines += _wrapped(clean(note, _NOTE))
    first = comparison.first_divergence
    if first is not None:
        lines += ["", *_first(comparison, first)]
        base, raw = (
            (tree, side.route, side.call)
            for tree, side in zip(comparison.first_trees, (first.base, first.raw), strict=True)
        )
        lines += ["", *outlines(base, raw)]
        lines += _worst(comparison)
    lines += _hidden(comparison)
    lines += _unmatched(comparison)
    return "\n".join(lines) + "\n"


def _hidden(comparison: Comparison) -> list[str]:
    """What a mean that is within tolerance does not show: single elements that are not."""
    found = [
        record
        for record in comparison.records
        if record.status == "match" and record.figures and record.figures.mismatched
    ]
    if not found or not comparison.aligned:
        return []
    worst = max(found, key=lambda record: (record.figures and record.figures.max_abs) or 0.0)
    assert worst.figures is not None
    tensors = "one tensor" if len(found) == 1 else f"{len(found)} tensors"
    place = ", ".join(filter(None, (stage(worst), when(worst))))
    sentence = (
        f"Of {tensors} single elements are out of tolerance, and the mean is within it. The "
        f"largest error is {number(worst.figures.max_abs)}, in {tensor_name(worst)} of "
        f"{layer_name(worst.base)} ({place}). --mode strict holds each element to the tolerance."
    )
    return wrap(sentence, _WIDTH)


def _first(comparison: Comparison, record: Record) -> list[str]:
    place = when(record)
    lines = [
        f"First divergence: {stage(record)}{f', {place}' if place else ''}, {tensor_name(record)}"
    ]
    names = [layer_name(side) for side in (record.base, record.raw)]
    classes = [clean(side.class_name or "", 40) for side in (record.base, record.raw)]
    widths = max(map(len, names)), max(map(len, classes))
    for label, side, name, kind in zip(
        ("base", "raw"), (record.base, record.raw), names, classes, strict=True
    ):
        line = f"  {label:<4}  {name:<{widths[0]}}  {kind:<{widths[1]}}  {shape_of(side)}"
        lines.append(line.rstrip())
    lines += [f"  {line}" for line in figures(comparison, record)]
    found = record.figures
    if found is not None and found.worst_index is not None:
        values = f"base {exact_number(found.base_value)}, raw {exact_number(found.raw_value)}"
        lines.append(f"  worst at {list(found.worst_index)}: {values}")
    if record.note:
        lines += _wrapped(clean(record.note, _NOTE))
    for sentence in (cause(comparison, record), *traps(comparison, record)):
        lines += _wrapped(sentence)
    return lines + _stacks(comparison, record)


def _wrapped(sentence: str) -> list[str]:
    return wrap(sentence, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _stacks(comparison: Comparison, record: Record) -> list[str]:
    """The last lines of the user's code on the way to the layer, on both sides."""
    lines = []
    for label, side in (("base", 0), ("raw", 1)):
        node = find_node(comparison, record, side)
        for frame in node.stack[-_FRAMES:] if node else ():
            place = f"{_file(frame.file)}:{frame.line} in {clean(frame.function, 30)}"
            code = clean(frame.code.strip(), 60)
            lines.append(f"  {label:<4}  {place}: {code}" if code else f"  {label:<4}  {place}")
    return lines


def _file(path: str) -> str:
    """A file as one would type it from here; of a long name the end, which tells it from others."""
    with suppress(ValueError, OSError):  # it lies elsewhere, or there is no here any more
        path = str(Path(path).relative_to(Path.cwd()))
    return clean(path if len(path) <= _FILE else f"...{path[3 - _FILE :]}")


def _worst(comparison: Comparison) -> list[str]:
    """The records that differ most, one a line."""
    diverged = [record for record in comparison.records if record.diverged]
    if len(diverged) < 2:
        return []
    chosen = sorted(diverged, key=_badness, reverse=True)[:_WORST]
    rows = [("stage", "layer", "tensor", "max abs", "rel L2", "out of tolerance")]
    for record in chosen:
        found = record.figures
        side = record.base if record.base.route is not None else record.raw
        place = when(record)
        rows.append(
            (
                f"{stage(record)}{f', {place}' if place else ''}",
                layer_name(side),
                tensor_name(record),
                number(found.max_abs) if found else record.status,
                number(found.rel_l2) if found else "",
                f"{found.mismatched} of {record.size}" if found else "",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    title = f"The {len(chosen)} that differ most, of {len(diverged)}:"
    return ["", title, *(f"  {line}".rstrip() for line in table)]


def _badness(record: Record) -> float:
    """How far a record is off, by a figure that does not depend on the size of the values."""
    found = record.figures
    if found is None or found.rel_l2 is None or found.nonfinite:
        return float("inf")
    return found.rel_l2


def _unmatched(comparison: Comparison) -> list[str]:
    """What has no partner, the layers inside a listed layer left out, and what was not stored."""
    refused = [item for item in comparison.unmatched if item.kind == "unrecorded"]
    alone = [item for item in comparison.unmatched if item.kind not in ("buffer", "unrecorded")]
    buffers = [item for item in comparison.unmatched if item.kind == "buffer"]
    named = [(item.side, _describe(item)) for item in _outermost(alone)] + _together(buffers)
    return _listed("Without a partner", len(alone) + len(buffers), named) + _listed(
        "Not stored, so not compared",
        len(refused),
        [(item.side, _describe(item)) for item in refused],
    )


def _listed(title: str, count: int, items: Sequence[tuple[str, str]]) -> list[str]:
    if not items:
        return []
    lines = ["", f"{title} ({count} in all):"]
    lines += [f"  {side:<4}  {text}" for side, text in items[:_UNMATCHED]]
    if len(items) > _UNMATCHED:
        lines.append(f"  ... and {len(items) - _UNMATCHED} more")
    return lines


def _together(buffers: Sequence[Unmatched]) -> list[tuple[str, str]]:
    """A line for each name: what one framework keeps in each layer of a class, the other lacks."""
    groups: dict[tuple[str, str | None], list[Unmatched]] = {}
    for item in buffers:
        groups.setdefault((item.side, item.tensor), []).append(item)
    lines = []
    for (side, name), items in groups.items():
        layers = len({item.route for item in items})
        text = f"buffer {clean(name or '', 40)} of {layers} layers"
        lines.append((side, text if layers > 1 else _describe(items[0])))
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


def _describe(item: Unmatched) -> str:
    where = when(item)
    at = f"{item.section}{f', {where}' if where else ''}"
    if item.kind == "section":
        return f"all of {at}"
    layer = with_class(clean(item.route, 60) or "the model itself", item.class_name)
    if item.kind == "layer":
        return f"{layer} in {at}"
    reason = f": {clean(item.reason, 80)}" if item.reason else ""
    what = "buffer" if item.kind == "buffer" else item.phase or "parameter"
    return f"{what} {clean(item.tensor or '', 40)} of {layer} in {at}{reason}"
