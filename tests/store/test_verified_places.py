"""What `padiff verify` says of whole files, of what is not there and of what it cannot look at."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from fsspec.implementations.memory import MemoryFileSystem

import padiff
from padiff.cli.commands import group
from padiff.errors import FormatError, LocationError
from padiff.store.address import Location, below
from padiff.store.storage import Storage
from tests.store.backends import LOCAL, Backend, on
from tests.store.sections import write


def test_what_is_not_installed_is_no_damage(tmp_path: Path) -> None:
    run = tmp_path / "run.zarr"
    write(run, {"layer": np.ones(100)}, storage=Storage(compression="zstd"))
    script = """
import sys
sys.modules["zarr"] = None  # as where it cannot be imported
from padiff.cli import main
main()
"""
    command = [sys.executable, "-c", script, "verify", str(run)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("padiff verify: expected zarr to be there")
    assert done.stderr.count("\n") == 1


@on("hdf5", "zip")  # others are files that each have a digest
def test_a_file_without_its_seal_is_told(run: Location, files: Path, backend: Backend) -> None:
    write(run, {"layer": np.ones(3)}, step=0)
    (file,) = [
        path for path in files.rglob("*") if path.is_file() and path.suffix in (".h5", ".zip")
    ]
    if backend.name == "zip":
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b""
    else:
        with h5py.File(file, "a") as stored:
            stored.attrs["note"] = "another tool was here"
    found = padiff.verify(run)
    assert found.intact
    assert found.uncovered == (str(file if backend.name == "zip" else file.with_suffix("")),)
    out = CliRunner().invoke(group, ["verify", str(run)]).stdout
    assert out.startswith(f"without a seal: {found.uncovered[0]}, which another tool has rewritten")
    if backend.name == "hdf5":
        with h5py.File(file, "a") as stored:
            root = json.loads(stored.attrs["padiff"])
            stored.attrs["padiff"] = json.dumps({**root, "digest": "0" * 32})
        (damage,) = padiff.verify(run).damages
        assert "the digest that it gives" in damage.message


@on("zarr", "hdf5", "zip", "s3")
def test_a_step_that_is_not_there(run: Location) -> None:
    write(run, {"layer": np.ones(3)}, step=4)
    for name in ("step_9", "step_9/report", "step_4/params", "step_4/rank_0/report"):
        with pytest.raises(LocationError):
            padiff.verify(below(run, name))


@on(*LOCAL)
def test_a_root_that_is_cut_short_is_damage(run: Location, files: Path, backend: Backend) -> None:
    write(run, {"layer": np.ones(3)})
    name = {"zarr": "run.zarr/zarr.json", "hdf5": "run.h5", "zip": "run.zarr.zip"}[backend.name]
    os.truncate(files / name, (files / name).stat().st_size // 2)
    assert len(padiff.verify(run).damages) == 1
    if backend.name == "zarr":
        (files / name).unlink()
        (damage,) = padiff.verify(run).damages
        assert "found report/zarr.json of a padiff store without its root" in damage.message


def test_a_file_by_its_own_name(tmp_path: Path) -> None:
    write(tmp_path / "d", {"layer": np.ones(3)}, storage=Storage(format="hdf5"))
    write(tmp_path / "lone.h5", {"layer": np.ones(3)})
    for name in ("d", "d/dump.h5", "lone.h5", "lone.h5/report"):
        assert padiff.verify(tmp_path / name).intact


def test_a_project_is_no_damaged_store(tmp_path: Path) -> None:
    for name in ("weights", "step_3"):
        (tmp_path / name).mkdir()
    with pytest.raises(FormatError, match=r"a directory without zarr.json"):
        padiff.verify(tmp_path)


def test_a_server_that_refuses_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = f"memory://{tmp_path.name}/run.zarr"
    write(run, {"layer": np.ones(3)})
    cat = MemoryFileSystem.cat_file

    def refuse(self: MemoryFileSystem, path: str, *arguments: Any, **options: Any) -> bytes:
        if "/c." in path:
            raise PermissionError("Forbidden")
        found: bytes = cat(self, path, *arguments, **options)
        return found

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    (damage,) = padiff.verify(run).damages
    assert damage.denied
    assert "cannot be reached: Forbidden" in damage.message


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.zarr").symlink_to("loop.zarr")
    for use in padiff.verify, padiff.open_dump:
        with pytest.raises(LocationError, match="a link that leads nowhere"):
            use(tmp_path / "loop.zarr")
