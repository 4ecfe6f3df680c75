"""One dataset: memory-mapped where it lies in one piece, else read through HDF5."""

from math import prod
from typing import Any

import numpy as np
from h5py import h5d, h5s, h5t
from numpy.typing import NDArray

from padiff.errors import CorruptError, FormatError
from padiff.store.array import StoredArray
from padiff.store.chunked import ChunkedArray
from padiff.store.chunks import Selection, chunk_selection, padded
from padiff.store.hdf5.errors import Reading
from padiff.store.hdf5.file import Hdf5File, is_held
from padiff.store.hdf5.layout import Layout, layout_of, metadata_digest
from padiff.store.hdf5.unpacking import read_packed
from padiff.store.raw import RawArray

__all__ = ["open_array", "read_selection"]

_MOST_BYTES = 2**63 - 1


def open_array(file: Hdf5File, path: str) -> StoredArray:
    """The tensor at a path in a file; CorruptError when none is there."""
    where = f"{file.path}/{path}"
    with Reading(f"the array {where}"):
        layer, _, leaf = path.rpartition("/")
        group, name = file.group(layer), leaf.encode()
        if not is_held(group, name):
            raise CorruptError(f"expected an array at {where}, found none")
        dataset = h5d.open(group, name)
        try:
            layout = layout_of(dataset)
        except FormatError as error:
            raise CorruptError(f"{error}, in the array {where}") from None
        size: int = prod(layout.shape)
        if size * layout.element.itemsize > _MOST_BYTES:
            raise CorruptError(f"expected a tensor that memory can hold at {where}")
        offset = dataset.get_offset() if layout.chunks is None else None
        if offset is not None:
            return _Mapped(file, where, layout, offset)
        if layout.chunks is None and size and not dataset.get_storage_size():
            raise CorruptError(f"expected the elements of the array {where}, found none written")
        return _Decoded(file, where, layout, dataset)


class _Mapped(RawArray, StoredArray):
    """What lies in one piece: a chunk by the rule of the format is a part of that, mapped alone."""

    def __init__(self, file: Hdf5File, where: str, layout: Layout, offset: int) -> None:
        super().__init__(file.raw, where, layout.shape, layout.element, offset)
        self._layout = layout
        self._open = file  # as long as this is there

    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        return padded(self._chunk(index), self.chunk_shape).reshape(-1).view(np.uint8).data

    def metadata_digest(self) -> str:
        return metadata_digest(self._layout)


class _Decoded(ChunkedArray, StoredArray):
    """What was put through filters, or cut in chunks of another size."""

    def __init__(self, file: Hdf5File, where: str, layout: Layout, dataset: h5d.DatasetID) -> None:
        super().__init__()
        self.shape, self.element = layout.shape, layout.element
        self.chunk_shape = layout.chunk_shape
        self._layout, self._where = layout, where
        self._file, self._dataset = file, dataset  # which is open as long as its file is

    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        return self._chunk(index).reshape(-1).view(np.uint8).data

    def metadata_digest(self) -> str:
        return metadata_digest(self._layout)

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._where

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        out = np.zeros(self.chunk_shape, self.dtype)
        selection = chunk_selection(index, self.shape, self.chunk_shape)
        with Reading(f"the chunk {index} of the array {self._where}"):
            read_selection(self._dataset, selection, out, self._dataset.get_type())
        out.flags.writeable = False
        return out


def read_selection(
    dataset: h5d.DatasetID, selection: Selection, out: NDArray[Any], kind: h5t.TypeID
) -> None:
    """Fill the start of each axis of `out` with what is selected, as elements of a type."""
    if not selection:
        dataset.read(h5s.ALL, h5s.ALL, out, kind)
    elif out.size and all(part.stop > part.start for part in selection):
        if read_packed(dataset, selection, out, kind):
            return
        counts = tuple(part.stop - part.start for part in selection)
        memory = h5s.create_simple(out.shape)
        memory.select_hyperslab((0,) * len(counts), counts)
        space = dataset.get_space()
        space.select_hyperslab(tuple(part.start for part in selection), counts)
        dataset.read(memory, space, out, kind)
