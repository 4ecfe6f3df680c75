"""The outcome for one pair of tensors."""

from typing import Literal

from msgspec import Struct

from padiff.comparing.statistics import Value
from padiff.jsonio import Json, finite_or_name
from padiff.store.format import SectionName
from padiff.tree import Phase, TensorStats

__all__ = ["BufferKind", "Figures", "Record", "Side", "Status"]

Status = Literal["match", "mismatch", "shape", "nonfinite", "missing"]
BufferKind = Literal["given", "updated"]


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
    are the least that they can be, `foreign` that another tool wrote one, converted since or not.
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
    foreign: bool = False

    @property
    def either(self) -> Side:
        """The side of base; that of raw where base has no such layer."""
        return self.raw if self.base.route is None else self.base

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
