"""The outcome of comparing two locations: every record, what found no partner, the verdict."""

from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from padiff.comparing.criterion import Criterion
from padiff.comparing.statistics import Value
from padiff.jsonio import Json, finite_or_name
from padiff.store.format import SectionName
from padiff.tree import LayerTree, Phase, TensorStats

__all__ = [
    "SCHEMA",
    "BufferKind",
    "Comparison",
    "Figures",
    "Kind",
    "Record",
    "Side",
    "SideName",
    "Source",
    "Status",
    "Totals",
    "Unmatched",
]

SCHEMA = "padiff-comparison/1"

Status = Literal["match", "mismatch", "shape", "nonfinite", "missing"]
SideName = Literal["base", "raw"]
Kind = Literal["section", "layer", "tensor", "buffer", "unrecorded"]
BufferKind = Literal["given", "updated"]


@dataclass(frozen=True, slots=True)
class Source:
    """One of the two sides compared."""

    location: str
    model: str
    framework: str
    framework_version: str

    def to_json(self) -> Json:
        """As in the JSON document."""
        return {
            "location": self.location,
            "model": self.model,
            "framework": self.framework,
            "framework_version": self.framework_version,
        }


class Side(Struct, frozen=True, gc=False):
    """Where one tensor of a record comes from; all is None where this side has no such layer.

    A layer without such a tensor has a route, but no `tensor`. `stats`, of the tensor alone, are no
    part of the JSON document.
    """

    route: str | None = None
    class_name: str | None = None
    call: int | None = None
    tensor: str | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    device: str | None = None
    stats: TensorStats | None = None

    def to_json(self) -> Json:
        """As in the JSON document."""
        return {
            "route": self.route,
            "class": self.class_name,
            "call": self.call,
            "tensor": self.tensor,
            "shape": None if self.shape is None else list(self.shape),
            "dtype": self.dtype,
            "device": self.device,
        }


class Figures(Struct, frozen=True, gc=False):
    """How much two tensors differ, over the elements that are finite on both sides.

    Errors and cosine are None where there are none, and the sides part in that. `mismatched` counts
    the elements out of tolerance, `nonfinite` those of them that are NaN or infinite on one side
    alone, `agreeing` those that are so on both. The `worst` element is the one that differs most,
    None when all are equal. `required_atol` is the least atol with which the pair would have
    passed; infinite where none would do.
    """

    mismatched: int
    nonfinite: int
    agreeing: int
    max_abs: float | None
    mean_abs: float | None
    max_rel: float | None
    rel_l2: float | None
    cosine: float | None
    worst_index: tuple[int, ...] | None
    base_value: Value | None
    raw_value: Value | None
    required_atol: float


_FIGURES = Figures.__struct_fields__  # in the order of the document


class Record(Struct, frozen=True, gc=False):
    """The outcome for one pair of tensors, or for one that has no partner and should.

    `order` numbers the records as cause comes before effect; `figures` are None where there was
    nothing to compare: the shapes differ, or one side is missing. `buffer` says of a buffer whether
    it is as the forward pass found it, a cause of what follows, or as one in training mode left it,
    an effect; None of all else. `by_statistics` says that a side had no elements, and the figures
    are the least that they can be.
    """

    step: int | None
    rank: int | None
    section: SectionName
    phase: Phase | None
    order: int
    status: Status
    base: Side
    raw: Side
    size: int
    figures: Figures | None = None
    note: str = ""
    buffer: BufferKind | None = None
    by_statistics: bool = False

    @property
    def diverged(self) -> bool:
        return self.status != "match"

    @property
    def identical(self) -> bool:
        """Whether every element is the same on both sides, and of the same type."""
        return (
            self.status == "match"
            and self.figures is not None
            and self.figures.max_abs == 0
            and not self.by_statistics
            and self.base.dtype == self.raw.dtype
        )

    def to_json(self) -> Json:
        """As in the JSON document."""
        figures = {name: _json_value(getattr(self.figures, name, None)) for name in _FIGURES}
        return {
            "step": self.step,
            "rank": self.rank,
            "section": self.section,
            "phase": self.phase,
            "order": self.order,
            "status": self.status,
            "base": self.base.to_json(),
            "raw": self.raw.to_json(),
            "size": self.size,
            **figures,
            "note": self.note,
            "buffer": self.buffer,
            "by_statistics": self.by_statistics,
        }


def _json_value(value: object) -> object:
    if isinstance(value, complex):
        return [finite_or_name(value.real), finite_or_name(value.imag)]
    if isinstance(value, float):
        return finite_or_name(value)
    return list(value) if isinstance(value, tuple) else value


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing two locations found.

    `records` are in event order, but for what may be rounding noise: gradients that are nothing
    else, and weights that an optimizer made of them, stand behind all of the step that has the same
    causes. `trees` are the layers of base and raw where the first divergence is (else, of the first
    section compared): for showing, and no part of the JSON document. `notes` say what a reader must
    know of the comparison as a whole, a sentence each.
    """

    criterion: Criterion
    base: Source
    raw: Source
    records: tuple[Record, ...]
    unmatched: tuple[Unmatched, ...]
    strict_structure: bool
    trees: tuple[LayerTree, LayerTree] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def first_divergence(self) -> Record | None:
        """The earliest record that diverged: the cause of those that follow, if one causes them."""
        return next((record for record in self.records if record.diverged), None)

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
