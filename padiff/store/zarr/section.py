"""Sections of a Zarr hierarchy while they are written."""

from collections.abc import Iterable, Sequence
from math import prod
from threading import Lock

import numpy as np

from padiff.dtypes import DType
from padiff.store.base import PartialDump, PartialSection
from padiff.store.chunks import chunk_grid
from padiff.store.format import SectionName, digest
from padiff.store.media.base import Pending
from padiff.store.media.directory import Directory
from padiff.store.storage import Storage
from padiff.store.zarr.array import ZarrArray
from padiff.store.zarr.codecs import Chain, chain_for, encode
from padiff.store.zarr.document import DOCUMENT, array_document, chunk_key, raw_chain
from padiff.store.zarr.group import PLAIN_GROUP, section_document
from padiff.store.zarr.shards import pack, shard_shape_for

__all__ = ["ZarrPartialDump", "ZarrPartialSection"]


class ZarrPartialSection(PartialSection):
    """A section that a medium keeps out of sight."""

    def __init__(self, pending: Pending, name: SectionName, storage: Storage) -> None:
        self._pending = pending
        self._name = name
        self._storage = storage
        self._groups: set[str] = set()
        self._encodings: dict[str, _Encoding] = {}  # of arrays whose chunks are not put as they are
        self.prefix = pending.prefix

    def create_array(
        self,
        path: str,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        dims: Sequence[str],
    ) -> str:
        compression, limit = self._storage.compression, self._storage.shard_bytes
        raw = compression is None
        chain = raw_chain(element) if compression is None else chain_for(compression, element)
        shard_shape = None
        if limit is not None and chunk_shape != tuple(max(1, length) for length in shape):
            shard_shape = shard_shape_for(shape, chunk_shape, element.itemsize, limit)
        document = array_document(shape, element, chunk_shape, dims, chain, shard_shape)
        if not raw or shard_shape is not None:
            encoding = _Encoding(shape, element, chunk_shape, None if raw else chain, shard_shape)
            self._encodings[path] = encoding
        self._make_group(path.rpartition("/")[0])
        self._pending.make_directory(self._name, path)
        self._put(f"{path}/{DOCUMENT}", document)
        return digest(document)

    def _make_group(self, path: str) -> None:
        if path in self._groups:
            return
        above = path.rpartition("/")[0]
        if above:
            self._make_group(above)
        self._pending.make_directory(self._name, path)
        self._put(f"{path}/{DOCUMENT}", PLAIN_GROUP)
        self._groups.add(path)

    def _put(self, name: str, data: bytes) -> None:
        self._pending.put(self._name, name, [memoryview(data)], len(data))

    def write_chunk(
        self, path: str, index: tuple[int, ...], pieces: Iterable[memoryview], size: int
    ) -> None:
        encoding = self._encodings.get(path)
        if encoding is None:
            self._pending.put(self._name, f"{path}/{chunk_key(index)}", pieces, size)
            return
        name, parts = encoding.add(index, b"".join(pieces))
        if parts:
            self._pending.put(
                self._name,
                f"{path}/{name}",
                [memoryview(part) for part in parts],
                sum(map(len, parts)),
            )

    def written(self, path: str) -> ZarrArray:
        return ZarrArray(Directory(self._pending.directory(self._name)), path)

    def adopt(self, path: str, source: PartialSection, name: str) -> bool:
        if not isinstance(source, ZarrPartialSection):
            return False
        self._make_group(path.rpartition("/")[0])
        self._pending.adopt(self._name, path, source._pending.directory(source._name) / name)
        return True

    def finish(self, header: bytes) -> None:
        self._pending.finish(self._name, section_document(header))


class _Encoding:
    """What becomes of an array's chunks: encoded, and gathered until a shard is complete."""

    def __init__(
        self,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        chain: Chain | None,
        shard_shape: tuple[int, ...] | None,
    ) -> None:
        self._element, self._chunk_shape, self._chain = element, chunk_shape, chain
        self._chunks = chunk_grid(shape, chunk_shape)
        self._grid = None if shard_shape is None else chunk_grid(shard_shape, chunk_shape)
        self._shards: dict[tuple[int, ...], dict[tuple[int, ...], bytes]] = {}
        self._lock = Lock()

    def add(self, index: tuple[int, ...], data: bytes) -> tuple[str, list[bytes]]:
        """The object that a chunk completes, by name, and its parts; no parts while it does not."""
        if self._chain is not None:
            values = np.frombuffer(data, self._element.numpy).reshape(self._chunk_shape)
            data = encode(values, self._element, self._chain)
        if self._grid is None:
            return chunk_key(index), [data]
        grid = self._grid
        shard = tuple(i // n for i, n in zip(index, grid, strict=True))
        expected = prod(
            min(n, total - i * n) for i, n, total in zip(shard, grid, self._chunks, strict=True)
        )
        with self._lock:
            held = self._shards.setdefault(shard, {})
            held[tuple(i % n for i, n in zip(index, grid, strict=True))] = data
            complete = len(held) == expected and self._shards.pop(shard)
        return chunk_key(shard), pack(grid, complete) if complete else []


class ZarrPartialDump(PartialDump):
    """Sections that a medium makes visible together."""

    def __init__(self, pending: Pending, storage: Storage) -> None:
        self._pending, self._storage = pending, storage

    def section(self, name: SectionName) -> ZarrPartialSection:
        return ZarrPartialSection(self._pending, name, self._storage)

    def commit(self) -> None:
        self._pending.publish()

    def discard(self) -> None:
        self._pending.discard()
