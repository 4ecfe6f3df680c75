"""What is converted: the sections at a location, and their arrays, checked while they are read."""

from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.errors import CorruptError, IncompleteError, UnreadableError, UsageError
from padiff.store.address import Location
from padiff.store.array import Array
from padiff.store.chunked import ChunkedArray
from padiff.store.chunks import Selection
from padiff.store.format import SECTIONS, SectionName
from padiff.store.hdf5.names import SUFFIXES
from padiff.store.integrity import check_chunk, check_metadata, chunks_of
from padiff.store.location import locate_for_reading
from padiff.store.reader import Dump
from padiff.store.section import Section
from padiff.store.verify_groups import Groups, check_there
from padiff.tree import TensorRecord

__all__ = ["Source", "Tally", "array_of", "distinct"]


class Source:
    """All finished sections at and below a location, each in a dump at a path of its own.

    `dumps` tells the sections of each dump; the dump of the location itself is at the path `""`.
    With a `section` there is that one alone.

    Raises what opening the location does, CorruptError where a group in it is damaged,
    IncompleteError where no section is finished, and UsageError where none is the one asked for.
    """

    def __init__(self, location: Location, section: SectionName | None) -> None:
        self.location = str(location)
        store, path = locate_for_reading(location)
        check_there(store, path)
        groups = Groups(store, path)
        for damage in groups.damages:
            raise (UnreadableError if damage.denied else CorruptError)(damage.message)
        if not groups.sections:
            raise IncompleteError(
                f"expected at least one finished section in {location}, found "
                f"{', '.join(groups.unfinished) or 'none'}: dump to it, or wait for its writer"
            )
        self.unfinished = tuple(groups.unfinished)
        self.others = store.others
        self._store = store
        self._places: dict[str, str] = {}  # of the dumps in that store
        self.dumps: dict[str, tuple[SectionName, ...]] = {}
        for found in groups.sections:
            above, _, name = found.rpartition("/")
            dump = _without_suffixes(found.removeprefix(path).strip("/").rpartition("/")[0])
            self._places[dump] = above
            held = self.dumps.get(dump, ())
            self.dumps[dump] = tuple(each for each in SECTIONS if each in (*held, name))
        if section is not None:
            self._keep(section)

    def _keep(self, section: SectionName) -> None:
        """Leave out all other sections; the weights and grads of params are some as well."""
        names = {name for held in self.dumps.values() for name in held}
        self.dumps = {
            dump: (section,)
            for dump, held in self.dumps.items()
            if section in held or (section in ("weights", "grads") and "params" in held)
        }
        if not self.dumps:
            raise UsageError(
                f"expected {section} in {self.location}, found {', '.join(sorted(names))}: name "
                "one of these"
            )

    def section(self, dump: str, name: SectionName) -> Section:
        """One of the sections, opened anew; CorruptError where it is damaged."""
        return Dump(self._store, self._places[dump]).section(name)

    def sections(self) -> Iterator[Section]:
        """All of them, one after the other: the trees of many steps are not held together."""
        for dump, names in self.dumps.items():
            for name in names:
                yield self.section(dump, name)


def _without_suffixes(path: str) -> str:
    """The path of a dump without what makes it a file."""
    names = (PurePosixPath(n).stem if n.endswith(SUFFIXES) else n for n in path.split("/"))
    return "/".join(names)


def distinct(section: Section) -> Collection[TensorRecord]:
    """The tensors of a section, each array once; none where it has statistics alone."""
    if section.header.tensors is not None:
        return ()
    tensors = (tensor for node in section.tree.walk() for tensor in node.tensors)
    return {tensor.array: tensor for tensor in tensors}.values()


class Tally:
    """How many bytes were read of all that are to be; several threads may `add`."""

    def __init__(self, total: int, progress: Callable[[float, int], None] | None) -> None:
        self._total, self._progress = total, progress
        self._done = 0
        self._lock = Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            if self._progress is not None:
                self._progress(min(1.0, self._done / max(1, self._total)), self._done)


def array_of(section: Section, tensor: TensorRecord, tally: Tally) -> Array:
    """The array of a tensor, of which what has a digest or a checksum is held against it.

    Raises CorruptError for another, here or when it is read.
    """
    if section.header.foreign is not None:
        array = section.array(tensor)
        array.check_intact()
        return _Counted(array, tally)
    return _Counted(_Checked(section, tensor), tally)


class _Checked(ChunkedArray):
    """An array whose elements are those of chunks that have their digests."""

    def __init__(self, section: Section, tensor: TensorRecord) -> None:
        super().__init__()
        self._section, self._tensor = section, tensor
        self._array = check_metadata(section, tensor)
        self.shape, self.element = self._array.shape, self._array.element
        self.chunk_shape = self._array.chunk_shape
        self._digests = dict(chunks_of(self._array, tensor))

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._array.file_of(index)

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        expected = self._digests[index]
        data = check_chunk(self._section, self._tensor, self._array, index, expected)
        return np.frombuffer(data, self.dtype).reshape(self.chunk_shape)


class _Counted(Array):
    """An array of which all that is read is counted."""

    def __init__(self, array: Array, tally: Tally) -> None:
        self._array, self._tally = array, tally
        self.shape, self.element = array.shape, array.element
        self.chunk_shape = array.chunk_shape

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._array.file_of(index)

    def read(self, selection: Selection, into: NDArray[Any] | None = None) -> NDArray[Any]:
        found = self._array.read(selection, into)
        self._tally.add(found.nbytes)
        return found
