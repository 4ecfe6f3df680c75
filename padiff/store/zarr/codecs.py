"""Chunks that are not raw bytes: zarr-python encodes and decodes them, one at a time, in memory."""

import json
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.errors import FormatError, UsageError
from padiff.jsonio import Json, dumps
from padiff.store.storage import MOST_DECODED, Compression

__all__ = ["Chain", "chain_for", "check_chain", "decode", "decode_version_2", "encode", "names_in"]

# Codecs as JSON text of the list that a document has: it can be hashed.
Chain = str
_KNOWN = "blosc, crc32c, gzip, zstd"


def chain_for(compression: Compression, element: DType) -> Chain:
    """The codecs of a document that compress as asked; UsageError for what zarr-python lacks."""
    several = compression if isinstance(compression, list | tuple) else [compression]
    named = [codec if isinstance(codec, Mapping) else {"name": codec} for codec in several]
    for codec in named:
        if unknown := sorted(map(str, codec.keys() - {"name", "configuration"})):
            raise UsageError(
                "expected each codec of compression to have a name and a configuration, "
                f"got {unknown[0]!r} besides"
            )
    return _chain(dumps([{"configuration": {}, **codec} for codec in named]), element)


@lru_cache(64)
def _chain(compressors: str, element: DType) -> Chain:
    zarr = _zarr("write compressed chunks")
    try:
        array = zarr.create_array(
            zarr.storage.MemoryStore({}),
            shape=(1,),
            chunks=(1,),
            dtype=_stand_in(element),
            fill_value=0,
            filters=(),
            compressors=json.loads(compressors),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(
            f"expected compression to name codecs of the Zarr registry ({_KNOWN}, ...) and their "
            f"configuration, got {compressors}: {error}"
        ) from None
    return dumps(array.metadata.to_dict()["codecs"])


@lru_cache(64)
def check_chain(chain: Chain, element: DType, chunk_shape: tuple[int, ...]) -> None:
    """FormatError when zarr-python cannot decode chunks of these codecs, or no memory holds one."""
    size = prod(chunk_shape) * element.itemsize
    if size > MOST_DECODED:
        raise FormatError(
            f"expected encoded chunks of at most {MOST_DECODED} bytes, found chunks of {size}"
        )
    _open(_unit(chain, _stand_in(element), chunk_shape), {}, "read")


@lru_cache(64)
def names_in(chain: Chain) -> tuple[object, ...]:
    """The names of codecs, in the order in which they are put to use."""
    return tuple(codec.get("name") for codec in json.loads(chain))


def encode(values: NDArray[Any], element: DType, chain: Chain) -> bytes:
    """The bytes of one chunk."""
    document = _unit(chain, _stand_in(element), values.shape)
    held: dict[str, Any] = {}
    array = _open(document, held, "write").with_config({"write_empty_chunks": True})
    array[...] = values.view(_stand_in(element))
    return bytes(held[_key(values.ndim)].to_bytes())


def decode(data: bytes, element: DType, chunk_shape: tuple[int, ...], chain: Chain) -> NDArray[Any]:
    """The elements of one chunk; whatever a codec raises where the bytes are damaged."""
    document = _unit(chain, _stand_in(element), chunk_shape)
    buffer = _zarr("read").core.buffer.default_buffer_prototype().buffer
    array = _open(document, {_key(len(chunk_shape)): buffer.from_bytes(data)}, "read")
    values = np.asarray(array[...], _stand_in(element)).view(element.numpy)
    return values.reshape(chunk_shape)


def decode_version_2(data: bytes, element: DType, document: Json) -> NDArray[Any]:
    """The elements of one chunk of an array of version 2, by its document.

    Raises whatever a codec raises where the bytes are damaged.
    """
    zarr = _zarr("read")
    kind = document["dtype"]
    unit = {
        **{key: document[key] for key in ("compressor", "filters", "order")},
        "zarr_format": 2,
        "shape": document["chunks"],
        "chunks": document["chunks"],
        "dtype": f"<u{element.itemsize}" if element.numpy.kind == "V" else kind,
        "fill_value": None,
    }
    buffer = zarr.core.buffer.default_buffer_prototype().buffer
    key = ".".join("0" * len(document["chunks"])) or "0"
    held = {".zarray": dumps(unit).encode(), key: data}
    store = zarr.storage.MemoryStore({name: buffer.from_bytes(text) for name, text in held.items()})
    values = np.asarray(zarr.open_array(store, mode="r", zarr_format=2)[...])
    plain = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    return plain.view(element.numpy).reshape(document["chunks"])


def _stand_in(element: DType) -> str:
    """A type of as many bytes that zarr-python knows: to it the elements of others are integers."""
    own = element.numpy.isbuiltin == 1
    return element.name if own else f"uint{8 * element.itemsize}"


def _unit(chain: Chain, dtype: str, shape: tuple[int, ...]) -> bytes:
    """The document of an array that is a single chunk."""
    document: Json = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "data_type": dtype,
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": False if dtype == "bool" else [0, 0] if dtype[0] == "c" else 0,
        "codecs": json.loads(chain),
        "attributes": {},
    }
    return dumps(document).encode(errors="surrogatepass")


def _key(ndim: int) -> str:
    return ".".join(("c", *("0" * ndim)))


def _open(document: bytes, held: dict[str, Any], purpose: str) -> Any:
    """The array of a document in a store of its own, `held`."""
    zarr = _zarr(purpose)
    buffer = zarr.core.buffer.default_buffer_prototype().buffer
    held["zarr.json"] = buffer.from_bytes(document)
    try:
        return zarr.open_array(zarr.storage.MemoryStore(held), mode="r+", zarr_format=3)
    except Exception as error:  # of any codec there is
        reason = " ".join(str(error).split())
        raise FormatError(f"expected codecs that zarr-python knows, found {reason}") from None


def _zarr(purpose: str) -> Any:
    try:
        import zarr
    except ImportError:
        raise UsageError(
            f"expected zarr to be there, to {purpose}: pip install 'zarr>=3.1', or dump raw chunks"
        ) from None
    return zarr
