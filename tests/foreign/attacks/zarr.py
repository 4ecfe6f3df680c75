"""Documents and chunks of Zarr that are not what they should be."""

import bz2
import gzip
import json
import lzma
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr

from tests.foreign.attacks.registry import attack, several

__all__ = []


def zarr_2(path: Path, changes: Mapping[str, Any], chunk: bytes | None = None) -> Path:
    options: Any = {"zarr_format": 2, "fill_value": 1, "compressors": None, "chunks": (2,)}
    array = zarr.create_array(path / "weights.zarr/a", shape=(4,), dtype="f4", **options)
    array[...] = np.arange(4)
    file = path / "weights.zarr/a/.zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    if chunk is not None:
        (path / "weights.zarr/a/0").write_bytes(chunk)
    return path / "weights.zarr"


def zarr_3(path: Path, changes: Mapping[str, Any], chunk: bytes | None = None) -> Path:
    array = zarr.create_array(path / "weights.zarr/a", shape=(4,), chunks=(2,), dtype="f4")
    array[...] = np.arange(4)
    file = path / "weights.zarr/a/zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    if chunk is not None:
        (path / "weights.zarr/a/c/0").write_bytes(chunk)
    return path / "weights.zarr"


_TYPES: dict[str, Any] = {
    "a shape of text": {"shape": "4"},
    "a shape of floats": {"shape": [4.0]},
    "a negative shape": {"shape": [-4]},
    "a huge shape": {"shape": [2**60]},
    "a shape that overflows": {"shape": [2**63]},
    "a shape of many axes": {"shape": [1] * 65},
    "no shape": {"shape": None},
    "a number for a fill value": {"fill_value": {}},
    "a huge fill value": {"fill_value": 10**400},
    "a text for a fill value": {"fill_value": "x"},
    "hexadecimal of the wrong length": {"fill_value": "0x" + "f" * 99},
    "many digits": {"fill_value": "9" * 5000},
}
several(
    "zarr 2",
    {
        **_TYPES,
        "chunks of text": {"chunks": "2"},
        "chunks of nothing": {"chunks": [0]},
        "huge chunks": {"chunks": [2**40]},
        "chunks of 1 GiB": {"chunks": [2**28], "shape": [2**28]},
        "objects": {"dtype": "|O"},
        "no type": {"dtype": None},
        "an unknown type": {"dtype": "<q9"},
        "brackets": {"dtype": "(((("},
        "fields": {"dtype": [["a", "<f4"]]},
        "a pickle as a filter": {"filters": [{"id": "pickle"}], "dtype": "|O"},
        "a pickle as a filter of floats": {"filters": [{"id": "pickle"}]},
        "an unknown codec": {"compressor": {"id": "none such"}},
        "a codec without a name": {"compressor": {}},
        "a codec that is a text": {"compressor": "zlib"},
        "filters that are a text": {"filters": "zlib"},
        "no filters": {"filters": 0},
        "a separator": {"dimension_separator": "/../"},
        "another order": {"order": "K"},
        "another version": {"zarr_format": 4},
    },
    zarr_2,
)
del _TYPES["a number for a fill value"]
several(
    "zarr 3",
    {
        **_TYPES,
        "an unknown codec": {"codecs": [{"name": "none such"}]},
        "no codecs": {"codecs": []},
        "codecs that are texts": {"codecs": ["bytes"]},
        "codecs that are a dict": {"codecs": {}},
        "huge chunks": {
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**50]}}
        },
        "chunks of 1 GiB": {
            "shape": [2**28],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**28]}},
        },
        "a grid that is a list": {"chunk_grid": []},
        "keys": {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../"}}},
        "keys of lists": {"chunk_key_encoding": {"name": []}},
        "keys of no name": {"chunk_key_encoding": {"configuration": {"separator": []}}},
        "an unknown type": {"data_type": "float\n\x1b[2J"},
        "a type that is a dict": {"data_type": {"name": "r8"}},
        "another version": {"zarr_format": 4},
        "a transformer": {"storage_transformers": [{"name": "x"}]},
    },
    zarr_3,
)
_ZERO = bytes(2**26)
several(
    "zarr bomb",
    {
        "zlib": ({"id": "zlib", "level": 9}, zlib.compress(_ZERO, 9)),
        "zstd": ({"id": "zstd", "level": 1}, numcodecs.Zstd(1).encode(_ZERO)),
        "blosc": (numcodecs.Blosc().get_config(), numcodecs.Blosc().encode(_ZERO)),
        "lz4": ({"id": "lz4", "acceleration": 1}, numcodecs.LZ4().encode(_ZERO)),
        "lz4 that lies": ({"id": "lz4", "acceleration": 1}, b"\xff\xff\xff\x7f" + bytes(99)),
        "zstd that lies": (
            {"id": "zstd", "level": 1},
            b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + bytes(99),
        ),
        "blosc that lies": (
            numcodecs.Blosc().get_config(),
            b"\x02\x01\x21\x01" + struct.pack("<III", 2**31 - 17, 2**18, 115) + bytes(99),
        ),
        "bz2": ({"id": "bz2", "level": 9}, bz2.compress(_ZERO)),
        "lzma": (
            {"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None},
            lzma.compress(_ZERO),
        ),
    },
    lambda path, case: zarr_2(path, {"compressor": case[0]}, case[1]),
)


_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_GZIP = {"name": "gzip", "configuration": {"level": 9}}
_PACKED = gzip.compress(_ZERO)
several(
    "zarr 3 bomb",
    {
        "gzip": ([_GZIP], _PACKED),
        "gzip with a checksum": ([_GZIP, {"name": "crc32c"}], _PACKED + bytes(4)),
        "gzip of gzip": ([_GZIP, _GZIP], gzip.compress(_PACKED)),
        "one gzip after the other": ([_GZIP], gzip.compress(bytes(2**20)) * 64),
        "fifty of gzip": ([_GZIP] * 50, _PACKED),
    },
    lambda path, case: zarr_3(path, {"codecs": [_BYTES, *case[0]]}, case[1]),
)


def sharded(path: Path, case: tuple[dict[str, Any], bytes, tuple[int, ...]]) -> Path:
    """A shard of two chunks of an element each, with an index of pairs of offset and size."""
    changes, chunks, index = case
    configuration = {
        "chunk_shape": [1],
        "codecs": [_BYTES],
        "index_codecs": [_BYTES],
        "index_location": "end",
        **changes,
    }
    codecs = [{"name": "sharding_indexed", "configuration": configuration}]
    made = zarr_3(path, {"codecs": codecs}, chunks + struct.pack(f"<{len(index)}Q", *index))
    (made / "a/c/1").unlink()
    return made


several(
    "zarr shard",
    {
        "as it should be": ({}, bytes(8), (0, 4, 4, 4)),
        "past the end": ({}, bytes(8), (0, 4, 2**40, 4)),
        "a huge chunk": ({}, bytes(8), (0, 2**40, 4, 4)),
        "an offset of 2^63": ({}, bytes(8), (2**63, 4, 4, 4)),
        "half of it absent": ({}, bytes(8), (2**64 - 1, 4, 0, 4)),
        "shorter than its index": ({}, bytes(8), ()),
        "empty": ({}, b"", ()),
        "an index that is a bomb": ({"index_codecs": [_BYTES, _GZIP]}, _PACKED, ()),
        "a chunk that is a bomb": (
            {"codecs": [_BYTES, _GZIP]},
            _PACKED,
            (0, len(_PACKED), 0, len(_PACKED)),
        ),
        "chunks of nothing": ({"chunk_shape": [0]}, bytes(8), (0, 4, 4, 4)),
        "chunks that do not fit": ({"chunk_shape": [3]}, bytes(8), (0, 4, 4, 4)),
        "chunks of another shape": ({"chunk_shape": [1, 1]}, bytes(8), (0, 4, 4, 4)),
        "an index in the middle": ({"index_location": "middle"}, bytes(8), (0, 4, 4, 4)),
    },
    sharded,
)


@attack
def zarr_chunk_is_a_pipe(path: Path) -> Path:
    made = zarr_2(path, {"compressor": None})
    (made / "a/0").unlink()
    os.mkfifo(made / "a/0")
    return made


@attack
def zarr_archive_is_a_pipe(path: Path) -> Path:
    os.mkfifo(path / "run.zarr.zip")
    return path / "run.zarr.zip"


@attack
def zarr_archive_is_a_device(path: Path) -> Path:
    (path / "run.zarr.zip").symlink_to("/dev/zero")
    return path / "run.zarr.zip"


@attack
def zarr_link(path: Path) -> Path:
    made = zarr_2(path, {"compressor": None})
    (path / "outside").write_bytes(bytes(8))
    (made / "a/0").unlink()
    (made / "a/0").symlink_to(path / "outside")
    return made


@attack
def zarr_link_to_an_array(path: Path) -> Path:
    made = zarr_2(path, {"compressor": None})
    (made / "a").rename(path / "outside")
    (made / "a").symlink_to(path / "outside")
    return made


@attack
def zarr_long_chunk(path: Path) -> Path:
    return zarr_2(path, {"compressor": None}, bytes(16))


@attack
def zarr_chunk_is_directory(path: Path) -> Path:
    made = zarr_2(path, {"compressor": None})
    (made / "a/0").unlink()
    (made / "a/0").mkdir()
    return made


@attack
def zarr_many_of_missing_chunks(path: Path) -> Path:
    """Chunks that all are the fill value, of one element each."""
    made = zarr_2(path, {"chunks": [1], "shape": [10**9], "compressor": None})
    (made / "a/0").unlink()
    (made / "a/1").unlink()
    return made


@attack
def zarr_deep(path: Path) -> Path:
    made = path / "weights.zarr"
    deepest = made.joinpath(*["a"] * 300)
    deepest.mkdir(parents=True)
    (deepest / ".zarray").write_text("{}")
    return made
