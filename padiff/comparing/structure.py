"""The outcome of comparing two locations by their trees alone: what is not the same."""

from dataclasses import asdict, dataclass
from typing import Literal

from padiff.comparing.comparison import Side, Source
from padiff.jsonio import Json
from padiff.showing import Shown
from padiff.store.format import SectionName
from padiff.tree import Phase

__all__ = ["SCHEMA", "Difference", "DifferenceKind", "Found", "TreeDifference"]

SCHEMA = "padiff-tree-difference/1"

DifferenceKind = Literal[
    "section", "layer", "class", "setting", "tensor", "shape", "dtype", "order", "unrecorded"
]


@dataclass(frozen=True, slots=True)
class Found:
    """Where a difference was found."""

    step: int | None
    rank: int | None
    section: SectionName


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same on both sides.

    `kind` tells what: a whole section, a layer or a tensor that one side has; the class of a layer;
    a setting that it prints (`name`, with the text of both sides in `values`, None where one prints
    none; `training` is the mode in which it was called); a tensor's shape or dtype; the order in
    which layers ran (`values` are the layers before it, `""` where none is); a value that one side
    could not store. A side is all None where it has no such layer, and without a tensor where it
    has no such tensor. `counts` is False for what two runs of one structure may differ in: what was
    recorded, gradients, the buffers of two frameworks. `found` lists all places where it is so.
    """

    kind: DifferenceKind
    base: Side
    raw: Side
    phase: Phase | None = None
    name: str | None = None
    values: tuple[str | None, str | None] = (None, None)
    buffer: bool = False
    counts: bool = True
    found: tuple[Found, ...] = ()

    @property
    def lone(self) -> Literal["base", "raw"] | None:
        """The only side that has it; None where both have."""
        if self.kind == "section":
            return "raw" if self.base.route is None else "base"
        if self.kind not in ("layer", "tensor", "unrecorded"):
            return None
        key = "route" if self.kind == "layer" else "tensor"
        return "raw" if getattr(self.base, key) is None else "base"

    def to_json(self) -> Json:
        """As in the JSON document."""
        return {
            "kind": self.kind,
            "counts": self.counts,
            "base": self.base.to_json(),
            "raw": self.raw.to_json(),
            "phase": self.phase,
            "name": self.name,
            "values": list(self.values),
            "buffer": self.buffer,
            "found": [asdict(place) for place in self.found],
        }


@dataclass(frozen=True, slots=True, repr=False)
class TreeDifference(Shown):
    """What comparing the trees of two locations found.

    `dumps`, `layers` and `tensors` count the pairs that were looked at. `has_classes` is False
    where a side tells nothing of its layers but their names, as files of other tools.
    """

    base: Source
    raw: Source
    dumps: int
    layers: int
    tensors: int
    sections: tuple[SectionName, ...]
    differences: tuple[Difference, ...]
    has_classes: bool = True

    def __repr__(self) -> str:
        counted = sum(difference.counts for difference in self.differences)
        word = "the same" if self.same else f"{counted} differences"
        return f"<TreeDifference of {self.layers} pairs of layers: {word}>"

    @property
    def same(self) -> bool:
        """Whether nothing was found that counts."""
        return not any(difference.counts for difference in self.differences)

    def to_json(self) -> Json:
        """The document that `padiff diff-tree --json` prints."""
        return {
            "schema": SCHEMA,
            "same": self.same,
            "base": self.base.to_json(),
            "raw": self.raw.to_json(),
            "totals": {
                "dumps": self.dumps,
                "layers": self.layers,
                "tensors": self.tensors,
                "differences": sum(difference.counts for difference in self.differences),
                "not_counted": sum(not difference.counts for difference in self.differences),
            },
            "differences": [difference.to_json() for difference in self.differences],
        }
