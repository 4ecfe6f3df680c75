"""HDF5 files of other tools: their datasets, mapped where they lie as they are."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.errors import CorruptError, FormatError
from padiff.store.chunked import ChunkedArray
from padiff.store.chunks import chunk_selection, chunk_shape_for
from padiff.store.foreign.contents import Contents, Entry, check_chunks, put
from padiff.store.foreign.elements import element_of, swapped
from padiff.store.foreign.tiles import Tiles
from padiff.store.hdf5.array import read_selection
from padiff.store.hdf5.errors import Reading
from padiff.store.hdf5.probe import check_walk, walk
from padiff.store.raw import OpenFile, RawArray
from padiff.store.storage import MOST_DECODED

__all__ = ["read_hdf5"]

KIND = "an HDF5 file"


def read_hdf5(path: Path) -> Contents:
    """The datasets of a file, links left out, with dots between the names of groups."""
    check_walk(path)
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    raw = OpenFile(path)
    with Reading(str(path)):
        file = h5py.File(path, "r", locking=False)

        for name, found in walk(file):
            if not isinstance(found, h5py.Dataset):
                continue
            dotted = name.replace("/", ".")
            try:
                put(entries, dotted, _entry(file, raw, name, found), str(path))
            except CorruptError:
                raise
            except FormatError as error:
                refused[dotted] = str(error)
    return Contents(KIND, "", entries, refused)


def _entry(file: h5py.File, raw: OpenFile, name: str, found: h5py.Dataset) -> Entry:
    plist = found.id.get_create_plist()
    if found.shape is None:
        raise FormatError("it is empty, without a shape")
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
        raise FormatError("its elements lie in other files")
    dtype = found.dtype
    element, shape = element_of(dtype), found.shape
    lengths = found.chunks or chunk_shape_for(shape, element.itemsize)
    size = element.itemsize
    for length in lengths:
        size *= length
    if size > MOST_DECODED:
        raise FormatError(f"its chunks have {size} bytes, of which each is read whole")
    check_chunks(shape, lengths)
    where = f"{raw.path}/{name}"
    has_block = file.userblock_size > 0  # which not all places in the file take into account
    offset = found.id.get_offset() if plist.get_layout() == h5d.CONTIGUOUS else None
    if not _is_plain(found):
        return Entry(
            shape, element, lambda: _Chunks(file, name, where, shape, element, lengths, None)
        )
    if offset is not None and not has_block:
        is_swapped = swapped(dtype)
        return Entry(
            shape,
            element,
            lambda: RawArray(raw, where, shape, element, offset, swapped=is_swapped),
        )
    plain = found.chunks is not None and not plist.get_nfilters() and not has_block
    source = raw if plain and dtype.isnative else None
    return Entry(
        shape, element, lambda: _Chunks(file, name, where, shape, element, lengths, source)
    )


def _is_plain(found: h5py.Dataset) -> bool:
    """Whether bytes in the file are as NumPy has them, and not numbers of fewer bits."""
    dtype = found.dtype
    return dtype.kind == "V" or bool(h5py.h5t.py_create(dtype).equal(found.id.get_type()))


class _Chunks(ChunkedArray):
    """A dataset in chunks, which lie as they are in the file `raw` where there is one.

    Many tools make small chunks, of which several are read at a time.
    """

    def __init__(
        self,
        file: h5py.File,
        name: str,
        where: str,
        shape: tuple[int, ...],
        element: DType,
        tile: tuple[int, ...],
        raw: OpenFile | None,
    ) -> None:
        super().__init__()
        self.shape, self.element = shape, element
        self._tiles = Tiles(shape, tile, element)
        self.chunk_shape = self._tiles.chunk_shape
        self._where, self._raw = where, raw
        with Reading(where):
            self._dataset = file[name].id
        opaque = element.numpy.kind == "V"
        self._type = self._dataset.get_type() if opaque else h5py.h5t.py_create(element.numpy)
        self._places: NDArray[np.int64] | None = None

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._where

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        with Reading(f"the chunk {index} of the array {self._where}"):
            out = self._in_place(index)
            if out is None:
                out = np.zeros(self.chunk_shape, self.dtype)
                selection = chunk_selection(index, self.shape, self.chunk_shape)
                read_selection(self._dataset, selection, out, self._type)
        out.flags.writeable = False
        return out

    def _in_place(self, index: tuple[int, ...]) -> NDArray[Any] | None:
        """A chunk from where it lies in the file; None where it lies nowhere, or is packed."""
        if self._raw is None or not self.size:
            return None
        if self._places is None:
            self._places = self._find()
        return self._tiles.read(self._raw, self._places, index)

    def _find(self) -> NDArray[np.int64]:
        """Where each of the file's chunks begins: to find one alone takes about as long."""
        places = self._tiles.nowhere()

        def note(found: h5d.StoreInfo) -> None:
            if found.size == self._tiles.nbytes and found.byte_offset is not None:
                places[self._tiles.index_of(found.chunk_offset)] = found.byte_offset

        self._dataset.chunk_iter(note)
        return places
