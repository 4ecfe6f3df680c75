"""One dataset: memory-mapped where it lies in one piece, else read through HDF5."""

from math import prod
from typing import Any

import numpy as np
from h5py import h5d, h5s
from numpy.typing import NDArray

from padiff.errors import CorruptError, FormatError
from padiff.store.base import Array
from padiff.store.chunked import ChunkedArray
from padiff.store.chunks import Selection, chunk_selection, padded
from padiff.store.hdf5.errors import Reading
from padiff.store.hdf5.file import Hdf5File, is_held
from padiff.store.hdf5.layout import Layout, layout_of, metadata_digest

__all__ = ["open_array"]

_MOST_BYTES = 2**63 - 1


def open_array(file: Hdf5File, path: str) -> Array:
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


class _Dataset(Array):
    """What both kinds have in common."""

    def __init__(self, where: str, layout: Layout) -> None:
        super().__init__()
        self.shape, self.element = layout.shape, layout.element
        self.chunk_shape = layout.chunk_shape
        self._layout, self._where = layout, where

    def metadata_digest(self) -> str:
        return metadata_digest(self._layout)

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._where


class _Mapped(_Dataset, ChunkedArray):
    """What lies in one piece: a chunk by the rule of the format is a part of that, mapped alone.

    Were the file mapped whole, all that was read of it would count as memory of the process.
    """

    def __init__(self, file: Hdf5File, where: str, layout: Layout, offset: int) -> None:
        super().__init__(where, layout)
        if offset + self.nbytes > file.size:
            raise self._cut_short(offset)
        self._file, self._offset = file, offset

    def _cut_short(self, offset: int) -> CorruptError:
        return CorruptError(
            f"expected {self.nbytes} bytes of the array {self._where} from {offset} on, found the "
            "end of the file before: it was cut short or changed, so dump it again"
        )

    def check_present(self, index: tuple[int, ...]) -> None:
        pass  # the file was long enough when it was opened, and has the identity that it had

    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        return padded(self._chunk(index), self.chunk_shape).reshape(-1).view(np.uint8).data

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        selection = chunk_selection(index, self.shape, self.chunk_shape)
        shape = [part.stop - part.start for part in selection]
        count = prod(shape)
        with Reading(f"the chunk {index} of the array {self._where}"):
            data = self._file.part(self._start(selection), count * self.element.itemsize)
        if len(data) < count * self.element.itemsize:
            raise self._cut_short(self._offset)
        values = np.frombuffer(data, self.dtype, count).reshape(shape)
        if not values.flags.aligned:  # other tools put them anywhere
            values = values.copy()
            values.flags.writeable = False
        return values

    def _start(self, selection: Selection) -> int:
        """Where in the file the first of what is selected lies."""
        place = 0
        for part, length in zip(selection, self.shape, strict=True):
            place = place * length + part.start
        return self._offset + place * self.element.itemsize

    def _fill(self, out: NDArray[Any], index: tuple[int, ...], selection: Selection) -> None:
        chunk = chunk_selection(index, self.shape, self.chunk_shape)
        with Reading(f"the chunk {index} of the array {self._where}"):
            start = self._start(chunk)
            complete = self._fill_from(self._file.descriptor, start, out, index, selection)
        if not complete:
            raise self._cut_short(self._offset)


class _Decoded(_Dataset, ChunkedArray):
    """What was put through filters, or cut in chunks of another size."""

    def __init__(self, file: Hdf5File, where: str, layout: Layout, dataset: h5d.DatasetID) -> None:
        super().__init__(where, layout)
        self._file, self._dataset = file, dataset  # which is open as long as its file is

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        selection = chunk_selection(index, self.shape, self.chunk_shape)
        out = np.zeros(self.chunk_shape, self.dtype)
        with Reading(f"the chunk {index} of the array {self._where}"):
            if not self.shape:
                self._dataset.read(h5s.ALL, h5s.ALL, out, self._dataset.get_type())
            elif self.size:
                counts = tuple(part.stop - part.start for part in selection)
                memory = h5s.create_simple(self.chunk_shape)
                memory.select_hyperslab((0,) * len(counts), counts)
                space = self._dataset.get_space()
                space.select_hyperslab(tuple(part.start for part in selection), counts)
                self._dataset.read(memory, space, out, self._dataset.get_type())
        out.flags.writeable = False
        return out
