"""One Zarr array: its document, its chunks, and reading them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType, dtype_named
from padiff.errors import CorruptError, FormatError, LocationError
from padiff.jsonio import Json, Reader, dumps, loads
from padiff.store.base import Array
from padiff.store.chunks import Selection, chunk_selection
from padiff.store.format import digest
from padiff.store.media.base import Medium

__all__ = ["DOCUMENT", "ZarrArray", "array_document", "chunk_key"]

DOCUMENT = "zarr.json"
_MOST_BYTES = 2**63 - 1  # of one tensor: what a system's sizes can say
_MOST_CHUNK_BYTES = 2**40


def array_document(
    shape: tuple[int, ...], element: DType, chunk_shape: tuple[int, ...], dims: Sequence[str]
) -> bytes:
    """The `zarr.json` of an array with raw chunks."""
    before, between, after = _around_sizes(element, tuple(dims))
    return f"{before}{dumps(shape)}{between}{dumps(chunk_shape)}{after}".encode()


@lru_cache(1024)  # a model's tensors differ in their sizes more than in all else
def _around_sizes(element: DType, dims: tuple[str, ...]) -> list[str]:
    """The text of a document before, between and after its shape and that of its chunks."""
    codec: Json = {"name": "bytes"}
    if element.itemsize > 1:
        codec["configuration"] = {"endian": "little"}
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
            "codecs": [codec],
            "dimension_names": dims,
            "attributes": {},
        }
    )
    return text.split("null", 2)


def chunk_key(index: tuple[int, ...]) -> str:
    """The file name of one chunk: `c.0.1`, and `c` in a 0-d array."""
    return ".".join(("c", *map(str, index)))


@dataclass(frozen=True, slots=True)
class _Layout:
    """What an array's document says."""

    shape: tuple[int, ...]
    element: DType
    chunk_shape: tuple[int, ...]


# What the Zarr specification knows in an array's document; the last three change no element.
_KEYS = {
    *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding"),
    *("codecs", "storage_transformers", "fill_value", "attributes", "dimension_names"),
}


@lru_cache(4096)  # the layers of a model, and those of its twin, have few documents between them
def _layout(document: bytes) -> _Layout:
    """FormatError, without the place, when `document` is not one of an array with raw chunks."""
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
    _check_encoding(data, element.itemsize)
    for key, value in values.items():
        optional = isinstance(value, dict) and value.get("must_understand") is False
        if key not in _KEYS and not optional:
            raise FormatError(f"expected the keys of a Zarr version 3 array, found {key!r:.40}")
    return _Layout(shape, element, chunk_shape)


def _check_sizes(shape: tuple[int, ...], chunk_shape: tuple[int, ...], itemsize: int) -> None:
    """Refuse what no machine holds before anything is made of that size."""
    whole = prod(max(1, length) for length in shape) * itemsize
    if whole > _MOST_BYTES or prod(chunk_shape) * itemsize > _MOST_CHUNK_BYTES:
        raise FormatError(
            f"expected chunks of at most {_MOST_CHUNK_BYTES} bytes in a tensor of at most "
            f"{_MOST_BYTES}, found the shape {shape} in chunks of {chunk_shape}"
        )


def _check_encoding(data: Reader, itemsize: int) -> None:
    """Refuse chunks that are not raw little-endian bytes in files of the names we know."""
    codecs = data.items("codecs")
    names = [codec.get("name") for codec in codecs if isinstance(codec, dict)]
    if names != ["bytes"] or len(codecs) != 1:
        raise FormatError(f"expected raw chunks (the codec 'bytes' alone), found {names}")
    if itemsize > 1:
        codec = Reader(codecs[0], f"the codec of {DOCUMENT}")
        codec.object("configuration").choice("endian", ("little",))
    keys = data.object("chunk_key_encoding")
    keys.choice("name", ("default",))
    keys.object("configuration").choice("separator", (".",))
    if data.has("storage_transformers") and data.items("storage_transformers"):
        raise FormatError(f"expected no storage transformers in {DOCUMENT}, found some")


class ZarrArray(Array):
    """One array of a Zarr hierarchy whose chunks are raw little-endian bytes in C order."""

    def __init__(self, medium: Medium, path: str) -> None:
        self._medium, self._path = medium, path
        try:
            self._document = medium.document(f"{path}/{DOCUMENT}")
        except LocationError:
            raise
        except OSError as error:
            raise CorruptError(
                f"expected an array at {medium.location}/{path}, but its {DOCUMENT} cannot be "
                f"read: {error.strerror or error}"
            ) from None
        try:
            layout = _layout(self._document)
        except FormatError as error:
            raise CorruptError(f"{error}, in the array {medium.location}/{path}") from None
        self.shape, self.element = layout.shape, layout.element
        self.chunk_shape = layout.chunk_shape
        self._last: tuple[tuple[int, ...], NDArray[Any]] | None = None

    def metadata_digest(self) -> str:
        return digest(self._document)

    def file_of(self, index: tuple[int, ...] | None) -> str:
        name = DOCUMENT if index is None else chunk_key(index)
        return f"{self._medium.location}/{self._path}/{name}"

    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        return self._chunk(index).reshape(-1).view(np.uint8).data

    def read(self, selection: Selection) -> NDArray[Any]:
        if self.chunk_shape == self.shape:
            return self._chunk((0,) * len(self.shape))[selection]
        ranges = [
            range(part.start // chunk, -(-part.stop // chunk))
            for part, chunk in zip(selection, self.chunk_shape, strict=True)
        ]
        if all(len(indices) == 1 for indices in ranges):
            return self._part(tuple(indices[0] for indices in ranges), selection)
        out = np.empty([part.stop - part.start for part in selection], self.dtype)
        for index in itertools.product(*ranges):
            held = chunk_selection(index, self.shape, self.chunk_shape)
            common = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(selection, held, strict=True)
            )
            target = tuple(
                slice(a.start - b.start, a.stop - b.start)
                for a, b in zip(common, selection, strict=True)
            )
            out[target] = self._part(index, common)
        out.flags.writeable = False
        return out

    def _part(self, index: tuple[int, ...], selection: Selection) -> NDArray[Any]:
        """What lies in one chunk, by indices of the whole array."""
        return self._chunk(index)[
            tuple(
                slice(part.start - i * chunk, part.stop - i * chunk)
                for part, i, chunk in zip(selection, index, self.chunk_shape, strict=True)
            )
        ]

    def _chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        # Neighbouring blocks lie in one chunk: opening it once for all of them is most of the
        # speed of small blocks. One assignment, so threads at worst open a chunk twice.
        last = self._last
        if last is None or last[0] != index:
            last = (index, self._open_chunk(index))
            self._last = last
        return last[1]

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        size = self.element.itemsize * prod(self.chunk_shape)
        data = self._medium.chunk(f"{self._path}/{chunk_key(index)}", size)
        return np.frombuffer(data, self.dtype).reshape(self.chunk_shape)
