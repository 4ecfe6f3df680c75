"""A comparison as a figure of matplotlib, which only who asks for a plot needs."""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import groupby
from math import ceil, floor, isfinite, log10
from typing import Any, get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from padiff.comparing.comparison import Comparison, Measure, Record
from padiff.errors import UsageError
from padiff.render.findings import stage_in, verdict
from padiff.render.words import named, tensor_name, when, with_class
from padiff.tree import GRADIENTS

__all__ = ["plot"]

_NAMES: dict[Measure, str] = {
    "max_abs": "largest absolute error",
    "mean_abs": "mean absolute error",
    "max_rel": "largest relative error",
    "rel_l2": "relative L2 error",
    "required_atol": "atol that would have passed",
}
_AGAINST_ATOL = ("max_abs", "mean_abs", "required_atol")
_KINDS = (("forward", "o"), ("backward", "v"), ("weights", "s"))
_FAILED, _PASSED = "#d62728", "#4c78a8"
_LARGEST = 100  # exponents beyond which all is at an edge: matplotlib wants some room in a float64
_BAND = 0.4  # of the height of all points: room above them for the name of the first divergence
_ROUTE = 40
_LABELS = 6  # of steps that have room beside one another
_MANY = 1000  # records of which each has a small point


class _Shown(Figure):
    """A figure that a notebook shows, whether or not pyplot was ever imported there."""

    def _repr_png_(self) -> bytes:
        into = BytesIO()
        self.savefig(into, format="png")
        return into.getvalue()


def plot(
    comparison: Comparison,
    *,
    measure: Measure | None = None,
    step: int | None = None,
    ax: Axes | None = None,
) -> Figure:
    """What `Comparison.plot` tells."""
    if measure is None:
        measure = "mean_abs" if comparison.criterion.mode == "mean" else "max_abs"
    if measure not in get_args(Measure):
        raise UsageError(
            f"expected the measure {', '.join(get_args(Measure)[:-1])} or "
            f"{get_args(Measure)[-1]}, got {measure!r}"
        )
    if not isinstance(ax, Axes | None):
        raise UsageError(f"expected ax to be axes of matplotlib, got {type(ax).__name__}")
    records = _of_step(comparison.records, step)
    if ax is None:
        figure: Figure = _Shown(figsize=(9.5, 4.5), layout="constrained")
        ax = figure.add_subplot()
        beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    else:
        beside = {"loc": "best"}  # how much room there is around it, who gave it knows
    scale = _Scale(comparison, records, measure)
    _draw_points(ax, records, scale)
    _draw_edges(ax, scale)
    _draw_steps(ax, records)
    _draw_first(ax, comparison, records, scale)
    _draw_frame(ax, comparison, measure)
    if records:
        ax.legend(fontsize="small", **beside)
    return ax.figure.figure  # of axes in a part of a figure, the whole


def _of_step(records: Sequence[Record], step: int | None) -> Sequence[Record]:
    chosen = [record for record in records if step is None or record.step == step]
    if step is not None and not chosen:
        held = sorted({record.step for record in records} - {None})  # type: ignore[type-var]
        raise UsageError(
            f"expected a step that was compared, got {step!r}: there is "
            f"{', '.join(map(str, held[:10])) or 'none'}{', ...' if len(held) > 10 else ''}"
        )
    return chosen


class _Scale:
    """Where a record is drawn: zeros at the floor, at the top what no error can be told of."""

    def __init__(self, comparison: Comparison, records: Sequence[Record], measure: Measure) -> None:
        self._measure = measure
        atol = comparison.criterion.atol if measure in _AGAINST_ATOL else 0.0
        found = [self._value(record) for record in records]
        held = [log10(v) for v in (*found, atol) if v is not None and v > 0 and isfinite(v)]
        low, high = (min(held), max(held)) if held else (-8, 0)
        self.atol = atol
        lowest, highest = (min(max(end, -_LARGEST), _LARGEST) for end in (floor(low), ceil(high)))
        band = _BAND * (highest - lowest + 1)
        self.floor: float = 10.0 ** (lowest - 1)
        self.top: float = 10.0 ** (highest + band)
        self.has_zeros = any(
            value == 0 and not self.is_at_top(record)
            for record, value in zip(records, found, strict=True)
        )
        self.has_top = any(self.is_at_top(record) for record in records)

    def _value(self, record: Record) -> float | None:
        value: float | None = getattr(record.figures, self._measure, None)
        return value

    def is_at_top(self, record: Record) -> bool:
        """Whether the record tells no error that could be drawn to scale."""
        value = self._value(record)
        return record.status == "nonfinite" or value is None or not isfinite(value)

    def of(self, record: Record) -> float:
        """The height of a record's point."""
        value = self._value(record)
        if value is None or self.is_at_top(record):
            return self.top
        return min(max(value, self.floor), self.top)


def _kind(record: Record) -> str:
    if record.phase in GRADIENTS:
        return "backward"
    return "weights" if record.phase is None else "forward"


def _draw_points(ax: Axes, records: Iterable[Record], scale: _Scale) -> None:
    """Those out of tolerance last and filled, so that none is hidden behind one that agrees."""
    held = list(records)
    size = 6 if len(held) <= _MANY else 3
    for diverged in (False, True):
        for kind, marker in _KINDS:
            chosen = [r for r in held if r.diverged == diverged and _kind(r) == kind]
            if not chosen:
                continue
            colour = _FAILED if diverged else _PASSED
            ax.plot(
                [record.order for record in chosen],
                [scale.of(record) for record in chosen],
                marker,
                color=colour,
                markersize=size if diverged else 0.75 * size,
                markerfacecolor=colour if diverged else "none",
                label=f"{kind}, {'out of' if diverged else 'within'} tolerance",
                zorder=3 + diverged,
                clip_on=False,
            )


def _draw_edges(ax: Axes, scale: _Scale) -> None:
    """The tolerance, and what floor and top stand for."""
    ax.set_yscale("log")
    ax.set_ylim(scale.floor, scale.top)
    if scale.atol:
        ax.axhline(
            scale.atol, color="black", linewidth=1, linestyle="--", label=f"atol {scale.atol:g}"
        )
    edges = (
        (scale.has_zeros, scale.floor, "no error"),
        (scale.has_top, scale.top, "NaN, Inf,\nno pair"),
    )
    for there, height, text in edges:
        if there:
            ax.annotate(
                text,
                (1, height),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
                color="dimgray",
            )


def _draw_steps(ax: Axes, records: Sequence[Record]) -> None:
    """A line before each step but the first, and its name above as far as there is room."""
    groups = [(text, next(held).order) for text, held in groupby(records, when)]
    every = -(-len(groups) // _LABELS)
    for at, (text, order) in enumerate(groups):
        if at and len(groups) <= 8 * _LABELS:
            ax.axvline(order - 0.5, color="lightgray", linewidth=0.8, zorder=0)
        if text and at % every == 0:
            ax.annotate(
                text,
                (order - 0.5, 1),
                xycoords=("data", "axes fraction"),
                xytext=(2, 8),
                textcoords="offset points",
                fontsize="small",
                color="dimgray",
            )


def _draw_first(ax: Axes, comparison: Comparison, records: Sequence[Record], scale: _Scale) -> None:
    """The first divergence, by name: a text of a store, and never markup of matplotlib's."""
    first = next((record for record in records if record.diverged), None)
    if first is None:
        return
    is_right = 2 * first.order > records[0].order + records[-1].order
    beside = 0.02 * (records[-1].order - records[0].order)
    ax.axvline(first.order, color=_FAILED, linewidth=1, alpha=0.5, zorder=1)
    ax.annotate(
        "\n".join(_words(comparison, first)),
        (first.order, scale.of(first)),
        xytext=(first.order + (-beside if is_right else beside), 0.96),
        textcoords=("data", "axes fraction"),
        ha="right" if is_right else "left",
        va="top",
        color=_FAILED,
        weight="bold",
        arrowprops={"arrowstyle": "->", "color": _FAILED},
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": _FAILED, "alpha": 0.85},
        zorder=6,
        parse_math=False,
        usetex=False,
    )


def _words(comparison: Comparison, first: Record) -> Iterator[str]:
    side = first.either
    call = f", call {side.call}" if side.call else ""
    yield "first divergence"
    yield with_class(named(side.route or "the model itself", _ROUTE), side.class_name or "") + call
    place = (stage_in(comparison, first), when(first), tensor_name(first))
    yield named(", ".join(filter(None, place)), _ROUTE)
    if first.status in ("missing", "shape"):
        yield "no partner" if first.status == "missing" else "the shapes differ"


def _draw_frame(ax: Axes, comparison: Comparison, measure: Measure) -> None:
    ax.set_xlabel("order of the records: cause before effect")
    ax.set_ylabel(_NAMES[measure])
    ax.set_title(verdict(comparison), fontsize="medium", loc="left", pad=24, wrap=True)
