"""The document of a Zarr array: writing it, and what one that is found says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from padiff.dtypes import DType, dtype_named
from padiff.errors import FormatError
from padiff.jsonio import Json, Reader, dumps, loads
from padiff.store.zarr.codecs import Chain, check_chain
from padiff.store.zarr.shards import ShardLayout, shard_codecs

__all__ = ["DOCUMENT", "Layout", "array_document", "chunk_key", "layout_of", "raw_chain"]

DOCUMENT = "zarr.json"
_MOST_BYTES = 2**63 - 1  # of one tensor: what a system's sizes can say
_MOST_CHUNK_BYTES = 2**40
_LONGEST_KEPT = 2**13  # bytes; those that we write have fewer


def array_document(
    shape: tuple[int, ...],
    element: DType,
    chunk_shape: tuple[int, ...],
    dims: Sequence[str],
    chain: Chain,
    shard_shape: tuple[int, ...] | None = None,
) -> bytes:
    """The `zarr.json` of an array whose chunks, in shards or by themselves, are of these codecs."""
    if shard_shape is not None:
        chain, chunk_shape = dumps(shard_codecs(chunk_shape, chain)), shard_shape
    before, between, after = _around_sizes(element, tuple(dims), chain)
    return f"{before}{dumps(shape)}{between}{dumps(chunk_shape)}{after}".encode()


@lru_cache(64)
def raw_chain(element: DType) -> Chain:
    """The codecs of raw chunks."""
    codec: Json = {"name": "bytes"}
    if element.itemsize > 1:
        codec["configuration"] = {"endian": "little"}
    return dumps([codec])


@lru_cache(1024)  # a model's tensors differ in their sizes more than in all else
def _around_sizes(element: DType, dims: tuple[str, ...], chain: Chain) -> list[str]:
    """The text of a document before, between and after its shape and that of its chunks."""
    fill: object = {"exact": 0, "real": 0.0, "complex": [0.0, 0.0]}[element.kind]
    text = dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": None,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": None}},
            "data_type": element.name,
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": False if element.name == "bool" else fill,
            "codecs": json.loads(chain),
            "dimension_names": dims,
            "attributes": {},
        }
    )
    return text.split("null", 2)


def chunk_key(index: tuple[int, ...], separator: str = ".") -> str:
    """The name of one chunk, or shard: `c.0.1`, and `c` in a 0-d array."""
    return separator.join(("c", *map(str, index)))


@dataclass(frozen=True, slots=True)
class Layout:
    """What an array's document says. `chain` is None where chunks are raw."""

    shape: tuple[int, ...]
    element: DType
    chunk_shape: tuple[int, ...]
    separator: str
    chain: Chain | None
    shards: ShardLayout | None


# What the Zarr specification knows in an array's document; the last three change no element.
_KEYS = {
    *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding"),
    *("codecs", "storage_transformers", "fill_value", "attributes", "dimension_names"),
}


def layout_of(document: bytes) -> Layout:
    """FormatError, without the place, when `document` is not one of an array that can be read."""
    return _kept_layout(document) if len(document) < _LONGEST_KEPT else _layout_of(document)


@lru_cache(4096)  # the layers of a model, and those of its twin, have few documents between them
def _kept_layout(document: bytes) -> Layout:
    return _layout_of(document)


def _layout_of(document: bytes) -> Layout:
    values = loads(document, DOCUMENT)
    data = Reader(values, DOCUMENT)
    data.choice("node_type", ("array",))
    if values.get("zarr_format") != 3:
        raise FormatError(f"expected Zarr version 3, found {values.get('zarr_format')!r:.40}")
    shape = data.shape("shape")
    element = dtype_named(data.string("data_type"))
    grid = data.object("chunk_grid")
    grid.choice("name", ("regular",))
    chunk_shape = grid.object("configuration").shape("chunk_shape")
    if len(chunk_shape) != len(shape) or 0 in chunk_shape:
        raise FormatError(
            f"expected one chunk length of at least 1 per axis, found {chunk_shape} "
            f"for the shape {shape}"
        )
    _check_sizes(shape, chunk_shape, element.itemsize)
    keys = data.object("chunk_key_encoding")
    keys.choice("name", ("default",))
    separator = keys.object("configuration").choice("separator", (".", "/"))
    if data.has("storage_transformers") and data.items("storage_transformers"):
        raise FormatError(f"expected no storage transformers in {DOCUMENT}, found some")
    for key, value in values.items():
        optional = isinstance(value, dict) and value.get("must_understand") is False
        if key not in _KEYS and not optional:
            raise FormatError(f"expected the keys of a Zarr version 3 array, found {key!r:.40}")
    codecs, shards = data.items("codecs"), None
    if [_name_of(codec) for codec in codecs] == ["sharding_indexed"]:
        inner = Reader(codecs[0], f"the codec of {DOCUMENT}").object("configuration")
        shards = _shards(inner, chunk_shape, element)
        chunk_shape, codecs = inner.shape("chunk_shape"), inner.items("codecs")
    chain: Chain | None = dumps(codecs)
    if _is_raw(codecs, element):
        chain = None
    else:
        check_chain(dumps(codecs), element, chunk_shape)
    return Layout(shape, element, chunk_shape, separator, chain, shards)


def _name_of(codec: object) -> object:
    return codec.get("name") if isinstance(codec, dict) else None


def _is_raw(codecs: Sequence[Any], element: DType) -> bool:
    """Whether chunks are little-endian elements in C order and nothing else."""
    if [_name_of(codec) for codec in codecs] != ["bytes"]:
        return False
    return element.itemsize == 1 or codecs[0].get("configuration") == {"endian": "little"}


def _shards(inner: Reader, shard_shape: tuple[int, ...], element: DType) -> ShardLayout:
    chunk_shape = inner.shape("chunk_shape")
    if len(chunk_shape) != len(shard_shape) or any(
        chunk == 0 or shard % chunk for shard, chunk in zip(shard_shape, chunk_shape, strict=True)
    ):
        raise FormatError(
            f"expected shards of whole chunks, found {shard_shape} in chunks of {chunk_shape}"
        )
    grid = tuple(shard // chunk for shard, chunk in zip(shard_shape, chunk_shape, strict=True))
    index_chain = dumps(inner.items("index_codecs"))
    check_chain(index_chain, dtype_named("uint64"), (*grid, 2))
    at_end = True
    if inner.has("index_location"):
        at_end = inner.choice("index_location", ("start", "end")) == "end"
    return ShardLayout(grid, index_chain, at_end)


def _check_sizes(shape: tuple[int, ...], chunk_shape: tuple[int, ...], itemsize: int) -> None:
    """Refuse what no machine holds before anything is made of that size."""
    whole = prod(max(1, length) for length in shape) * itemsize
    if whole > _MOST_BYTES or prod(chunk_shape) * itemsize > _MOST_CHUNK_BYTES:
        raise FormatError(
            f"expected chunks of at most {_MOST_CHUNK_BYTES} bytes in a tensor of at most "
            f"{_MOST_BYTES}, found the shape {shape} in chunks of {chunk_shape}"
        )
