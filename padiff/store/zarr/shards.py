"""Shards: many chunks in one object, with an index that tells where each of them lies."""

import json
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import dtype_named
from padiff.jsonio import Json, dumps
from padiff.store.chunks import chunk_shape_for
from padiff.store.zarr.codecs import Chain, decode, encode

__all__ = [
    "ABSENT",
    "INDEX_CHAIN",
    "ShardLayout",
    "pack",
    "parse_index",
    "shard_codecs",
    "shard_shape_for",
]

Index = tuple[int, ...]

INDEX_CHAIN: Chain = dumps(
    [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
)
_ENTRY = 16  # bytes of the index for each chunk
_CHECKSUM = 4
ABSENT = 2**64 - 1
_NUMBER = dtype_named("uint64")


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """How the chunks of one array lie in shards: a grid of so many chunks in each."""

    grid: tuple[int, ...]
    index_chain: Chain
    at_end: bool

    def place(self, chunk: Index) -> tuple[Index, Index]:
        """The shard that holds a chunk, and the chunk's place in it."""
        pairs = [divmod(i, n) for i, n in zip(chunk, self.grid, strict=True)]
        return tuple(shard for shard, _ in pairs), tuple(inner for _, inner in pairs)

    def index_size(self) -> int:
        """Bytes of an encoded index, which do not depend on what it holds."""
        if self.index_chain == INDEX_CHAIN:
            return _ENTRY * prod(self.grid) + _CHECKSUM
        return len(encode(np.zeros((*self.grid, 2), np.uint64), _NUMBER, self.index_chain))


def shard_shape_for(
    shape: tuple[int, ...], chunk_shape: tuple[int, ...], itemsize: int, limit: int
) -> tuple[int, ...]:
    """Shards of whole raw chunks, of at most `limit` bytes with their index where one fits."""
    grid = tuple(-(-length // chunk) for length, chunk in zip(shape, chunk_shape, strict=True))
    each = prod(chunk_shape) * itemsize + _ENTRY
    chunks = chunk_shape_for(grid, each, limit - _CHECKSUM)
    return tuple(n * chunk for n, chunk in zip(chunks, chunk_shape, strict=True))


def shard_codecs(chunk_shape: tuple[int, ...], chain: Chain) -> list[Json]:
    """The codecs of a document whose chunks are shards."""
    configuration = {
        "chunk_shape": chunk_shape,
        "codecs": json.loads(chain),
        "index_codecs": json.loads(INDEX_CHAIN),
        "index_location": "end",
    }
    return [{"name": "sharding_indexed", "configuration": configuration}]


def pack(grid: tuple[int, ...], chunks: dict[Index, bytes]) -> list[bytes]:
    """The pieces of a shard: its chunks in order, then the index."""
    index = np.full((*grid, 2), ABSENT, np.uint64)
    pieces, offset = [], 0
    for place, data in sorted(chunks.items()):
        index[place] = offset, len(data)
        offset += len(data)
        pieces.append(data)
    return [*pieces, encode(index, _NUMBER, INDEX_CHAIN)]


def parse_index(layout: ShardLayout, data: bytes) -> NDArray[Any]:
    """Offset and size of each chunk; whatever a codec raises where the index is damaged."""
    return decode(data, _NUMBER, (*layout.grid, 2), layout.index_chain)
