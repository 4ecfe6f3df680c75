"""What the objects of a hierarchy lie on: bytes under names, whatever a Zarr store makes of them.

Names are relative to the root of one hierarchy, with `/` between their parts; `""` is the root.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from padiff.errors import CorruptError
from padiff.store.format import SectionName

__all__ = ["Medium", "Pending", "cut_short"]

_PIECE = 2**20  # bytes


def cut_short(what: str, expected: int, found: int) -> CorruptError:
    """What to raise for a chunk, or part of a shard, that does not have its bytes."""
    return CorruptError(
        f"expected {expected} bytes in the {what}, found {found}: it was cut short or changed, so "
        "dump it again"
    )


class Pending(ABC):
    """Sections of one dump on their way to a medium, with one writer each.

    `prefix` stands before the names of all groups and arrays of a section: it is empty where a
    section can be renamed into place.
    """

    prefix = ""

    @abstractmethod
    def make_directory(self, section: SectionName, name: str) -> None:
        """Make a directory in a section, where the medium has such a thing."""

    @abstractmethod
    def put(self, section: SectionName, name: str, pieces: Iterable[memoryview], size: int) -> None:
        """Write a new object of `size` bytes in a section. Called from several threads at once.

        Each piece is taken care of before the next is asked for.
        """

    def adopt(self, section: SectionName, name: str, source: Path) -> None:
        """Put the files of a local directory into one of a section; they stay where they are too.

        They are links to the same bytes where the medium can have such.
        """
        self.make_directory(section, name)
        for file in source.iterdir():
            with file.open("rb") as opened:
                size = file.stat().st_size
                pieces = iter(lambda: opened.read(_PIECE), b"")
                self.put(section, f"{name}/{file.name}", map(memoryview, pieces), size)

    def directory(self, section: SectionName) -> Path:
        """Where the objects of a section lie in the meantime, on a local file system."""
        raise NotImplementedError

    @abstractmethod
    def finish(self, section: SectionName, document: bytes) -> None:
        """The object that makes the section one, the last of all that are put."""

    @abstractmethod
    def publish(self) -> None:
        """Make all sections visible, each at once, in place of older ones."""

    @abstractmethod
    def discard(self) -> None:
        """Remove all that was not made visible. Safe to call twice."""


class Medium(ABC):
    """One hierarchy's objects. What is not there is a FileNotFoundError unless said otherwise."""

    kind = "Zarr"
    """What a store on it is called in a sentence."""

    @property
    @abstractmethod
    def location(self) -> str:
        """The root as a user would type it."""

    @abstractmethod
    def document(self, name: str, longest: int) -> bytes:
        """A whole small object; OSError where that is refused, or it has more than `longest`."""

    @abstractmethod
    def chunk(self, name: str, size: int) -> Any:
        """A buffer of all bytes of an object; CorruptError where it is not there with that size."""

    def opened(self, name: str) -> AbstractContextManager[int] | None:
        """The file that an object is, open while it is entered; None where it is no file.

        Raises CorruptError where there is none.
        """
        return None

    @abstractmethod
    def whole(self, name: str) -> bytes:
        """All bytes of an object of any size; CorruptError where there is none."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Bytes of an object; CorruptError where there is none."""

    @abstractmethod
    def part(self, name: str, start: int, size: int) -> bytes:
        """Some bytes of an object, from its end where `start` is negative.

        CorruptError where it does not have them.
        """

    def is_covered(self) -> bool:
        """Whether what lies around the objects has a digest too; true where nothing does."""
        return True

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether an object of that name is there."""

    @abstractmethod
    def directories(self, path: str) -> list[str]:
        """Names right below `path` under which more lies, sorted; LocationError without `path`."""

    @abstractmethod
    def identity(self, path: str) -> object:
        """What tells the section at `path` from one that takes its place, by `==`."""

    @abstractmethod
    def check(self) -> None:
        """CorruptError when what holds the objects together is not as it was written."""

    @abstractmethod
    def replace(self, name: str, data: bytes) -> None:
        """Put a small object, in place of an older one at once, making the directories above."""

    @abstractmethod
    def refuse_occupied(self, path: str) -> None:
        """OccupiedError where something lies that is not what a writer of ours begins with."""

    @abstractmethod
    def refuse_link(self, path: str) -> None:
        """OccupiedError for a symbolic link: what is written through it lies who knows where."""

    @abstractmethod
    def begin(
        self, dump: str, sections: Sequence[SectionName], *, document: str, durable: bool
    ) -> Pending:
        """Start sections of the dump at a group that is there; OccupiedError where others write.

        `document` is the name of the object that makes a section one.
        """
