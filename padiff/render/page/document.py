"""A comparison as the compact JSON document that a page carries and its scripts read."""

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from math import inf

from padiff.comparing.comparison import Comparison, Record, Side, Source, Unmatched
from padiff.comparing.criterion import Criterion
from padiff.comparing.outcome import Figures
from padiff.jsonio import Json
from padiff.render.findings import held, stages
from padiff.render.page.columns import Columns, Table, quantised, short, text
from padiff.render.page.layers import Row, merged, walk
from padiff.render.words import exact_number, name_of, tensor_name
from padiff.tree import Node, TensorStats
from padiff.version import __version__

__all__ = ["RECORDS", "document"]

RECORDS = 50_000  # that a page holds: some 11 MB
_NAME = 400
_CODE = 200
_VALUES = 200
_FIGURES = ("max_abs", "mean_abs", "max_rel", "rel_l2", "required_atol")
_STATS = ("min", "max", "mean", "mean_abs", "l2", "nan", "inf")


class _Document:
    """Collects the tables that rows refer to, while these are made."""

    def __init__(self, stage: Callable[[Record], str], criterion: Criterion) -> None:
        self._stage, self._criterion = stage, criterion
        self.strings, self.tensors, self.stats = Table(), Table(), Table()
        self.indices, self.stacks = Table(), Table()

    def string(self, value: str | None, limit: int = _NAME) -> int:
        return self.strings.add(text(value, limit))

    def layers(self, roots: Sequence[Row]) -> Json:
        columns = Columns(
            "parent",
            *(
                f"{side}_{name}"
                for side in ("base", "raw")
                for name in ("route", "class", "call", "repr", "training", "stack")
            ),
        )
        parents = {id(child): row.index for row in walk(roots) for child in row.children}
        for row in walk(roots):
            sides = zip(row.sides, row.nodes, strict=True)
            columns.add(
                parents.get(id(row), -1), *(cell for side in sides for cell in self._layer(*side))
            )
        return columns.to_json()

    def _layer(self, side: Side, node: Node | None) -> Sequence[object]:
        own = [self.string(side.route), self.string(side.class_name), side.call or 0]
        if node is None:
            return [*own, -1, None, -1]
        frames = tuple(
            (
                self.string(frame.file),
                frame.line,
                self.string(frame.function, 80),
                self.string(frame.code.strip(), _CODE),
            )
            for frame in node.stack
        )
        return [*own, self.string(node.repr), node.training, self.stacks.add(frames or None)]

    def records(self, records: Sequence[Record], rows: Sequence[Row | None]) -> Json:
        columns = Columns(
            *("layer", "order", "step", "rank", "stage", "name", "phase", "section", "status"),
            *("base", "raw", "base_stats", "raw_stats", "base_layer", "raw_layer"),
            *("size", "times", "mismatched", "nonfinite", "agreeing", *_FIGURES, "cosine"),
            *("worst", "base_value", "raw_value", "note", "by_statistics"),
        )
        for record, row in zip(records, rows, strict=True):
            assert row is not None
            columns.add(
                row.index,
                record.order,
                record.step,
                record.rank,
                self.string(self._stage(record)),
                self.string(tensor_name(record)),
                self.string(record.phase),
                self.string(record.section),
                self.string(record.status),
                *map(self._tensor, (record.base, record.raw)),
                *(self._stats(side.stats) for side in (record.base, record.raw)),
                *(
                    self._other(row.sides[side], where)
                    for side, where in enumerate((record.base, record.raw))
                ),
                record.size,
                short(_times(record.figures, self._criterion)),
                *self._figures(record.figures),
                self.string(record.note or None),
                record.by_statistics,
            )
        return columns.to_json()

    def _other(self, known: Side, where: Side) -> int:
        """The layer's name where this record has another than the rest of its row, else -1."""
        if where.route is None or (known.route, known.call) == (where.route, where.call):
            return -1
        return self.string(f"{where.route} (call {where.call})" if where.call else where.route)

    def _tensor(self, side: Side) -> int:
        if side.tensor is None:
            return -1
        described = (self.string(side.dtype), self.string(side.device), side.shape or ())
        return self.tensors.add(described)

    def _stats(self, stats: TensorStats | None) -> int:
        if stats is None:
            return -1
        return self.stats.add(tuple(short(getattr(stats, name)) for name in _STATS))

    def _figures(self, found: Figures | None) -> Sequence[object]:
        if found is None:
            return [None] * (len(_FIGURES) + 4) + [-1, None, None]
        return [
            found.mismatched,
            found.nonfinite,
            found.agreeing,
            *(short(getattr(found, name)) for name in _FIGURES),
            short(found.cosine, 9),
            self.indices.add(found.worst_index),
            *(
                None if value is None else exact_number(value)
                for value in (found.base_value, found.raw_value)
            ),
        ]

    def unmatched(self, items: Sequence[Unmatched], rows: Sequence[Row | None]) -> Json:
        columns = Columns(
            *("layer", "side", "kind", "section", "step", "rank", "name", "tensor", "reason")
        )
        for item, row in zip(items, rows, strict=True):
            named = None if item.kind in ("section", "layer") else _named(item)
            columns.add(
                -1 if row is None else row.index,
                self.string(item.side),
                self.string(item.kind),
                self.string(item.section),
                item.step,
                item.rank,
                self.string(named),
                -1 if item.shape is None else self.indices.add(item.shape),
                self.string(item.reason or None),
            )
        return columns.to_json()


def _times(found: Figures | None, criterion: Criterion) -> float | None:
    """An error in what is allowed, 1 at most of a pair that agrees; infinite where nothing is.

    In atol; where that is 0, of the error held against rtol. Of a pair that agrees by rtol alone
    it is 0.
    """
    if found is None or found.required_atol == 0:
        return None if found is None else 0.0
    if criterion.atol:
        return found.required_atol / criterion.atol
    error, allowed = held(criterion, found)
    return max(1.0, error / allowed) if allowed > 0 else inf


def _named(item: Unmatched) -> str:
    return name_of(item.section, item.phase, item.tensor or "", buffer=item.kind == "buffer")


def document(comparison: Comparison, *, most: int = RECORDS) -> Json:
    """The comparison for the scripts of a page, at most so many of its records.

    Where there are more, those that diverged come first, then the earliest. All text is safe to
    show, and none of it is markup.
    """
    made = _Document(stages(comparison), comparison.criterion)
    chosen = _chosen(comparison.records, most)
    alone = comparison.unmatched[:most]
    roots, of_records, of_unmatched = merged(comparison, chosen, alone)
    first = comparison.first_divergence
    place = {record.order: index for index, record in enumerate(chosen)}
    parts = {  # the words that records share come first, and so have the shortest indices
        "records": made.records(chosen, of_records),
        "layers": made.layers(roots),
        "unmatched": made.unmatched(alone, of_unmatched),
    }
    return {
        "padiff": __version__,
        "aligned": comparison.aligned,
        "mode": comparison.criterion.mode,
        "atol": comparison.criterion.atol,
        "rtol": comparison.criterion.rtol,
        "strict_structure": comparison.strict_structure,
        "totals": comparison.totals.to_json(),
        "sources": [_source(comparison.base), _source(comparison.raw)],
        "notes": [text(note, _NAME) for note in comparison.notes],
        "left_out": [
            len(comparison.records) - len(chosen),
            len(comparison.unmatched) - len(alone),
        ],
        "first": -1 if first is None else place[first.order],
        **parts,
        "close_ups": _close_ups(comparison, place),
        "strings": made.strings.values(),
        "tensors": made.tensors.values(),
        "stats": made.stats.values(),
        "indices": made.indices.values(),
        "stacks": made.stacks.values(),
    }


def _chosen(records: Sequence[Record], most: int) -> Sequence[Record]:
    if len(records) <= most:
        return records
    kept = nlargest(most, records, key=lambda record: (record.diverged, -record.order))
    return sorted(kept, key=lambda record: record.order)


def _source(source: Source) -> Json:
    named = {
        "location": source.location,
        "model": source.model,
        "framework": f"{source.framework} {source.framework_version}".strip(),
        "made by": source.foreign or "",
        "recorded": source.created,
    }
    return {
        "source": [[key, text(value, _NAME)] for key, value in named.items()],
        "environment": [
            [text(key), text(_word(value), _VALUES)] for key, value in source.environment.items()
        ],
    }


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _close_ups(comparison: Comparison, place: Mapping[int, int]) -> list[Json]:
    return [
        {
            "record": place[found.order],
            "exponent": found.exponent,
            "counts": list(found.counts),
            "equal": found.equal,
            "nonfinite": found.nonfinite,
            "profiles": [[short(value, 3) for value in axis] for axis in found.profiles],
            "axes": list(found.map_axes),
            "map": quantised(found.map),
            "worst": [
                [list(element.index), exact_number(element.base), exact_number(element.raw)]
                for element in found.worst
            ],
        }
        for found in comparison.close_ups
        if found.order in place
    ]
