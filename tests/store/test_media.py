"""Stores in zip files and behind URLs hold what stores in directories hold, and say what fails."""

import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
import xarray
import zarr
from numpy.typing import NDArray

from padiff import create_model
from padiff.errors import (
    CorruptError,
    LocationError,
    OccupiedError,
    PadiffError,
    UsageError,
    WriteError,
)
from padiff.store.address import Location
from padiff.store.reader import open_dump
from padiff.store.storage import Storage
from padiff.store.verify import verify
from padiff.store.writer import DumpWriter
from padiff.tree import LayerTree
from tests.store.media import BUCKET, Server, conditional_s3_server, s3_server
from tests.store.sections import header_of, write
from tests.store.test_round_trip import CORE, EXTENDED, same_bits, values_of

VALUES = np.arange(60.0).reshape(3, 4, 5)
SHARDED = Storage(compression="zstd", chunk_bytes=160, shard_bytes=400)


@pytest.fixture
def url(s3: str) -> str:
    return f"{s3}/run.zarr"


@pytest.fixture(params=["zip", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "zip":
        return tmp_path / "run.zarr.zip"
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/run.zarr"
    return str(request.getfixturevalue("url"))


def read(location: Location) -> NDArray[Any]:
    return np.asarray(open_dump(location).report["layer"].forward[0])


def objects(location: Location) -> list[str]:
    """Names of all objects below a location."""
    if isinstance(location, Path):
        return sorted(zipfile.ZipFile(location).namelist())
    fs, path = fsspec.url_to_fs(location, use_listings_cache=False)
    return sorted(name.split(".zarr/")[1] for name in fs.find(path))


@pytest.mark.parametrize("storage", [Storage(), SHARDED], ids=["raw", "sharded"])
def test_round_trip(place: Location, storage: Storage) -> None:
    arrays = {"layer": VALUES, "empty": np.zeros((0, 3)), "scalar": np.array(3, np.float32)}
    arrays |= {dtype: values_of(dtype, (2, 3)) for dtype in CORE + EXTENDED}
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    write(place, arrays, storage=storage)
    report = open_dump(place).report
    for name, values in arrays.items():
        assert same_bits(np.asarray(report[name].forward[0]), values)
    assert verify(place).intact


def test_of_two_writers_of_a_section_one_wins_whole(place: Location) -> None:
    """Of a zip file the first, as it holds a lock; elsewhere the one that is done first."""
    write(place, {"layer": VALUES})
    both = DumpWriter(place, "report")
    writer = both.section("report")
    writer.add("layer/forward.0", VALUES + 1)
    writer.finish(header_of(LayerTree(())))
    if isinstance(place, Path):
        with pytest.raises(OccupiedError, match="another writer"):
            write(place, {"layer": VALUES + 2})
        both.__exit__(None, None, None)
        assert len(open_dump(place).report) == 0
    else:
        write(place, {"layer": VALUES + 2})
        with pytest.raises(OccupiedError, match="another writer"):
            both.__exit__(None, None, None)
        assert same_bits(read(place), VALUES + 2)
        assert len({name.split("/")[1] for name in objects(place) if "~g" in name}) == 1


@pytest.fixture
def conditional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A URL on a server that holds puts to their conditions."""
    with conditional_s3_server(tmp_path) as server:
        _speak_to(server, monkeypatch)
        fsspec.filesystem("s3").mkdir(BUCKET)
        yield f"s3://{BUCKET}/run.zarr"


def test_of_two_writers_in_the_same_instant_one_wins_whole(conditional: str) -> None:
    """Both found the same before either puts its document: no section first, then an older one."""
    for number in range(12):
        together = threading.Barrier(2, timeout=60)

        def dump(value: int, together: threading.Barrier = together) -> int:
            with suppress(OccupiedError):
                write(conditional, {"layer": np.full(3, value)}, before_end=together.wait)
                return value
            return -1

        with ThreadPoolExecutor(2) as pool:
            won = [value for value in pool.map(dump, (2 * number, 2 * number + 1)) if value >= 0]
        assert len(won) == 1
        assert read(conditional).tolist() == won * 3
        assert verify(conditional).intact
        assert len({name.split("/")[1] for name in objects(conditional) if "~g" in name}) == 1


def test_a_missing_chunk_is_damage(place: Location) -> None:
    write(place, {"layer": VALUES})
    chunk = next(name for name in objects(place) if name.endswith("/c.0.0.0"))
    if isinstance(place, Path):
        old = place.rename(place.with_name("old"))
        with zipfile.ZipFile(old) as source, zipfile.ZipFile(place, "w") as target:
            for name in source.namelist():
                if name != chunk:
                    target.writestr(name, source.read(name))
    else:
        fs, path = fsspec.url_to_fs(place)
        fs.rm(f"{path}/{chunk}")
    with pytest.raises(CorruptError, match=r"c\.0\.0\.0"):
        read(place)


def test_other_readers_of_a_url(url: str) -> None:
    write(url, {"layer": VALUES}, storage=SHARDED)
    array = open_dump(url).report["layer"].node.tensors[0].array
    assert len(array.split("/")) == 3
    found = zarr.open_array(f"{url}/report/{array}", mode="r")
    assert same_bits(np.asarray(found[...]), VALUES)
    group = zarr.open_group(url, mode="r")
    assert list(group["report"].attrs) == ["padiff"]
    layer = f"{url}/report/{array.rpartition('/')[0]}"
    dataset = xarray.open_zarr(layer, consolidated=False, zarr_format=3)
    assert same_bits(dataset["forward.0"].to_numpy(), VALUES)


def test_other_readers_of_a_zip_file(tmp_path: Path) -> None:
    write(tmp_path / "run.zarr.zip", {"layer": VALUES}, step=3)
    with zarr.storage.ZipStore(tmp_path / "run.zarr.zip", mode="r") as store:
        found = zarr.open_array(store, path="step_3/report/layer/forward.0", mode="r")
        assert same_bits(np.asarray(found[...]), VALUES)


def test_a_model_is_recorded_behind_a_url(url: str, tmp_path: Path, server: Server) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    for place in (url, str(tmp_path / "local.zarr"), str(tmp_path / "packed.zarr.zip")):
        model = create_model(net)
        model.backward(model(torch.ones(2, 3)).sum())
        assert str(model.try_dump(dir_path=place)) == f"{place}/step_0"
        net.zero_grad()
    for place in (url, str(tmp_path / "packed.zarr.zip")):
        done = command(server, place, str(tmp_path / "local.zarr"))
        assert done.stdout.startswith("ALIGNED"), done.stderr


def command(server: Server, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """padiff-check as a process of its own."""
    script = "import sys; from padiff.cli import check; sys.argv[0] = 'padiff-check'; check()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)} | server.environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("change", "bucket", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, BUCKET, "cannot be reached"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, BUCKET, "cannot be reached"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, BUCKET, "cannot be reached"),
        ({}, "no-bucket", "none there"),
    ],
    ids=["secret", "key", "server", "bucket"],
)
def test_what_cannot_be_reached(
    server: Server, tmp_path: Path, change: dict[str, str], bucket: str, words: str
) -> None:
    write(tmp_path / "local.zarr", {"layer": VALUES})
    done = command(server, f"s3://{bucket}/run.zarr", str(tmp_path / "local.zarr"), **change)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("padiff-check: expected")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_http_server_that_does_not_answer() -> None:
    with pytest.raises(LocationError, match="cannot be reached: Cannot connect"):
        open_dump("http://127.0.0.1:9/run.zarr")


def test_writing_to_no_bucket(url: str) -> None:
    with pytest.raises(WriteError, match="was refused"):
        write(url.replace(BUCKET, "no-bucket"), {"layer": VALUES})


def test_a_server_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(tmp_path) as going:
        _speak_to(going, monkeypatch)
        _lose(going)


def _speak_to(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    # fsspec keeps the client that other tests use unless its settings differ
    where = {"endpoint_url": server.environment["AWS_ENDPOINT_URL"]}
    monkeypatch.setitem(fsspec.config.conf, "s3", where)


def _lose(going: Server) -> None:
    url = f"s3://{BUCKET}/run.zarr"
    write(url, {"layer": VALUES})
    report = open_dump(url).report
    array = report["layer"].forward[0]
    dump = DumpWriter(url, "weights")
    writer = dump.section("weights")
    going.stop()
    writer.add("layer/forward.0", VALUES)
    writer.finish(header_of(LayerTree(()), "weights"))
    with pytest.raises(WriteError, match="was refused"):
        dump.__exit__(None, None, None)
    for use in (lambda: array[...], lambda: report["layer"].forward[0], lambda: read(url)):
        with pytest.raises(LocationError, match="cannot be reached") as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "location",
    [
        "s3://",
        "memory://x.zarr.zip",
        "x.H5",
        "x.zip",
        "x.ZARR.ZIP",
        "s3://bucket/x.zip",
        "f.H5/sub",
        "n.pt",
        "n.Safetensors",
        "s3://bucket/n.pdparams",
    ],
)
def test_names_that_would_mislead(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"(the name of a directory|a bucket)"):
        write(location, {"layer": VALUES})
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_there_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "e.zip").mkdir()
    (tmp_path / "f.pt").mkdir()
    for place in (tmp_path / "e.zip/run.zarr", tmp_path / "f.pt", tmp_path / "v1.bin/run.zarr"):
        for step in range(2):
            write(place, {"layer": VALUES}, step=step)
        assert verify(place).steps == (0, 1)


def test_urls_that_nothing_knows() -> None:
    with pytest.raises(UsageError, match="URL"):
        open_dump("nonsense://x/run.zarr")


def test_the_url_of_a_local_path_is_that_path(tmp_path: Path) -> None:
    for name in ("a b.zarr", "c.h5", "d.zarr.zip"):
        url = f"file://{tmp_path}/{name.replace(' ', '%20')}"
        write(url, {"layer": VALUES}, step=3)
        assert (tmp_path / name).exists()
        assert same_bits(read(f"{url}/step_3"), VALUES)
        assert verify(url).intact
        assert verify(url.replace("file://", "file://localhost")).intact
    with pytest.raises(UsageError, match="from / on"):
        open_dump("file://elsewhere/run.zarr")
    assert same_bits(read(f"local://{tmp_path}/a b.zarr/step_3"), VALUES)


def test_empty_names_in_a_url_are_none(url: str) -> None:
    write(url.replace("/run", "//run"), {"layer": VALUES}, step=3)
    assert same_bits(read(f"{url}//step_3/"), VALUES)


def test_every_flipped_bit_of_a_zip_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr.zip"
    write(path, {"layer": np.arange(3, dtype=np.int8)})
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with suppress(PadiffError):
            assert not verify(path).intact, f"byte {place}"
