"""What a notebook shows of each of padiff's results: a line here for each class.

Of stores the trees are read, and no element.
"""

from collections.abc import Iterable, Iterator
from functools import singledispatch

from padiff.comparing.comparison import Comparison
from padiff.comparing.structure import TreeDifference
from padiff.errors import PadiffError
from padiff.inspecting.inspect import of_sections
from padiff.inspecting.inspection import Inspection, SectionSummary
from padiff.render.compact import render as comparison_html
from padiff.render.inspection import date_words, model_words, nonfinite_lines, section_title
from padiff.render.inspection import render as inspection_text
from padiff.render.layers import Columns, layer_lines
from padiff.render.markup import box, details, line, pre, table
from padiff.render.structure import render as structure_text
from padiff.render.words import byte_size, name_of, number, with_class
from padiff.store.array import Array
from padiff.store.reader import Dump, Section
from padiff.store.section import Layer, Tensors, bytes_of
from padiff.tree import TensorRecord

__all__ = ["html_of"]

_LINES = 24  # of the layers of a section
_TENSORS = 40  # of one layer
_SECTIONS = ("section", "layers", "tensors", "elements")
_STATS = ("min", "max", "mean", "NaN", "Inf")


@singledispatch
def html_of(shown: object) -> str:
    """HTML for what is `Shown`, which needs nothing else and holds no script."""
    raise TypeError(f"expected a result of padiff, got {type(shown).__name__}")


html_of.register(Comparison, comparison_html)


@html_of.register
def _inspection(shown: Inspection) -> str:
    return box([pre(inspection_text(shown, hints=False).splitlines())])


@html_of.register
def _difference(shown: TreeDifference) -> str:
    return box([pre(structure_text(shown).splitlines())], "good" if shown.same else "bad")


@html_of.register
def _dump(shown: Dump) -> str:
    sections, troubles = [], []
    for name in shown.sections:
        try:
            sections.append(shown.section(name))
        except (PadiffError, OSError) as error:  # one that is damaged hides no other
            troubles.append(f"{name} cannot be opened: {error}")
    troubles += [
        f"{name} is unfinished: its writer was stopped or is still at work"
        for name in shown.unfinished
    ]
    inspection = of_sections(shown.location, sections, shown.step, shown.rank)
    return box([*_head(f"Dump {shown.location}", inspection), *map(line, troubles)])


@html_of.register
def _section(shown: Section) -> str:
    inspection = of_sections(shown.location, [shown])
    return box(_head(f"Section {shown.location}", inspection))


def _head(title: str, inspection: Inspection) -> Iterator[str]:
    """What was recorded and when, how much of it there is, and the layers."""
    yield line(title, bold=True)
    yield from map(line, dict.fromkeys(map(model_words, inspection.sections)))
    created = min((section.created for section in inspection.sections), default="")
    if created:  # of files of other tools it is not known
        yield line(f"recorded {date_words(created)}")
    yield table(map(_row, inspection.sections), _SECTIONS)
    if inspection.measured:
        yield from map(line, nonfinite_lines(inspection))
    for at, section in enumerate(inspection.shown):
        lines, _ = layer_lines(inspection, section, Columns(tensors=False, stats=False), _LINES)
        yield details(section_title(section), pre(lines), is_open=at == 0)


def _row(summary: SectionSummary) -> tuple[str, ...]:
    size = byte_size(summary.bytes)
    alone = ", statistics alone" if summary.statistics_only else ""
    return summary.section, str(summary.layers), str(summary.tensors), f"{size}{alone}"


@html_of.register
def _layer(shown: Layer) -> str:
    node = shown.node
    call = f", call {node.call}" if node.call else ""
    parts = [line(f"Layer {with_class(node.route or 'the model itself', node.name)}{call}")]
    if node.repr:
        parts.append(pre(node.repr.splitlines()[:1]))
    parts += _tensors(shown.section, node.tensors)
    parts += (
        line(f"{value.place or 'a value'} was not stored: {value.reason}")
        for value in node.unrecorded
    )
    return box(parts)


@html_of.register
def _of_one_phase(shown: Tensors) -> str:
    return box(_tensors(shown.section, shown.records.values()))


def _tensors(section: Section, records: Iterable[TensorRecord]) -> Iterator[str]:
    """A table of tensors, with their statistics where they were recorded."""
    known = list(records)
    rows = [_described(section, record) for record in known[:_TENSORS]]
    yield table(rows, ("tensor", "dtype", "shape", "size", *_STATS)) if rows else line("no tensors")
    if len(known) > _TENSORS:
        yield line(f"... and {len(known) - _TENSORS} more")


def _described(section: Section, record: TensorRecord) -> tuple[str, ...]:
    name = name_of(section.header.section, record.phase, record.place, buffer=record.buffer)
    found = record.stats
    stats = (
        ("",) * len(_STATS)
        if found is None
        else tuple(map(number, (found.min, found.max, found.mean, found.nan, found.inf)))
    )
    return name, record.dtype, str(list(record.shape)), byte_size(bytes_of(record)), *stats


@html_of.register
def _array(shown: Array) -> str:
    chunks = f"{shown.chunk_count} chunk{'' if shown.chunk_count == 1 else 's'}"
    text = f"{shown.element.name} {list(shown.shape)}, {byte_size(shown.nbytes)} in {chunks}"
    return box([line(f"Array on disk: {text}; slicing reads it")])
