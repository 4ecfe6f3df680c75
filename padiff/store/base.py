"""What a storage backend is: a hierarchy of groups with attributes, and chunked arrays.

A backend knows nothing of layers. It stores bytes where it is told and makes a section visible in
one step; `writer.py` and `reader.py` give the bytes their meaning.
"""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.jsonio import Json
from padiff.store.chunks import Selection
from padiff.store.format import SectionName
from padiff.store.storage import Storage

__all__ = ["Array", "PartialDump", "PartialSection", "Store"]


class Array(ABC):
    """A tensor on disk with `shape`, `dtype`, slicing and `numpy.asarray`; reads only when asked.

    Selections are given one slice an axis, with step 1 and bounds inside the shape; `__getitem__`
    takes what NumPy's basic indexing takes.
    """

    shape: tuple[int, ...]
    element: DType
    chunk_shape: tuple[int, ...]
    check_current: Callable[[], None] = staticmethod(lambda: None)
    """Raises CorruptError when the array is no longer that of the section that was opened."""

    @abstractmethod
    def read(self, selection: Selection, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """The selected elements, read-only; a view of the file where they lie in one raw chunk.

        What must be put together is put at the start of `into`, bytes that are enough for it, so
        that the system need not find new memory each time.
        Raises CorruptError when a chunk is missing or cut short.
        """

    @abstractmethod
    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        """The decoded bytes of one chunk, padding of an edge chunk included: what digests cover."""

    def check_present(self, index: tuple[int, ...]) -> None:
        """CorruptError when a chunk is missing or cut short, which may take less than reading."""
        self.chunk_bytes(index)

    @abstractmethod
    def metadata_digest(self) -> str:
        """The digest of the array's own metadata as it lies on disk."""

    @abstractmethod
    def file_of(self, index: tuple[int, ...] | None) -> str:
        """Where one chunk lies, for messages; where the array's metadata lies, for None."""

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.element.numpy

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for length in self.shape:
            size *= length
        return size

    @property
    def chunk_count(self) -> int:
        """Chunks of the whole grid; none where an axis is empty."""
        count = 1
        for length, chunk in zip(self.shape, self.chunk_shape, strict=True):
            count *= -(-length // chunk)
        return count

    @property
    def nbytes(self) -> int:
        return self.size * self.element.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any] | np.generic:
        selection, steps = _basic_index(key, self.shape)
        block = self.read(selection)
        return cast("NDArray[Any] | np.generic", block[steps])

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("expected a copy to be allowed: the array lies on disk")
        whole = self.read(tuple(slice(0, length) for length in self.shape))
        return np.array(whole, dtype=dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} shape={self.shape} dtype={self.element.name}>"


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
    """One hierarchy on disk. Paths are relative to its root, `/` between names, `""` the root."""

    kind = "store"
    """What it is called in a sentence."""

    @property
    @abstractmethod
    def location(self) -> str:
        """The store's root as a user would type it."""

    @abstractmethod
    def attributes(self, path: str) -> Json:
        """The attributes of a group; LocationError when there is no such group."""

    @abstractmethod
    def header(self, path: str) -> bytes:
        """The JSON text of the attribute of ours that a group has, as a writer of ours writes it.

        Empty where no such text stands for what lies there.
        """

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


def _basic_index(key: Any, shape: tuple[int, ...]) -> tuple[Selection, tuple[Any, ...]]:
    """Split NumPy basic indexing into what is read, and what is then taken of that block."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if keys.count(Ellipsis) > 1:
        raise IndexError("expected at most one ellipsis")
    missing = len(shape) - (len(keys) - keys.count(Ellipsis))
    if missing < 0:
        raise IndexError(f"expected at most {len(shape)} indices, got {len(keys)}")
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * missing
    else:
        keys += [slice(None)] * missing
    selection: list[slice] = []
    then: list[Any] = []
    for axis, (item, length) in enumerate(zip(keys, shape, strict=True)):
        if isinstance(item, slice):
            indices = range(*item.indices(length))
            low, high = (min(indices), max(indices) + 1) if indices else (0, 0)
            selection.append(slice(low, high))
            then.append(slice(None, None, indices.step))
        else:
            try:
                number = operator.index(item)
            except TypeError:
                raise IndexError(
                    f"expected an integer, a slice or ..., got {type(item).__name__}"
                ) from None
            if not -length <= number < length:
                raise IndexError(f"index {number} is out of bounds for axis {axis} of {length}")
            selection.append(slice(number % length, number % length + 1))
            then.append(0)
    return tuple(selection), tuple(then)
