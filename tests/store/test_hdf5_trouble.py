"""What the HDF5 library makes trouble with: filters, full disks, files of strangers."""

import mmap
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import padiff
from padiff.errors import FormatError, UsageError
from padiff.store.hdf5 import file
from padiff.store.hdf5.seal import check_seal
from padiff.store.reader import open_dump, open_dumps
from padiff.store.storage import Storage
from tests.store.sections import write
from tests.store.test_refusals import tmpfs

ONE = {"layer": np.arange(6.0)}


def files(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


@pytest.mark.parametrize(
    "options", [{"options": [99]}, {"options": []}, {"level": 5}, {"options": [1, 2]}], ids=str
)
def test_options_that_no_filter_takes(tmp_path: Path, options: dict[str, Any]) -> None:
    storage = Storage(compression={"name": "gzip", **options})
    with pytest.raises(UsageError, match="expected"):
        write(tmp_path / "x.h5", ONE, storage=storage)
    assert not files(tmp_path)


@pytest.mark.parametrize("compression", ["gzip", "lzf", "szip"])
def test_what_a_filter_cannot_make_smaller(tmp_path: Path, compression: str) -> None:
    rng = np.random.default_rng(0)
    values = {"large": rng.standard_normal(5000), "small": np.ones(3), "one": np.ones(())}
    try:
        write(tmp_path / "x.h5", values, storage=Storage(compression=compression))
    except UsageError:
        pytest.skip(f"HDF5 has no {compression} here")
    report = open_dump(tmp_path / "x.h5").report
    for name, held in values.items():
        np.testing.assert_array_equal(np.asarray(report[name].forward[0]), held)


def test_a_full_disk_beneath_filtered_chunks_takes_no_process_down(tmp_path: Path) -> None:
    """HDF5 writes these itself, and crashed later when it could not."""
    script = """
import sys, warnings
import numpy as np, torch, padiff
model = padiff.create_model(torch.nn.Linear(300, 300), compression="gzip", chunk_bytes=2**16,
                            on_error="warn")
warnings.simplefilter("always")
for step in range(3):
    model(torch.rand(4, 300))
    assert model.try_dump(dir_path=sys.argv[1]) is None
print("went on")
"""
    with tmpfs(tmp_path / "disk", "size=256k") as root:
        command = [sys.executable, "-c", script, str(root / "x.h5")]
        done = subprocess.run(command, capture_output=True, text=True)
        left = files(root)
    assert done.stdout == "went on\n", done.stderr
    assert done.stderr.count("PadiffWarning: expected to write") == 3
    assert left == ["x.h5/padiff.json"]


def test_nothing_of_the_working_directory_is_run(tmp_path: Path) -> None:
    """A file without a seal is walked by a process, which looks for modules where ours are."""
    write(tmp_path / "x.h5", ONE)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file.attrs["note"] = 1
    for name in ("h5py", "numpy", "padiff"):
        (tmp_path / f"{name}.py").write_text("open('run', 'w')")
    command = [str(Path(sys.executable).with_name("padiff")), "verify", "x.h5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists()


def test_links_that_lead_round_are_no_dumps(tmp_path: Path) -> None:
    (tmp_path / "loop").mkdir()
    for name in ("step_0", "step_1"):
        (tmp_path / "loop" / name).symlink_to(".")
    with pytest.raises(FormatError, match=r"without zarr.json or any of these \(step_0, step_1\)"):
        open_dumps(tmp_path / "loop")


def test_a_file_that_is_dumped_again_while_it_is_opened_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, times = tmp_path / "run.h5", iter([1])

    def check_and_dump_again(held: mmap.mmap, where: str) -> bool:
        for value in times:
            write(run, {"layer": np.full(3, value)})
        return check_seal(held, where)

    write(run, {"layer": np.zeros(3)})
    monkeypatch.setattr(file, "check_seal", check_and_dump_again)
    assert np.asarray(padiff.open_dump(run).report["layer"].forward[0]).tolist() == [1, 1, 1]


def test_a_file_that_cannot_be_opened_is_told_once(tmp_path: Path) -> None:
    run = tmp_path / "run.h5"
    write(run, {"layer": np.zeros(3)}, step=0)
    (run / "step_0.h5").write_bytes(b"text")
    (damage,) = padiff.verify(run).damages
    assert damage.message == f"expected an HDF5 file at {run}/step_0.h5, found a file that is none"
