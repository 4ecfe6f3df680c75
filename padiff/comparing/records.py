"""From what was planned and the figures found to the records of a comparison."""

from math import inf, isfinite, prod, sqrt

from msgspec.structs import replace

from padiff.comparing.comparison import Figures, Record, Side, Status
from padiff.comparing.criterion import Criterion
from padiff.comparing.pieces import Piece
from padiff.comparing.planning import Planned
from padiff.comparing.statistics import PairStatistics
from padiff.comparing.streaming import TensorPair, axes_of_raw
from padiff.dtypes import dtype_named
from padiff.tree import Node, TensorRecord, TensorStats

__all__ = ["CONVENTION", "figures_of", "record_of", "to_compare"]

CONVENTION = (
    "running variances may be apart by a share of 1 / (n - 1), as after training on batches of n "
    "values a channel: torch keeps the unbiased variance, paddle the biased one"
)


def to_compare(planned: Planned) -> TensorPair | None:
    """The pair of tensors to read; None when a side is missing or the shapes differ."""
    base, raw = planned.tensors
    if base is None or raw is None:
        return None
    axes = axes_of_raw(base, raw)
    if base.shape != tuple(raw.shape[axis] for axis in axes):
        return None
    return TensorPair(planned.sections[0], base, planned.sections[1], raw, axes)


def record_of(
    planned: Planned, order: int, statistics: PairStatistics | None, criterion: Criterion
) -> Record:
    """The record of one pair; `statistics` are None where there was nothing to read."""
    base, raw = planned.tensors
    figures: Figures | None = None
    status: Status = "missing" if base is None or raw is None else "shape"
    notes: list[str] = []
    by_statistics = False
    if statistics is not None and base is not None and raw is not None:
        exact = all(dtype_named(tensor.dtype).kind == "exact" for tensor in (base, raw))
        figures = figures_of(statistics, criterion, exact=exact)
        told = any(section.header.tensors for section in planned.sections)
        if by_statistics := told and base.chunks != raw.chunks:
            figures = replace(figures, max_rel=None, cosine=None)
        notes = _notes(statistics, base, raw)
        larger = statistics.squares_raw > statistics.squares_base
        as_known = planned.explained > 0 if larger else planned.explained < 0
        if as_known and not criterion.accepts(figures.required_atol):
            stats = planned.sections[0].stats(base)
            figures = _by_convention(figures, stats, abs(planned.explained))
            notes.append(CONVENTION)
        status = "match" if criterion.accepts(figures.required_atol) else "mismatch"
        if statistics.nonfinite:
            status = "nonfinite"
    elif status == "missing":
        notes = _reasons(planned)
    known = base or raw
    sums = statistics or PairStatistics()
    squares = sums.squares_base, sums.squares_raw
    return Record(
        step=planned.dumps.step,
        rank=planned.dumps.rank,
        section=planned.sections[0].header.section,
        phase=planned.phase,
        order=order,
        status=status,
        base=_side(planned.nodes[0], _sized(base, squares[0])),
        raw=_side(planned.nodes[1], _sized(raw, squares[1])),
        size=0 if known is None else prod(known.shape),
        figures=figures,
        note="; ".join(notes),
        buffer=planned.buffer,
        by_statistics=by_statistics,
        foreign=any(section.header.origin for section in planned.sections),
    )


def figures_of(statistics: PairStatistics, criterion: Criterion, *, exact: bool) -> Figures:
    """The figures of a pair; `exact` says that both sides hold whole numbers."""
    required = criterion.required_atol(statistics.mean_abs, statistics.mean_base, statistics.excess)
    if exact:
        required = 0.0
    # what is not a number on one side, or is not the same whole number, no tolerance allows
    if statistics.nonfinite or (exact and statistics.mismatched):
        required = inf
    worst = statistics.worst
    figures = Figures(
        mismatched=statistics.mismatched,
        nonfinite=statistics.nonfinite,
        agreeing=statistics.agreeing,
        max_abs=statistics.max_abs,
        mean_abs=statistics.mean_abs,
        max_rel=statistics.max_rel,
        rel_l2=statistics.rel_l2,
        cosine=statistics.cosine,
        worst_index=None if worst is None else worst.index,
        base_value=None if worst is None else worst.base,
        raw_value=None if worst is None else worst.raw,
        required_atol=required,
    )
    if statistics.nonfinite and not statistics.finite:
        return replace(figures, max_abs=None, mean_abs=None, max_rel=None, rel_l2=None, cosine=None)
    return figures


def _by_convention(figures: Figures, base: TensorStats, explained: float) -> Figures:
    """The figures, with the atol for what is left of the difference once a share is explained.

    No element is off by more than `max_rel` of its size, so none has more left than that. Where
    statistics alone are known, some element is off by `max_abs`, of which no more is explained than
    the share of the largest.
    """
    largest = max(abs(base.min or 0), abs(base.max or 0))
    if figures.max_rel is None and figures.max_abs is not None:
        left = max(0.0, figures.max_abs - explained * largest)
    elif figures.max_rel is not None and isfinite(figures.max_rel):
        left = max(0.0, figures.max_rel - explained) * largest
    else:
        return figures
    return replace(figures, required_atol=min(figures.required_atol, left))


def _notes(statistics: PairStatistics, base: TensorRecord, raw: TensorRecord) -> list[str]:
    notes = []
    if base.dtype != raw.dtype:
        notes.append(f"{base.dtype} and {raw.dtype} compared by value")
    if axes_of_raw(base, raw) != tuple(range(len(base.shape))):
        order = base.dims or ()
        if isinstance(base, Piece):  # whose axes have no names of their own
            order = tuple(map(str, axes_of_raw(base, raw)))
        notes.append(f"axes of raw taken in the order {', '.join(order)}")
    if statistics.agreeing:
        notes.append(f"NaN or infinite alike in {statistics.agreeing} places")
    return notes


def _reasons(planned: Planned) -> list[str]:
    """Why a side that lacks a tensor could not store it, as it noted then."""
    known = planned.tensors[0] or planned.tensors[1]
    return [
        f"{side}: {value.reason}"
        for side, node, tensor in zip(("base", "raw"), planned.nodes, planned.tensors, strict=True)
        if tensor is None and node is not None
        for value in node.unrecorded
        # of a layer that raised, no place is known
        if value.phase == planned.phase and (known is None or value.place in ("", known.place))
    ]


def _sized(tensor: TensorRecord | None, squares: float) -> TensorRecord | None:
    """A tensor that nobody has measured, or a piece of one that somebody has: of its elements the
    norm is known, which bounds them.
    """
    if tensor is None or (tensor.stats is not None and not isinstance(tensor, Piece)):
        return tensor
    norm = sqrt(squares)
    return replace(tensor, stats=TensorStats(-norm, norm, None, None, norm, 0, 0))


def _side(node: Node | None, tensor: TensorRecord | None) -> Side:
    if node is None:
        return Side()
    if tensor is None:
        return Side(node.route, node.name, node.call)
    return Side(
        node.route,
        node.name,
        node.call,
        tensor.place,
        tensor.shape,
        tensor.dtype,
        tensor.device,
        tensor.stats,
    )
