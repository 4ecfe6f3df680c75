"""What a file system refuses is one sentence with its cure, and harms nothing dumped before."""

import copy
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

import padiff
from padiff.errors import (
    LocationError,
    PadiffError,
    PadiffWarning,
    UsageError,
    WriteError,
)
from padiff.store.reader import open_dump, open_dumps
from padiff.store.writer import claim_store
from tests.store.sections import write

LONG = "x" * 300


@contextmanager
def mounted(place: Path, *command: str) -> Iterator[Path]:
    """A file system of a test's own, where the machine lets us."""
    place.mkdir()
    done = subprocess.run(["mount", *command, str(place)], capture_output=True, text=True)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert not done.returncode, done.stderr
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def tmpfs(place: Path, options: str) -> Iterator[Path]:
    with mounted(place, "-t", "tmpfs", "-o", options, "tmpfs") as root:
        yield root


def everything(path: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in path.rglob("*")}


def fill(root: Path) -> None:
    with suppress(OSError), (root / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def refused(store: Path, size: int, step: int = 1) -> str:
    """The error of a dump that fails; what was dumped before is as it was, and nothing is new.

    The group of a step that could be made may stay: it holds nothing.
    """
    before = everything(store)
    with pytest.raises(WriteError, match="what was dumped before is intact") as caught:
        write(store, {"layer": np.ones(3), "big": np.ones(size)}, step=step)
    assert {*everything(store)} - {*before} <= {
        f"{store}/step_{step}",
        f"{store}/step_{step}/zarr.json",
    }
    assert everything(store).items() >= before.items()
    return str(caught.value)


def test_a_full_disk(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=4m") as root:
        store = root / "run.zarr"
        write(store, {"layer": np.ones(3)}, step=0)
        for step in (0, 1):
            message = refused(store, 2**20, step)
            assert "expected to write 8388608 bytes to " in message
            assert f"{store}/step_{step}/.report." in message
            assert "No space left on device, " in message
            assert "bytes are free; free space or choose another place" in message
        write(store, {"layer": np.ones(3)}, step=1)
        assert list(open_dumps(store).dumps) == [(0, None), (1, None)]


def test_a_disk_on_which_nothing_fits(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=64k") as root:
        store = root / "run.zarr"
        write(store, {"layer": np.ones(3)}, step=0)
        fill(root)
        assert " 0 bytes are free" in refused(store, 1)
        assert not (store / "step_1").exists()
        assert open_dump(store / "step_0").report["layer"].forward[0][0] == 1


def test_a_disk_without_inodes(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=4m,nr_inodes=20") as root:
        write(root / "run.zarr", {"layer": np.ones(3)}, step=0)
        message = refused(root / "run.zarr", 1)
        assert "no inodes are left for files; remove files or choose another place" in message


def test_a_disk_mounted_for_reading(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=4m") as root:
        write(root / "run.zarr", {"layer": np.ones(3)}, step=0)
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        for step in (0, 1):
            message = refused(root / "run.zarr", 1, step)
            assert "Read-only file system; have it mounted for writing" in message
            assert f"{root}/run.zarr/step_{step}" in message
        assert open_dump(root / "run.zarr/step_0").report["layer"].forward[0][0] == 1


def test_a_disk_that_fails_when_it_is_flushed(tmp_path: Path) -> None:
    """The file system has room, but what it lies on has none: only the flush is told so."""
    with tmpfs(tmp_path / "thin", "size=24m") as thin:
        image = thin / "image"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]
        try:
            subprocess.run(["mkfs.ext4", *options, "-J", "size=4", str(image)], check=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no ext4 can be made here: {error}")
        with mounted(tmp_path / "disk", "-o", "loop", str(image)) as root:
            store = root / "run.zarr"
            write(store, {"layer": np.ones(3)}, step=0)
            before = everything(store / "step_0")
            with pytest.raises(WriteError, match=r"to write \d{8} bytes to .*/step_1/.report."):
                write(store, {"layer": np.ones(4 << 20)}, step=1)
            assert everything(store / "step_0") == before
            # the file system may refuse to remove what is half done as well
            found = open_dumps(store).dumps
            assert [key for key, dump in found.items() if dump.sections] == [(0, None)]


def test_too_long_a_path(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="File name too long; choose a shorter path"):
        write(tmp_path / LONG / "run.zarr", {"layer": np.ones(3)})
    with pytest.raises(WriteError, match="File name too long; choose a shorter path"):
        claim_store(tmp_path / LONG, "Net", framework="torch", run="a")
    with pytest.raises(LocationError, match="cannot be read: File name too long"):
        open_dump(tmp_path / LONG)
    home = claim_store(tmp_path, LONG, framework="torch", run="a")
    write(home, {"layer": np.ones(3)})
    assert open_dump(home).report["layer"].forward[0][0] == 1


def test_too_many_open_files(tmp_path: Path) -> None:
    write(tmp_path / "run.zarr", {"layer": np.ones(3)}, step=0)
    low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
    messages = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, high))
    try:
        for dump in (
            lambda: write(tmp_path / "run.zarr", {"layer": np.ones(3)}, step=0),
            lambda: write(tmp_path / "new.zarr", {"layer": np.ones(3)}, step=0),
            lambda: claim_store(tmp_path, "Net", framework="torch", run="a"),
            lambda: open_dump(tmp_path / "run.zarr"),
        ):
            with pytest.raises(PadiffError) as caught:
                dump()
            messages.append(str(caught.value))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, high))
    assert all("Too many open files; close files or raise their limit" in m for m in messages)
    assert {path.name for path in tmp_path.iterdir()} == {"run.zarr"}
    write(tmp_path / "run.zarr", {"layer": np.ones(3)}, step=0)


AS_NOBODY = """
import os, sys
from pathlib import Path
from padiff.errors import PadiffError
from padiff.store.writer import DumpWriter, claim_store
os.setuid(65534)
for dump in (
    lambda: DumpWriter(sys.argv[1], "report", step=0),
    lambda: DumpWriter(sys.argv[1] + "/new.zarr", "report", step=0),
    lambda: claim_store(Path(sys.argv[1]), "Net", framework="torch", run="a"),
):
    try:
        dump()
    except PadiffError as error:
        print(error)
"""


def test_a_directory_that_is_closed_to_us(tmp_path: Path) -> None:
    """As root anything may be written: so as nobody."""
    if os.getuid():
        pytest.skip("only root can become nobody")
    with tmpfs(tmp_path / "disk", "mode=700") as root:
        command = [sys.executable, "-c", AS_NOBODY, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert done.stdout.count("Permission denied; ask for permission") == 3


def train(
    root: Path, steps: int, **options: object
) -> tuple[list[str | Path | None], padiff.ProxyModel]:
    """A training loop of a real model that dumps each step; a file fills the disk in between."""
    torch.manual_seed(0)
    model = padiff.create_model(torch.nn.Linear(8, 8), **options)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(model.model.parameters(), 0.1)
    written = []
    for step in range(steps):
        if step == 1:
            fill(root)
        elif step == 3:
            (root / "full").unlink()
        model.backward(model(torch.ones(2, 8)).sum())
        written.append(model.try_dump(dir_path=root / "run.zarr"))
        optimizer.step()
        optimizer.zero_grad()
    return written, model


def test_a_training_goes_on_without_its_dumps(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=1m") as root:
        with pytest.warns(PadiffWarning, match="No space left on device") as warned:
            written, model = train(root, 5, on_error="warn")
        home = root / "run.zarr"
        assert written == [home / "step_0", None, None, home / "step_3", home / "step_4"]
        assert len(warned) == 2
        assert {Path(warning.filename) for warning in warned} == {Path(__file__)}
        for step in (0, 3, 4):
            assert len(open_dump(home / f"step_{step}").report.tree.roots) == 1
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        for dump in (model.dump_params, model.dump_weights, model.dump_grads):
            with pytest.warns(PadiffWarning, match="Read-only file system"):
                dump(home, step=9)
        with pytest.raises(UsageError, match="expected a recorded call"):
            model.dump_report(home)


def test_a_training_stops_where_nothing_else_was_said(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=1m") as root:
        with pytest.raises(WriteError, match="No space left on device"):
            train(root, 5)
        assert list(open_dumps(root / "run.zarr").dumps) == [(0, None)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"on_error": "ignore"}, "expected on_error to be 'raise' or 'warn', got 'ignore'"),
        ({"format": "npy"}, "expected the format zarr or hdf5, got 'npy'"),
        ({"chunk_bytes": 0}, "expected chunk_bytes to be a number of bytes from 1, got 0"),
        ({"shard_bytes": 5}, "expected shard_bytes of at least a chunk"),
    ],
)
def test_options_are_checked_at_once(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        padiff.create_model(torch.nn.Linear(1, 1), **options)  # type: ignore[arg-type]


def test_options_reach_the_store(tmp_path: Path) -> None:
    model = padiff.create_model(torch.nn.Linear(16, 16), chunk_bytes=256, durable=False)
    for proxy in (model, copy.copy(model)):
        proxy.dump_weights(tmp_path / "run.zarr")
        assert open_dump(tmp_path / "run.zarr").weights[""].weight["weight"].chunk_shape == (4, 16)
