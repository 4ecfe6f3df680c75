"""A comparison for a notebook: what a reader wants first, in one piece of HTML."""

from collections import Counter
from collections.abc import Iterator

from padiff.comparing.comparison import Comparison, Record, Unmatched
from padiff.render.causes import cause
from padiff.render.findings import (
    NOT_ALIGNED,
    badness,
    extremes,
    figures,
    hidden,
    stage_in,
    verdict,
)
from padiff.render.markup import beside, box, details, line, pre, table
from padiff.render.outline import MARKER, outline
from padiff.render.summary import summary
from padiff.render.traps import traps
from padiff.render.words import (
    layer_name,
    number,
    shape_of,
    source_words,
    tensor_name,
    when,
)

__all__ = ["render"]

_WORST = 5
_OPEN = 24  # lines of trees that need not be folded away
_HEAD = ("stage", "layer", "tensor", "max abs", "rel L2", "out of tolerance")


def render(comparison: Comparison) -> str:
    """Verdict, first divergence, what differs most and what has no partner."""
    first = comparison.first_divergence
    answer = verdict(comparison)
    parts = [line(answer if first is None else summary(comparison, first), bold=True)]
    if first is not None:
        parts.append(line(answer.removeprefix(NOT_ALIGNED)))
    sources = (("base", comparison.base), ("raw", comparison.raw))
    parts.append(table((name, source_words(source)) for name, source in sources))
    parts += map(line, comparison.notes)
    if first is not None:
        parts += _first(comparison, first)
        parts.append(_trees(comparison, first))
        parts += _worst(comparison)
    parts += map(line, hidden(comparison))
    parts += _unmatched(comparison)
    return box(parts, "good" if comparison.aligned else "bad")


def _first(comparison: Comparison, record: Record) -> Iterator[str]:
    """Where it is, how large, and what is known of its cause."""
    yield line(f"First divergence: {', '.join(_place(comparison, record))}", bold=True)
    yield table(
        (label, layer_name(side), side.class_name or "", shape_of(side))
        for label, side in (("base", record.base), ("raw", record.raw))
    )
    yield from map(line, (*figures(comparison, record), *extremes(record)))
    for sentence in (record.note, cause(comparison, record), *traps(comparison, record)):
        if sentence:
            yield line(sentence)


def _place(comparison: Comparison, record: Record) -> Iterator[str]:
    yield from filter(None, (stage_in(comparison, record), when(record), tensor_name(record)))


def _trees(comparison: Comparison, first: Record) -> str:
    """Both layer trees, folded around the place, side by side where there is room."""
    columns = []
    for label, tree, side in zip(
        ("base", "raw"), comparison.first_trees, (first.base, first.raw), strict=True
    ):
        lines = [f"{label}:"]
        for each in outline(tree, side.route, side.call):
            mark = f"  {MARKER}" if each.marked else ""
            lines.append(f"{'  ' * each.depth}{each.text}{mark}")
        columns.append(lines)
    is_open = max(map(len, columns)) <= _OPEN
    return details("Layers around it", beside(map(pre, columns)), is_open=is_open)


def _worst(comparison: Comparison) -> Iterator[str]:
    """The records that differ most, where there is more than the first divergence."""
    diverged = [record for record in comparison.records if record.diverged]
    if len(diverged) > 1:
        worst = sorted(diverged, key=badness, reverse=True)[:_WORST]
        title = f"The {len(worst)} that differ most, of {len(diverged)}"
        if len(worst) == len(diverged):
            title = f"All {len(worst)} that differ"
        yield details(title, table((_row(comparison, each) for each in worst), _HEAD))


def _row(comparison: Comparison, record: Record) -> tuple[str, ...]:
    found = record.figures
    return (
        ", ".join(filter(None, (stage_in(comparison, record), when(record)))),
        layer_name(record.either),
        tensor_name(record),
        number(found.max_abs) if found else record.status,
        number(found.rel_l2) if found else "",
        f"{found.mismatched} of {record.size}" if found else "",
    )


def _unmatched(comparison: Comparison) -> Iterator[str]:
    """What has no partner, and what was not stored, a line each."""
    alone = [item for item in comparison.unmatched if item.kind != "unrecorded"]
    refused = [item for item in comparison.unmatched if item.kind == "unrecorded"]
    for title, items in (("Without a partner", alone), ("Not stored, so not compared", refused)):
        if items:
            yield line(f"{title}: {_counted(items)}.")


def _counted(items: list[Unmatched]) -> str:
    """How many of what each side has alone: `9 buffers of base, 1 layer of raw`."""
    counts = Counter((item.side, item.kind) for item in items)
    words = {"unrecorded": "value"}
    return ", ".join(
        f"{count} {words.get(kind, kind)}{'' if count == 1 else 's'} of {side}"
        for (side, kind), count in counts.items()
    )
