"""What lies at a location, for the terminal: what matters first, about one screen in all."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from padiff.inspecting.inspection import Inspection, SectionSummary, ShownSection
from padiff.render.layers import Columns, layer_lines, nonfinite_words
from padiff.render.words import byte_size, clean, name_of, ranges, when, with_class
from padiff.store.format import SECTIONS, has_meaning

__all__ = ["date_words", "model_words", "nonfinite_lines", "render", "section_title"]

_WIDTH = 80
_SCREEN = 30  # lines for the layers of all sections
_TABLE = 50  # where statistics are asked for
_LEAST = 6  # for those of one
_TOLD = 5  # damages


def render(inspection: Inspection, *, stats: bool = False, hints: bool = True) -> str:
    """The whole of it as text, safe to print whatever the store holds.

    With `stats` each tensor has a line with its statistics; `hints` tell which options of the
    command show more. Only where layers were asked for is it longer than about a screen.
    """
    lines = [*_head(inspection), *_troubles(inspection), "", *nonfinite_lines(inspection)]
    columns = Columns(stats or inspection.patterns is not None, stats)
    folded = False
    for section, room in zip(inspection.shown, _rooms(inspection, columns), strict=True):
        found, is_folded = layer_lines(inspection, section, columns, room)
        if found:
            lines += ["", *_wrapped(section_title(section)), *(line.rstrip() for line in found)]
        folded = folded or is_folded
    lines += _hints(inspection, folded) if hints else []
    return "\n".join(lines) + "\n"


def _head(inspection: Inspection) -> Iterator[str]:
    """What the location is, and a table of its sections."""
    by = f", written by {clean(inspection.producer, 40)}" if inspection.producer else ""
    yield f"{clean(inspection.location, 400)}: {inspection.store}{by}"
    for model in dict.fromkeys(map(model_words, inspection.sections)):
        yield f"  {model}"
    dates = sorted(section.created for section in inspection.sections)
    if dates[0]:  # a file of another tool has none
        made = "converted" if all(s.foreign for s in inspection.sections) else "recorded"
        yield f"  {made} {' to '.join(map(date_words, dict.fromkeys((dates[0], dates[-1]))))}"
    yield ""
    rows = [["section", "steps", "ranks", "layers", "tensors", "elements"]]
    rows += [
        _row([section for section in inspection.sections if section.section == name])
        for name in SECTIONS
        if any(section.section == name for section in inspection.sections)
    ]
    kept = [at for at in range(len(rows[0])) if any(row[at] for row in rows[1:])]
    widths = {at: max(len(row[at]) for row in rows) for at in kept}
    for row in rows:
        cells = (f"{row[at]:<{widths[at]}}" for at in kept)
        yield f"  {'  '.join(cells)}".rstrip()
    if inspection.bytes_on_disk is not None:
        yield f"  {byte_size(inspection.bytes_on_disk)} on disk"


def date_words(text: str) -> str:
    """A time as people write it."""
    return clean(text.replace("T", " ").replace("+00:00", " UTC"), 40)


def model_words(section: SectionSummary) -> str:
    """The model of a section, and what made it."""
    framework = f"{clean(section.framework, 20)} {clean(section.framework_version, 40)}".rstrip()
    # of a file of another tool it is said before, as that is what lies there
    origin = section.foreign if section.created else None
    return ", ".join(filter(None, (clean(section.model, 60), framework, clean(origin or "", 60))))


def _row(sections: Sequence[SectionSummary]) -> list[str]:
    """One section of all steps and ranks; figures of each where they are not the same."""
    steps = {section.step for section in sections if section.step is not None}
    ranks = {section.rank for section in sections if section.rank is not None}
    counts = [
        "-".join(map(str, sorted({min(found), max(found)})))
        for found in ([s.layers for s in sections], [s.tensors for s in sections])
    ]
    size = byte_size(sum(section.bytes for section in sections))
    told = sum(section.statistics_only for section in sections)
    if told:
        which = "" if told == len(sections) else f" of {told} of {len(sections)}"
        size += f", statistics alone{which}"
    of_which = ranges(sorted(steps)), ranges(sorted(ranks))
    return [sections[0].section, *of_which, *counts, size]


def _troubles(inspection: Inspection) -> Iterator[str]:
    """What could not be looked at, a sentence each."""
    told = [f"DAMAGED: {damage}" for damage in inspection.damages]
    told += [
        f"UNFINISHED: {place}, its writer was stopped or is still at work"
        for place in inspection.unfinished
    ]
    if told:
        yield ""
    for sentence in told[:_TOLD]:
        yield from _wrapped(clean(sentence, 1000))
    if len(told) > _TOLD:
        yield f"... and {len(told) - _TOLD} more: padiff verify tells all"


def nonfinite_lines(inspection: Inspection) -> list[str]:
    """Whether there is NaN or Inf anywhere, and where it may have begun."""
    sections, first = inspection.sections, inspection.first_nonfinite
    total = sum(section.tensors for section in sections)
    tensors = f"{total} tensor{'' if total == 1 else 's'}"
    if first is None and not inspection.measured:
        return [f"Of {tensors} it is not known whether there is NaN or Inf: --stats reads all."]
    if first is None:
        return [f"No NaN or Inf in {tensors}."]
    nan, inf = (sum(getattr(s, name) or 0 for s in sections) for name in ("nan", "inf"))
    counts = [(nan, "NaN"), (inf, "Inf")]
    found = ", ".join(f"{word} in {count}" for count, word in counts if count)
    layer = with_class(clean(first.route, 60) or "the model itself", first.class_name)
    call = f", call {first.call}" if first.call else ""
    what = name_of(first.section, first.phase, first.tensor, buffer=first.buffer)
    place = f"{when(first)}, " if when(first) else ""
    return [
        f"{found} of {tensors}.",
        *_wrapped(
            f"The first: {place}{first.section}, {what} of {layer}{call}: "
            f"{nonfinite_words(first.nan, first.inf, first.size)}."
        ),
    ]


def section_title(section: ShownSection) -> str:
    """A section, its step and rank, and what all of its layers have in common."""
    summary = section.summary
    place = f" of {when(summary)}" if when(summary) else ""
    modes = {node.training for node in section.tree.walk()} - {None}
    mode = f", in {'training' if True in modes else 'evaluation'} mode" if len(modes) == 1 else ""
    devices = {clean(t.device, 20) for node in section.tree.walk() for t in node.tensors} - {""}
    on = f", on {', '.join(sorted(devices))}" if 0 < len(devices) <= 4 else ""
    return f"{summary.section}{place}{mode}{on}"


def _rooms(inspection: Inspection, columns: Columns) -> list[int | None]:
    """How many lines the layers of each section may take: what one leaves, others have."""
    if inspection.patterns is not None:
        return [None] * len(inspection.shown)
    needs = [
        section.summary.layers + (section.summary.tensors if columns.tensors else 0)
        for section in inspection.shown
    ]
    rooms, left = [0] * len(needs), _TABLE if columns.tensors else _SCREEN
    for done, at in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        rooms[at] = max(_LEAST, min(needs[at], left // (len(needs) - done)))
        left -= rooms[at]
    return [*rooms]


def _hints(inspection: Inspection, folded: bool) -> list[str]:
    """How to see what is not shown."""
    hints = []
    dumps = {(section.step, section.rank): section for section in inspection.sections}
    if len(dumps) > 1:
        typed = inspection.location.rstrip("/")
        names = next(reversed(dumps.values())).location.split("/")[-3:-1]
        below = [name for name in names if has_meaning(name) and name not in typed.split("/")]
        another = clean("/".join([typed, *below]), 400)
        hints.append(f"Of {len(dumps)} dumps one is shown; name another to see it: {another}")
    if inspection.patterns is not None:
        nodes = (node for section in inspection.shown for node in section.tree.walk())
        fitting = [node for node in nodes if inspection.takes(node)]
        routes = [clean(node.route, 60) for node in fitting if node.children and node.route]
        if routes and not any(node.tensors for node in fitting):
            hints.append(
                f"What fits has no tensor itself: --layer '{routes[0]}.*' shows what is in it."
            )
    if folded:
        hints.append("Some layers are folded: --layer '*' shows all, --layer 'name.*' a part.")
    return ["", *(line for hint in hints for line in _wrapped(hint))] if hints else []


def _wrapped(sentence: str) -> list[str]:
    return wrap(sentence, _WIDTH, break_long_words=False, break_on_hyphens=False)
