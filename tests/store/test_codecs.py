"""Compressed chunks and shards: ours in other readers, others' in ours, damage named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import xarray
import zarr
import zarr.codecs
from numpy.typing import NDArray

from padiff.comparing.engine import compare
from padiff.errors import CorruptError, FormatError, UsageError
from padiff.store.reader import open_dump
from padiff.store.storage import Compression, Storage
from padiff.store.verify import verify
from tests.store.sections import write
from tests.store.test_round_trip import CORE, EXTENDED, same_bits, values_of

NO_OUTPUT = 1  # the model itself, of which nothing is recorded
ARRAY = "report/layer/forward.0"
COMPRESSIONS: list[Compression] = [
    "zstd",
    "gzip",
    "crc32c",
    {"name": "blosc", "configuration": {"cname": "lz4"}},
    ["zstd", {"name": "crc32c"}],
]
SHARDED = Storage(chunk_bytes=256, shard_bytes=1000)
SHARDED_ZSTD = Storage(compression="zstd", chunk_bytes=256, shard_bytes=1000)
VALUES = np.random.default_rng(0).integers(0, 9, (11, 5, 8)).astype(np.float32)


def read(store: Path) -> NDArray[Any]:
    return np.asarray(open_dump(store).report["layer"].forward[0])


def rewritten(store: Path, **how: Any) -> None:
    """The array made anew by zarr-python, with the attributes that it had."""
    values = np.asarray(zarr.open_array(store / ARRAY, mode="r")[...])
    zarr.create_array(store / ARRAY, data=values, overwrite=True, **how)


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=str)
def test_written_compressed(tmp_path: Path, compression: Compression) -> None:
    store = tmp_path / "run.zarr"
    write(store, {"layer": VALUES}, storage=Storage(compression=compression, chunk_bytes=512))
    assert same_bits(read(store), VALUES)
    assert same_bits(np.asarray(zarr.open_array(store / ARRAY, mode="r")[...]), VALUES)
    assert verify(store).intact


@pytest.mark.parametrize("storage", [Storage(compression="zstd"), SHARDED, SHARDED_ZSTD])
@pytest.mark.parametrize("shape", [(), (0, 3), (11, 5, 8)], ids=str)
@pytest.mark.parametrize("dtype", CORE + EXTENDED)
def test_every_dtype(tmp_path: Path, dtype: str, shape: tuple[int, ...], storage: Storage) -> None:
    values = values_of(dtype, shape)
    write(tmp_path / "run.zarr", {"layer": values}, storage=storage)
    assert same_bits(read(tmp_path / "run.zarr"), values)


@pytest.mark.parametrize("storage", [Storage(compression="zstd"), SHARDED, SHARDED_ZSTD])
def test_other_readers(tmp_path: Path, storage: Storage) -> None:
    store = tmp_path / "run.zarr"
    write(store, {"layer": VALUES}, storage=storage)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(store / ARRAY)}}
    assert same_bits(tensorstore.open(spec).result().read().result(), VALUES)
    dataset = xarray.open_zarr(store / "report/layer", consolidated=False, zarr_format=3)
    assert same_bits(dataset["forward.0"].to_numpy(), VALUES)


def test_shards_hold_whole_chunks_and_no_more_bytes_than_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "run.zarr", {"layer": VALUES}, storage=SHARDED)
    files = [path for path in (tmp_path / "run.zarr" / ARRAY).iterdir() if path.name[0] == "c"]
    assert max(path.stat().st_size for path in files) <= 1000
    array = open_dump(tmp_path / "run.zarr").report["layer"].forward[0]
    assert len(files) < array.chunk_count
    assert array.chunk_shape == zarr.open_array(tmp_path / "run.zarr" / ARRAY, mode="r").chunks


def test_one_chunk_of_a_shard_is_read_without_the_others(tmp_path: Path) -> None:
    store = tmp_path / "run.zarr"
    write(store, {"layer": VALUES}, storage=SHARDED)
    report = open_dump(store).report
    array = report.stored(report["layer"].node.tensors[0])
    shard = store / ARRAY / "c.0.0.0"
    data = bytearray(shard.read_bytes())
    chunk = array.chunk_bytes((0, 0, 0)).nbytes
    data[chunk] ^= 1  # the first byte of the second
    shard.write_bytes(data)
    assert open_dump(store).report["layer"].forward[0][0, 0, 0] == VALUES[0, 0, 0]
    assert not verify(store).intact


@pytest.mark.parametrize(
    "how",
    [
        {"chunks": (4, 5, 8), "compressors": [zarr.codecs.ZstdCodec()]},
        {"chunks": (2, 5, 8), "shards": (8, 5, 8)},
        {"chunks": (4, 5, 8), "filters": [zarr.codecs.TransposeCodec(order=(2, 0, 1))]},
        {"chunks": (4, 5, 8), "serializer": zarr.codecs.BytesCodec(endian="big")},
        {
            "chunks": (4, 5, 8),
            "serializer": zarr.codecs.ShardingCodec(
                chunk_shape=(2, 5, 4), index_location="start", codecs=[zarr.codecs.BytesCodec()]
            ),
            "compressors": [],
        },
    ],
    ids=["zstd", "shards", "transpose", "big endian", "index first"],
)
def test_what_zarr_python_has_written_anew(tmp_path: Path, how: dict[str, Any]) -> None:
    store = tmp_path / "run.zarr"
    write(store, {"layer": VALUES}, storage=Storage(chunk_bytes=4 * 5 * 8 * 4))
    rewritten(store, **how)
    array = zarr.open_array(store / ARRAY, mode="r")
    if array.chunks == (4, 5, 8):
        assert same_bits(read(store), VALUES)
    else:  # the tree gives a digest for each chunk of another grid
        with pytest.raises(CorruptError, match="expected 3 chunks"):
            read(store)


def test_stores_of_other_codecs_recognise_equal_tensors(tmp_path: Path) -> None:
    raw, packed = tmp_path / "raw.zarr", tmp_path / "packed.zarr"
    write(raw, {"layer": VALUES}, storage=Storage(chunk_bytes=256))
    write(packed, {"layer": VALUES}, storage=SHARDED_ZSTD)
    for chunk in (packed / ARRAY).glob("c.*"):  # so that reading them would fail
        chunk.write_bytes(b"x")
    totals = compare(raw, packed).totals
    assert (totals.compared, totals.identical, totals.diverged) == (1, 1, NO_OUTPUT)


@pytest.mark.parametrize("change", [0, 1])
def test_stores_of_other_chunks_are_read(tmp_path: Path, change: int) -> None:
    base, raw = tmp_path / "base.zarr", tmp_path / "raw.zarr"
    other = VALUES.copy()
    other[9, 4, 3] += change
    write(base, {"layer": VALUES}, storage=Storage(compression="gzip", chunk_bytes=640))
    write(raw, {"layer": other}, storage=SHARDED_ZSTD)
    totals = compare(base, raw, mode="strict").totals
    assert (totals.compared, totals.identical, totals.diverged) == (
        1,
        1 - change,
        NO_OUTPUT + change,
    )


@pytest.fixture(params=[SHARDED, SHARDED_ZSTD, Storage(compression="zstd")], ids=str)
def packed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    write(tmp_path / "run.zarr", {"layer": VALUES}, storage=request.param)
    return tmp_path / "run.zarr"


def damages(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield b""
    yield data[:-1]
    yield data[: len(data) // 2]
    for place in (0, len(data) // 2, len(data) - 1):
        yield data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]
    yield b"\xff" * len(data)


def test_damage_is_found(packed: Path) -> None:
    chunk = packed / ARRAY / "c.0.0.0"
    for damaged in list(damages(chunk)):
        chunk.write_bytes(damaged)
        assert not verify(packed).intact
        try:
            values = read(packed)
        except CorruptError:
            continue
        assert not same_bits(values, VALUES)
    chunk.unlink()
    with pytest.raises(CorruptError, match=r"c\.0\.0\.0"):
        read(packed)


@pytest.mark.parametrize(
    "compression",
    ["rot13", {"name": "gzip", "configuration": {"level": 99}}, {"level": 3}, "transpose", 3],
    ids=str,
)
def test_no_codec(tmp_path: Path, compression: Any) -> None:
    with pytest.raises(UsageError, match="compression"):
        write(tmp_path / "run.zarr", {"layer": VALUES}, storage=Storage(compression=compression))
    assert not list(tmp_path.rglob("report"))


def test_an_unknown_codec_is_named(packed: Path) -> None:
    document = packed / ARRAY / "zarr.json"
    data = json.loads(document.read_text())
    data["codecs"] = [{"name": "rot13", "configuration": {}}]
    document.write_text(json.dumps(data))
    with pytest.raises(FormatError, match="rot13"):
        read(packed)


def test_chunks_of_zeros_are_written(tmp_path: Path) -> None:
    zeros = np.zeros((11, 5, 8), np.float32)
    for storage in (SHARDED_ZSTD, Storage(compression="zstd", chunk_bytes=256)):
        write(tmp_path / "run.zarr", {"layer": zeros}, storage=storage)
        assert same_bits(read(tmp_path / "run.zarr"), zeros)


@pytest.mark.parametrize("compression", ["nonsense", {"name": "gzip", "level": 5}, [3]], ids=str)
def test_codecs_that_there_are_not_leave_nothing_behind(
    tmp_path: Path, compression: Compression
) -> None:
    with pytest.raises(UsageError, match="expected"):
        write(tmp_path / "run.zarr", {"layer": VALUES}, storage=Storage(compression=compression))
    assert not list(tmp_path.iterdir())


def test_a_chunk_that_no_codec_made_is_not_read(tmp_path: Path) -> None:
    """It may have any size: what is refused is not loaded first."""
    write(tmp_path / "run.zarr", {"layer": np.ones(3)}, storage=Storage(compression="gzip"))
    with (tmp_path / "run.zarr/report/layer/forward.0/c.0").open("r+b") as chunk:
        chunk.truncate(2**40)  # a hole: it takes no room on disk
    with pytest.raises(CorruptError, match="more than any codec makes of it"):
        np.asarray(open_dump(tmp_path / "run.zarr").report["layer"].forward[0])
