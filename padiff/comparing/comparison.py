"""The outcome of comparing two locations: every record, what found no partner, the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from padiff.comparing.close_up import CloseUp
from padiff.comparing.criterion import Criterion
from padiff.comparing.outcome import BufferKind, Figures, Record, Side, Status
from padiff.comparing.table import frame_of
from padiff.jsonio import Json
from padiff.showing import Shown, figure_of
from padiff.store.format import Environment, SectionName
from padiff.tree import LayerTree, Phase

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "SCHEMA",
    "BufferKind",
    "Comparison",
    "Figures",
    "Kind",
    "Measure",
    "Record",
    "Side",
    "SideName",
    "Source",
    "Status",
    "Totals",
    "Unmatched",
]

SCHEMA = "padiff-comparison/1"

_ROUTE = 60  # characters

SideName = Literal["base", "raw"]
Measure = Literal["max_abs", "mean_abs", "max_rel", "rel_l2", "required_atol"]
Kind = Literal["section", "layer", "tensor", "buffer", "unrecorded"]


@dataclass(frozen=True, slots=True)
class Source:
    """One of the two sides compared, by the first section that is.

    `foreign` says what it is where padiff did not record it. `created` is when it was recorded, and
    `environment` what its framework told then of the machine and of its settings; both are empty
    where that is not known.
    """

    location: str
    model: str
    framework: str
    framework_version: str
    foreign: str | None = None
    created: str = ""
    environment: Environment = field(default_factory=dict, hash=False)

    def to_json(self) -> Json:
        """As in the JSON document."""
        return {
            "location": self.location,
            "model": self.model,
            "framework": self.framework,
            "framework_version": self.framework_version,
            "foreign": self.foreign,
            "created": self.created,
            "environment": dict(self.environment),
        }


@dataclass(frozen=True, slots=True)
class Unmatched:
    """What one side has and cannot be compared, mostly because the other has it not.

    `kind` tells whether it is a whole section of a step and rank (`route` is then the model's), a
    layer, or one tensor of a layer that itself has a partner, told apart if that is a buffer; or a
    value of such a layer that could not be stored, for a `reason`.
    """

    side: SideName
    kind: Kind
    section: SectionName
    step: int | None
    rank: int | None
    route: str = ""
    class_name: str = ""
    call: int = 0
    phase: Phase | None = None
    tensor: str | None = None
    shape: tuple[int, ...] | None = None
    reason: str = ""

    def to_json(self) -> Json:
        """As in the JSON document."""
        return {
            "side": self.side,
            "kind": self.kind,
            "section": self.section,
            "step": self.step,
            "rank": self.rank,
            "route": self.route,
            "class": self.class_name,
            "call": self.call,
            "phase": self.phase,
            "tensor": self.tensor,
            "shape": None if self.shape is None else list(self.shape),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """How many pairs were compared, and how many things were listed that were not."""

    compared: int
    diverged: int
    identical: int
    unmatched_base: int
    unmatched_raw: int

    def to_json(self) -> Json:
        """As in the JSON document."""
        return {name: getattr(self, name) for name in Totals.__dataclass_fields__}


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Shown):
    """What comparing two locations found.

    `records` are in event order, but for what may be rounding noise: gradients that are nothing
    else, and weights that an optimizer made of them, stand behind all of the step that has the same
    causes. `trees` are the layers of base and raw, by section, of the step and rank where the first
    divergence is (else, of the first compared): for showing, and no part of the JSON document.
    `notes` say what a reader must know of the comparison as a whole, a sentence each. `close_ups`,
    no part of the document either, tell of records, in their order, where in the tensor the error
    sits. `mapped` says that a table of names was given.
    """

    criterion: Criterion
    base: Source
    raw: Source
    records: tuple[Record, ...]
    unmatched: tuple[Unmatched, ...]
    strict_structure: bool
    trees: Mapping[SectionName, tuple[LayerTree, LayerTree]] = field(repr=False, hash=False)
    notes: tuple[str, ...] = ()
    close_ups: tuple[CloseUp, ...] = ()
    mapped: bool = False

    def __repr__(self) -> str:
        totals, first = self.totals, self.first_divergence
        word = "ALIGNED" if self.aligned else "NOT ALIGNED"
        told = f"<Comparison {word}, {totals.compared} compared, {totals.diverged} diverged"
        if first is None:
            return f"{told}>"
        return f"{told}, first {first.phase or 'weights'} of {_short(first.either.route or '')}>"

    @property
    def first_divergence(self) -> Record | None:
        """The earliest record that diverged: the cause of those that follow, if one causes them."""
        return next((record for record in self.records if record.diverged), None)

    @property
    def first_trees(self) -> tuple[LayerTree, LayerTree]:
        """Of `trees` those of the section with the first divergence; else of the first section."""
        first = self.first_divergence
        return self.trees[next(iter(self.trees)) if first is None else first.section]

    @property
    def structure_differs(self) -> bool:
        """Whether a layer, a whole section, or a tensor of the model's own, is on one side only.

        Layers may return more on one side, and gradients be asked for on one side: only what the
        model itself is given and returns is part of its structure.
        """
        return any(
            item.kind in ("section", "layer")
            or (item.kind == "tensor" and not item.route and item.phase in ("input", "forward"))
            for item in self.unmatched
        )

    @property
    def aligned(self) -> bool:
        """Whether at least one pair was compared, and nothing was found that must not be."""
        if self.strict_structure and self.structure_differs:
            return False
        return bool(self.records) and self.first_divergence is None

    @property
    def totals(self) -> Totals:
        return Totals(
            compared=sum(record.status != "missing" for record in self.records),
            diverged=sum(record.diverged for record in self.records),
            identical=sum(record.identical for record in self.records),
            unmatched_base=sum(item.side == "base" for item in self.unmatched),
            unmatched_raw=sum(item.side == "raw" for item in self.unmatched),
        )

    def to_json(self) -> Json:
        """The document that `padiff-check --json` prints."""
        first = self.first_divergence
        return {
            "schema": SCHEMA,
            "verdict": "aligned" if self.aligned else "diverged",
            "criterion": {
                "mode": self.criterion.mode,
                "atol": self.criterion.atol,
                "rtol": self.criterion.rtol,
            },
            "strict_structure": self.strict_structure,
            "base": self.base.to_json(),
            "raw": self.raw.to_json(),
            "totals": self.totals.to_json(),
            "first_divergence": None if first is None else first.to_json(),
            "records": [record.to_json() for record in self.records],
            "unmatched": [item.to_json() for item in self.unmatched],
            "notes": list(self.notes),
        }

    def to_frame(self) -> "pandas.DataFrame":
        """The records as a table, a row each, in columns named after the JSON document.

        What found no partner comes after them, with the status `unmatched`: the columns of its side
        are filled, and it has neither figures nor an order. It is no divergence by itself.
        `docs/reading.md` tells of the columns. UsageError where pandas is not installed.
        """
        return frame_of(
            (record.to_json() for record in self.records),
            (item.to_json() for item in self.unmatched),
        )

    def plot(
        self,
        *,
        measure: Measure | None = None,
        step: int | None = None,
        ax: "Axes | None" = None,
    ) -> "Figure":
        """How far the pairs are apart, in event order, as a figure of matplotlib.

        A point is a record; those out of tolerance are filled, the first divergence is named.
        `measure` is which figure of the records is shown: by default the error that the mode holds
        against the tolerance. `step` shows one step alone, and `ax` is what to draw into. No state
        of pyplot is touched. UsageError where matplotlib is not installed, or nothing fits.
        """
        return figure_of(self, measure=measure, step=step, ax=ax)


def _short(route: str) -> str:
    """A route in quotes, whatever it holds; of a long one both ends."""
    if len(route) > _ROUTE:
        route = f"{route[: _ROUTE // 2]}...{route[-_ROUTE // 2 :]}"
    return repr(route)
