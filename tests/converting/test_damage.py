"""What is damaged, refused or in the way stops a conversion, and nothing is at its destination."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import padiff
from padiff.errors import (
    CorruptError,
    IncompleteError,
    LocationError,
    OccupiedError,
    PadiffError,
    UsageError,
    WriteError,
)
from padiff.store.storage import Storage
from tests.store.backends import everything
from tests.store.test_refusals import tmpfs
from tests.stores import Layer, write_dump

Y = np.arange(24, dtype=np.float32).reshape(6, 4)
ROW = Y[3].tobytes()
DESTINATIONS = ("made.zarr", "made.zarr.zip", "made.h5", "made.safetensors", "made.npz")
destinations = pytest.mark.parametrize("destination", DESTINATIONS)


def make(location: Path, step: int | None = 0) -> Path:
    layer = Layer("fc", "Linear", weights={"w": Y, "b": Y[0]})
    net = Layer("", "Net", children=[layer])
    storage = Storage(chunk_bytes=32, durable=False)
    return write_dump(location, net, section="weights", step=step, storage=storage)


def change(source: Path) -> None:
    """Change one bit of an element in the second chunk."""
    (file,) = (path for path in source.rglob("*") if path.is_file() and ROW in path.read_bytes())
    data = bytearray(file.read_bytes())
    data[data.index(ROW) + 2] ^= 1
    file.write_bytes(data)


@destinations
@pytest.mark.parametrize("name", ["run.zarr", "run.h5"])
def test_a_changed_byte_stops_it(name: str, destination: str, tmp_path: Path) -> None:
    source = make(tmp_path / name)
    change(source)
    with pytest.raises(CorruptError, match=r"the chunk \(1, 0\) of the array fc/w of .* digest"):
        padiff.convert(source, tmp_path / destination)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@destinations
def test_a_changed_tree_group_or_document_stops_it(destination: str, tmp_path: Path) -> None:
    source = make(tmp_path / "run.zarr")
    for place in ("step_0/weights/zarr.json", "step_0/weights/fc/w/zarr.json", "step_0/zarr.json"):
        held = (source / place).read_bytes()
        middle = len(held) // 2
        (source / place).write_bytes(held[:middle] + bytes([held[middle] ^ 1]) + held[middle + 1 :])
        with pytest.raises(PadiffError, match=r"expected .*found"):
            padiff.convert(source, tmp_path / destination)
        (source / place).write_bytes(held)
        assert [each.name for each in tmp_path.iterdir()] == ["run.zarr"], place
    padiff.convert(source, tmp_path / destination)


@destinations
def test_what_is_there_is_replaced_when_that_is_asked_for(destination: str, tmp_path: Path) -> None:
    source, made = make(tmp_path / "run.zarr"), tmp_path / destination
    padiff.convert(source, made)
    before = everything(tmp_path)
    with pytest.raises(OccupiedError, match="replaced with --overwrite"):
        padiff.convert(source, made)
    assert everything(tmp_path) == before
    # whatever is there, a file or a directory, by another of either kind
    for other in DESTINATIONS:
        shutil.rmtree(made) if made.is_dir() else made.unlink()
        padiff.convert(source, tmp_path / f"x{other}")
        (tmp_path / f"x{other}").rename(made)
        padiff.convert(source, made, overwrite=True)
        assert everything(tmp_path) == before or destination == "made.h5", other
        at = made if made.is_file() and made.suffix != ".zip" else made / "step_0"
        assert padiff.compare(source / "step_0", at, mode="strict", atol=0, digests=False).aligned
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["run.zarr", destination])


def test_what_is_not_of_ours_is_never_replaced(tmp_path: Path) -> None:
    source = make(tmp_path / "run.zarr")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/file").write_text("mine")
    (tmp_path / "link.zarr").symlink_to("home")
    before = everything(tmp_path)
    for name, words in (("home", "found other files"), ("link.zarr", "found a symbolic link")):
        with pytest.raises(OccupiedError, match=words):
            padiff.convert(source, tmp_path / name, format="zarr", overwrite=True)
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(OccupiedError, match="found an empty directory"):
        padiff.convert(source, tmp_path / "empty.zarr")
    padiff.convert(source, tmp_path / "empty.zarr", overwrite=True)
    assert before.items() <= everything(tmp_path).items()


def test_behind_a_url(tmp_path: Path) -> None:
    source = make(tmp_path / "run.zarr")
    url = f"memory://{tmp_path.name}/made.zarr"
    padiff.convert(source, url)
    with pytest.raises(OccupiedError, match="found a store: choose"):
        padiff.convert(source, url)
    with pytest.raises(OccupiedError, match="which lies in memory"):
        padiff.convert(source, f"{url}/step_8")
    padiff.convert(source, url, overwrite=True)
    assert padiff.verify(url).intact
    with pytest.raises(UsageError, match="a URL takes Zarr"):
        padiff.convert(source, f"memory://{tmp_path.name}/made.npz")
    change(source)
    with pytest.raises(CorruptError):
        padiff.convert(source, f"{url}2")
    with pytest.raises(LocationError, match="found none there"):
        padiff.open_dump(f"{url}2")


USAGE: list[tuple[Callable[[Path], object], type[PadiffError], str]] = [
    (lambda p: padiff.convert(p / "run.zarr", p / "run.zarr"), UsageError, "is the same"),
    (lambda p: padiff.convert(p / "run.zarr", p / "run.zarr/x.npz"), UsageError, "one inside"),
    (lambda p: padiff.convert(p / "run.zarr/step_0", p / "run.zarr"), UsageError, "one inside"),
    (lambda p: padiff.convert(p / "link", p / "run.zarr/a.h5"), UsageError, "one inside"),
    (lambda p: padiff.convert(p / "a.npz", p / "b.npz"), UsageError, "is the same"),
    (lambda p: padiff.convert(p / "a.npz", p / "run.zarr/b.h5"), OccupiedError, "which lies in"),
    (lambda p: padiff.convert(p / "a.npz", p / "run/step_9.h5"), OccupiedError, "which lies in"),
    (lambda p: padiff.convert(p / "no", p / "b.h5"), LocationError, "found nothing there"),
    (lambda p: padiff.convert(p / "run.zarr", p / "b.pt"), UsageError, "a path that ends in .zarr"),
    (lambda p: padiff.convert(p / "run.zarr", p / "b"), UsageError, "a path that ends in .zarr"),
    (lambda p: padiff.convert(p / "two.zarr", p / "c.npz"), UsageError, "step_0, step_1"),
    (lambda p: padiff.convert(p / "both", p / "c.npz"), UsageError, "report and grads: name one"),
    (
        lambda p: padiff.convert(p / "both", p / "c.h5", section="weights"),
        UsageError,
        "expected we",
    ),
    (lambda p: padiff.convert(p / "a.npz", p / "c.npz", chunk_bytes=9), UsageError, "chunk_bytes"),
    (lambda p: padiff.convert(p / "a.npz", p / "c.h5", compression="no"), UsageError, "expected"),
    (lambda p: padiff.convert(p / "a.npz", p / "c.h5", shard_bytes=2**30), UsageError, "shard"),
    (lambda p: padiff.convert(p / "begun.zarr", p / "c.h5"), IncompleteError, "expected at least"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What these name; nothing of it is changed."""
    path = tmp_path_factory.mktemp("place")
    make(path / "run.zarr")
    padiff.convert(path / "run.zarr", path / "run", format="hdf5")
    for step in (0, 1):
        make(path / "two.zarr", step)
    (path / "link").symlink_to("run.zarr")
    padiff.convert(path / "run.zarr/step_0", path / "a.npz")
    (path / "b.npz").hardlink_to(path / "a.npz")
    write_dump(path / "both", Layer("", "Net", out=Y))
    write_dump(path / "both", Layer("", "Net", grads={"w": Y}), section="grads")
    shutil.copytree(path / "run.zarr", path / "begun.zarr")
    (path / "begun.zarr/step_0/weights").rename(path / "begun.zarr/step_0/.weights.a.partial")
    return path


@pytest.mark.parametrize("number", range(len(USAGE)))
def test_what_cannot_be_meant_is_one_sentence(number: int, place: Path) -> None:
    before = everything(place)
    call, error, words = USAGE[number]
    with pytest.raises(error, match=words) as raised:
        call(place)
    assert "\n" not in str(raised.value)
    assert everything(place) == before
    assert not list(place.glob(".*"))


@destinations
def test_a_full_disk_is_one_sentence(destination: str, tmp_path: Path) -> None:
    large = Layer("", "Net", weights={"w": np.arange(2**19, dtype=np.float64)})
    source = write_dump(tmp_path / "run.zarr", large, section="weights")
    with tmpfs(tmp_path / "disk", "size=3m") as disk:
        with pytest.raises(WriteError, match="No space left on device, .* free space"):
            padiff.convert(source, disk / "deep/er" / destination)
        assert list(disk.iterdir()) == []


def test_no_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    source = make(tmp_path / "run.zarr")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(WriteError, match="Permission denied"):
        padiff.convert(source, tmp_path / "closed/made.h5")
