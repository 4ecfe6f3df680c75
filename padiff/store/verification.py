"""What became of a store since it was written: the outcome of verifying it."""

from dataclasses import asdict, dataclass
from typing import Literal

from padiff.errors import PadiffError, UnreadableError
from padiff.jsonio import Json

__all__ = ["Counts", "Damage", "Verification", "damage_of"]

DamagedThing = Literal["group", "section", "array", "chunk"]


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not what was written; with `denied` one that may not be looked at.

    `section` is its location, or that of the group above all sections; `array` its path in the
    section, `chunk` its index in the array, and `file` where it lies.
    """

    kind: DamagedThing
    section: str
    file: str
    message: str
    array: str | None = None
    chunk: tuple[int, ...] | None = None
    denied: bool = False


def damage_of(
    kind: DamagedThing,
    section: str,
    file: str,
    error: PadiffError,
    array: str | None = None,
    chunk: tuple[int, ...] | None = None,
) -> Damage:
    """What an error of the store says of a thing."""
    return Damage(kind, section, file, str(error), array, chunk, isinstance(error, UnreadableError))


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was looked at and found intact; `bytes` are those of chunks, decoded."""

    sections: int = 0
    arrays: int = 0
    chunks: int = 0
    bytes: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.sections + other.sections,
            self.arrays + other.arrays,
            self.chunks + other.chunks,
            self.bytes + other.bytes,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.sections - other.sections,
            self.arrays - other.arrays,
            self.chunks - other.chunks,
            self.bytes - other.bytes,
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that is damaged at a location, and the sections that were never finished.

    `steps` are those that were found, which tells nothing of others that were removed as a whole.
    `uncovered` are files that other tools have rewritten, or that lost their last bytes: of these
    only trees, arrays and chunks have digests.
    """

    location: str
    counts: Counts
    damages: tuple[Damage, ...] = ()
    unfinished: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    uncovered: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether all could be looked at, and is what was written."""
        return not self.damages

    def to_json(self) -> Json:
        """The document that `padiff verify --json` writes."""
        return {
            "schema": "padiff-verification/1",
            "location": self.location,
            "intact": self.intact,
            "counts": asdict(self.counts),
            "damages": [asdict(damage) for damage in self.damages],
            "unfinished": list(self.unfinished),
            "steps": list(self.steps),
            "uncovered": list(self.uncovered),
        }
