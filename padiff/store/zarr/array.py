"""One Zarr array: reading its chunks."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.errors import CorruptError, FormatError, LocationError, UsageError
from padiff.store.array import StoredArray
from padiff.store.chunked import ChunkedArray
from padiff.store.chunks import Selection
from padiff.store.files import unreadable
from padiff.store.format import digest
from padiff.store.media.base import Medium, cut_short
from padiff.store.raw import fill_part, strides_of
from padiff.store.zarr.bounds import check_unpacked
from padiff.store.zarr.codecs import Chain, decode, names_in
from padiff.store.zarr.document import DOCUMENT, Layout, chunk_key, layout_of
from padiff.store.zarr.shards import ShardLayout, parse_index

__all__ = ["LONGEST_DOCUMENT", "ZarrArray", "ZarrChunks"]

LONGEST_DOCUMENT = 2**20  # bytes; that of an array has hundreds
_MOST_BYTES = 2**62  # where a chunk may begin in its shard
_MOST_MORE = 2**20  # bytes that a codec may need beyond twice those of the chunk


class ZarrChunks(ChunkedArray):
    """The chunks of one array of a Zarr hierarchy; raw ones are mapped, others decoded whole."""

    def __init__(self, medium: Medium, path: str, layout: Layout) -> None:
        super().__init__()
        self._medium, self._path, self._layout = medium, path, layout
        self.shape, self.element = layout.shape, layout.element
        self.chunk_shape = layout.chunk_shape
        self._indices: dict[tuple[int, ...], NDArray[Any]] = {}  # of the shards

    def file_of(self, index: tuple[int, ...] | None) -> str:
        name = f"{self._path}/{DOCUMENT}" if index is None else self._object(index)
        return f"{self._medium.location}/{name}"

    def _object(self, index: tuple[int, ...]) -> str:
        """The object that holds a chunk."""
        if self._layout.shards is not None:
            index, _ = self._layout.shards.place(index)
        return f"{self._path}/{chunk_key(index, self._layout.separator)}"

    def check_present(self, index: tuple[int, ...]) -> None:
        is_raw = self._layout.chain is None and self._layout.shards is None
        name = self._object(index)
        found = self._medium.size(name)
        expected = self.element.itemsize * prod(self.chunk_shape) if is_raw else max(1, found)
        if found != expected:
            raise cut_short(f"chunk {self._medium.location}/{name}", expected, found)

    def _fill(self, out: NDArray[Any], index: tuple[int, ...], selection: Selection) -> None:
        is_raw = self._layout.chain is None and self._layout.shards is None
        opened = self._medium.opened(self._object(index)) if is_raw else None
        if opened is None:
            super()._fill(out, index, selection)
            return
        strides = strides_of(self.chunk_shape, self.element.itemsize)
        inside = self._inside(index, selection)
        with opened as file:
            self.check_current()
            try:
                complete = fill_part(file, 0, strides, inside, out)
            except OSError as error:
                raise unreadable(f"the chunk {self.file_of(index)}", error) from None
        if not complete:
            self.check_present(index)  # raises, as it is cut short

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        chain, shards = self._layout.chain, self._layout.shards
        name = self._object(index)
        data: Any
        if shards is not None:
            data = self._from_shard(shards, index, name)
        elif chain is None:
            data = self._medium.chunk(name, self.element.itemsize * prod(self.chunk_shape))
        elif (size := self._medium.size(name)) > self._most_encoded():
            raise self._damaged(name, f"it has {size} bytes, more than any codec makes of it")
        else:
            data = self._medium.whole(name)
        if chain is None:
            return np.frombuffer(data, self.dtype).reshape(self.chunk_shape)
        try:
            check_unpacked(self._codecs(chain), data, self._most_encoded())
            values = self._decode(data, chain)
        except UsageError:
            raise
        except Exception as error:  # of any codec there is
            raise self._damaged(name, error) from None
        values.flags.writeable = False
        return values

    def _codecs(self, chain: Chain) -> Sequence[object]:
        """Their names, in the order in which they were put to use."""
        return names_in(chain)

    def _decode(self, data: Any, chain: Chain) -> NDArray[Any]:
        """The elements of one chunk; whatever a codec raises where the bytes are damaged."""
        return decode(data, self.element, self.chunk_shape, chain)

    def _from_shard(self, shards: ShardLayout, chunk: tuple[int, ...], name: str) -> bytes:
        """The encoded bytes of one chunk, and no others of its shard but the index."""
        start, size = self._entry(shards, chunk, name)
        raw = self.element.itemsize * prod(self.chunk_shape)
        if start >= _MOST_BYTES or size > self._most_encoded():
            raise self._damaged(name, "its index has no such chunk")
        if self._layout.chain is None and size != raw:
            raise self._damaged(name, f"its index has {size} bytes for a chunk of {raw}")
        return self._medium.part(name, start, size)

    def _entry(self, shards: ShardLayout, chunk: tuple[int, ...], name: str) -> tuple[int, int]:
        """Where a chunk begins in its shard, and how many bytes it has, as the index says."""
        shard, place = shards.place(chunk)
        index = self._indices.get(shard)
        if index is None:
            size = shards.index_size()
            encoded = self._medium.part(name, -size if shards.at_end else 0, size)
            try:
                index = parse_index(shards, encoded)
            except Exception as error:  # of any codec there is
                raise self._damaged(name, error) from None
            self._indices[shard] = index
        start, size = map(int, index[place])
        return start, size

    def _most_encoded(self) -> int:
        """Bytes that a chunk may have once it is encoded."""
        return 2 * self.element.itemsize * prod(self.chunk_shape) + _MOST_MORE

    def _damaged(self, name: str, reason: object) -> CorruptError:
        return CorruptError(
            f"expected to decode a chunk in {self._medium.location}/{name}, found it damaged "
            f"({' '.join(str(reason).split())}): dump it again"
        )


class ZarrArray(ZarrChunks, StoredArray):
    """One array of a padiff store."""

    def __init__(self, medium: Medium, path: str) -> None:
        where = f"{medium.location}/{path}"
        try:
            self._document = medium.document(f"{path}/{DOCUMENT}", LONGEST_DOCUMENT)
        except (CorruptError, LocationError):
            raise
        except FileNotFoundError:
            raise CorruptError(f"expected an array at {where}, found no {DOCUMENT} in it") from None
        except OSError as error:
            raise unreadable(f"{where}/{DOCUMENT}", error) from None
        try:
            layout = layout_of(self._document)
        except FormatError as error:
            raise CorruptError(f"{error}, in the array {where}") from None
        super().__init__(medium, path, layout)

    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        return self._chunk(index).reshape(-1).view(np.uint8).data

    def metadata_digest(self) -> str:
        return digest(self._document)
