"""What a storage backend is: a hierarchy of groups with attributes, and chunked arrays.

A backend knows nothing of layers. It stores bytes where it is told and makes a section visible in
one step; `writer.py` and `reader.py` give the bytes their meaning.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.jsonio import Json
from padiff.store.array import Array, StoredArray
from padiff.store.format import SectionHeader, SectionName, header_from_json
from padiff.store.storage import Storage

__all__ = ["PartialDump", "PartialSection", "Store", "WritableStore"]


class PartialSection(ABC):
    """A section while it is written: invisible to readers until its dump is committed.

    `prefix` is to stand before the path of each array.
    """

    prefix = ""

    @abstractmethod
    def create_array(
        self,
        path: str,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        dims: Sequence[str],
    ) -> str:
        """Make the array and the groups above it; returns the digest of its metadata."""

    @abstractmethod
    def write_chunk(
        self, path: str, index: tuple[int, ...], pieces: Iterable[memoryview], size: int
    ) -> None:
        """Store one chunk's decoded bytes, `size` in all. Called from several threads at once.

        Each piece is to be taken care of before the next is asked for.
        """

    @abstractmethod
    def written(self, path: str) -> Array | NDArray[Any]:
        """An array all of whose chunks were written to a local file system, read when sliced."""

    def adopt(self, path: str, source: "PartialSection", name: str) -> bool:
        """Make the array `name` of a section that is never finished one of this, as `path`.

        No element is copied where the file system can do without. False where this cannot do it.
        """
        return False

    @abstractmethod
    def finish(self, header: bytes) -> None:
        """Write the section's attribute, JSON text: nothing more will come."""


class PartialDump(ABC):
    """Sections of one dump while they are written.

    As long as it is there no other writer can begin a section of the same name in the same dump.
    """

    @abstractmethod
    def section(self, name: SectionName) -> PartialSection:
        """One of the sections that this was begun for."""

    def take_over(self, other: "PartialDump") -> None:
        """Have the sections of this adopt arrays from those of another, which is left useless.

        To be called before the first section. What cannot be taken over stays the other's.
        """
        return

    @abstractmethod
    def commit(self) -> None:
        """Put all sections, each of them finished, in place of older ones, each at once."""

    @abstractmethod
    def discard(self) -> None:
        """Remove all that was written. Safe to call after `commit`, then it does nothing."""


class Store(ABC):
    """What dumps are read from. Paths are relative to its root, `/` between names, `""` the root.

    A padiff store is one, and what lies in a file of another tool another.
    """

    kind = "store"
    """What it is called in a sentence."""

    others: tuple[str, ...] = ()
    """Names of what lies there and is no array, such as numbers and texts: nothing reads it."""

    @property
    @abstractmethod
    def location(self) -> str:
        """The store's root as a user would type it."""

    def location_of(self, path: str) -> str:
        """The group at `path` as a user would type it."""
        return f"{self.location}/{path}"

    @abstractmethod
    def attributes(self, path: str) -> Json:
        """The attributes of a group; LocationError when there is no such group."""

    @abstractmethod
    def header(self, path: str) -> SectionHeader:
        """What the section at `path` says of itself; CorruptError where that was changed."""

    @abstractmethod
    def identity(self, path: str) -> object:
        """What tells the section at `path` from one that takes its place, by `==`.

        It is cheap, and the same as long as what was opened of the section is what is there.
        """

    @abstractmethod
    def groups(self, path: str) -> list[str]:
        """Names of the groups right below `path`, unfinished sections left out, sorted."""

    @abstractmethod
    def unfinished(self, path: str) -> dict[str, str]:
        """What was begun right below `path` and never finished, or lost its document.

        Its name, and the path in the store of what is there of it.
        """

    @abstractmethod
    def array(self, path: str) -> Array:
        """Open one array lazily; CorruptError when none is there or its metadata is broken."""


class WritableStore(Store):
    """One hierarchy in padiff's own format, of which each byte can be told from another."""

    @abstractmethod
    def array(self, path: str) -> StoredArray: ...

    def header(self, path: str) -> SectionHeader:
        return header_from_json(self.header_text(path), self.location_of(path))

    @abstractmethod
    def header_text(self, path: str) -> bytes:
        """The JSON text of the attribute of ours that a group has, as a writer of ours writes it.

        Empty where no such text stands for what lies there.
        """

    @abstractmethod
    def check_group(self, path: str) -> None:
        """CorruptError when what makes the group at `path` is not what a writer of ours leaves.

        That is all of the group on disk (its document, the file it lies in) but what a digest in
        `header` covers, and arrays. Attributes of others may be there, and what a reader need not
        understand.
        """

    def is_covered(self, path: str) -> bool:
        """Whether every byte of the file that is the group at `path` has a digest.

        True where a group is no file of its own. What has none is what other tools wrote around
        trees and chunks, whose digests it has.
        """
        return True

    @abstractmethod
    def create(self, claim: Mapping[str, str] | None = None) -> None:
        """Make the root, or check that what lies there is a store that may be added to.

        `claim` replaces the claim of an existing root.
        """

    @abstractmethod
    def begin_dump(
        self, path: str, sections: Sequence[SectionName], storage: Storage
    ) -> PartialDump:
        """Start sections of the dump at `path`, making the groups on the way.

        Raises OccupiedError where something else lies, or another writer is at work.
        """
