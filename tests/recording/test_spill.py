"""Reports that do not fit into memory: on the disk while the model runs, then in the dump."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import padiff
from padiff import ProxyModel, create_model, open_dump
from padiff.errors import WriteError
from padiff.store.leftovers import PARTIAL
from tests.recording.runs import each_tensor
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)
suffixes = pytest.mark.parametrize("suffix", [".zarr", ".h5", ".zarr.zip"])
ways = pytest.mark.parametrize("background", [False, True], ids=["at once", "background"])


@pytest.fixture(autouse=True)
def root(tmp_path: Path) -> Iterator[Path]:
    before = padiff.get_dump_root_path()
    padiff.set_dump_root_path(tmp_path / "root")
    yield tmp_path / "root"
    padiff.set_dump_root_path(before)


def step(proxy: ProxyModel, seed: int = 0) -> None:
    args, kwargs = ZOO["residual"].inputs(proxy.framework, seed)
    proxy.backward(SIDES[proxy.framework].loss(proxy(*args, **kwargs)))


def spills(where: Path) -> list[Path]:
    return [path for path in where.rglob(f".spill*{PARTIAL}") if path.is_dir()]


@both
@suffixes
@ways
def test_a_spilled_report_is_dumped_as_any_other(
    framework: str, suffix: str, background: bool, tmp_path: Path, root: Path
) -> None:
    model = ZOO["residual"].build(framework)
    held = create_model(model, "m")
    spilling = create_model(model, "m", memory_limit=300, background=background)
    assert not spills(tmp_path)
    for seed in range(3):
        for proxy, name in ((held, "held"), (spilling, "spilled")):
            (model.zero_grad if framework == "torch" else model.clear_gradients)()
            step(proxy, seed)
            assert bool(spills(tmp_path)) == (proxy is spilling)
            proxy.try_dump(1, tmp_path / f"{name}{suffix}")
        spilling.flush()
        assert not spills(tmp_path)
    found = padiff.compare(
        tmp_path / f"held{suffix}", tmp_path / f"spilled{suffix}", mode="strict", atol=0, rtol=0
    )
    assert found.aligned
    assert found.totals.identical == found.totals.compared
    verified = padiff.verify(tmp_path / f"spilled{suffix}")
    assert not verified.damages
    assert not verified.uncovered
    ours, theirs = (
        open_dump(tmp_path / f"{name}{suffix}" / "step_2").report.tree
        for name in ("held", "spilled")
    )
    assert ours == theirs


@suffixes
def test_a_report_that_stays_is_dumped_again(suffix: str, tmp_path: Path) -> None:
    proxy = create_model(ZOO["residual"].build("torch"), memory_limit=0)
    step(proxy)
    for name in ("first", "second"):
        proxy.dump_report(tmp_path / f"{name}{suffix}")
    assert spills(tmp_path)
    found = padiff.compare(
        tmp_path / f"first{suffix}", tmp_path / f"second{suffix}", mode="strict", atol=0, rtol=0
    )
    assert found.aligned
    proxy.clear_report()
    assert not spills(tmp_path)
    assert not padiff.verify(tmp_path / f"second{suffix}").damages


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_nothing_is_copied_on_the_way_into_the_dump(suffix: str, tmp_path: Path) -> None:
    proxy = create_model(ZOO["residual"].build("torch"), memory_limit=0)
    step(proxy)
    proxy.try_dump(1, tmp_path / f"run{suffix}")  # from now on it is known where dumps go
    step(proxy)
    names = {".zarr": "c*", ".h5": "*.h5"}[suffix]
    spilled = {
        file.stat().st_ino
        for spill in spills(tmp_path)
        for file in spill.rglob(names)
        if file.is_file()
    }
    assert spilled
    proxy.try_dump(1, tmp_path / f"run{suffix}")
    dumped = {
        file.stat().st_ino for file in (tmp_path / f"run{suffix}").rglob(names) if file.is_file()
    }
    assert spilled <= dumped


@both
def test_gradients_of_several_passes_are_added_up_on_the_disk_too(
    framework: str, tmp_path: Path
) -> None:
    side = SIDES[framework]
    model = ZOO["residual"].build(framework)
    found = []
    for limit in ("1GiB", 0):
        proxy = create_model(model, memory_limit=limit)
        args, kwargs = ZOO["residual"].inputs(framework)
        out = proxy(*args, **kwargs)
        proxy.backward(side.loss(out), retain_graph=True)
        proxy.backward(side.loss(out) * 3)
        proxy.dump_report(tmp_path / f"{limit}.zarr")
        report = open_dump(tmp_path / f"{limit}.zarr").report
        found.append({key[:3]: key[3] for key in each_tensor(report, "backward")})
    assert found[0]
    assert found[0].keys() == found[1].keys()
    for key, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][key])


def test_what_there_is_no_room_for_is_told_when_it_is_dumped(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.write_text("a file")  # no directory can be made here
    monkeypatch.setattr(tempfile, "tempdir", str(root / "below"))
    model = ZOO["residual"].build("torch")
    args, kwargs = ZOO["residual"].inputs("torch")
    proxy = create_model(model, memory_limit=0)
    np.testing.assert_array_equal(  # the model runs on all the same
        SIDES["torch"].numpy(proxy(*args, **kwargs)), SIDES["torch"].numpy(model(*args, **kwargs))
    )
    with pytest.raises(WriteError, match="expected to write to .*root"):
        proxy.dump_report(tmp_path / "run.zarr")
    assert not (tmp_path / "run.zarr").exists()
    step(proxy)
    with pytest.raises(WriteError):
        proxy.try_dump(1, tmp_path / "run.zarr")
    root.unlink()
    step(proxy)  # the report was cleared, and what follows is another
    assert proxy.try_dump(1, tmp_path / "run.zarr") == tmp_path / "run.zarr" / "step_1"


# Records reports of many times the memory that it may take, and prints by how many bytes the most
# that its process ever held grew meanwhile.
RECORD = """
import sys
import torch
import padiff

def peak():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

limit, layers, where, background = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
net = torch.nn.Sequential(*[torch.nn.ReLU() for _ in range(layers)])
x = torch.ones(2**23 + 2**10)  # so large that no heap, which may fall to pieces, holds it
with torch.no_grad():
    net(x)
    small = padiff.create_model(torch.nn.ReLU(), memory_limit=limit)
    small(x[:8])
    small.dump_report(where + "/small")
    before = peak()
    proxy = padiff.create_model(net, memory_limit=limit, background=background == "True")
    for _ in range(2):
        proxy(x)
        proxy.try_dump(1, where + "/" + sys.argv[5])
    proxy.flush()
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory on Linux alone")
@pytest.mark.parametrize(("suffix", "background"), [(".zarr", False), (".h5", True)])
def test_memory_stays_below_its_limit(suffix: str, background: bool, tmp_path: Path) -> None:
    """Reports of 460 MiB in 192 MiB of memory, and a fifth of that for all else."""
    limit = 192 * 2**20
    arguments = [str(limit), "14", str(tmp_path), str(background), f"run{suffix}"]
    command = [sys.executable, "-W", "error", "-c", RECORD, *arguments]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(ran.stdout) < 1.2 * limit
    assert open_dump(tmp_path / f"run{suffix}" / "step_1").report.tree.roots
    assert not spills(tmp_path)


def test_where_the_dump_root_cannot_be_written_there_is_another_place(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.write_text("a file")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    proxy = create_model(ZOO["residual"].build("torch"), memory_limit=0)
    step(proxy)
    assert spills(tmp_path / "temporary")
    assert proxy.try_dump(1, tmp_path / "run.zarr")
    assert not spills(tmp_path)


def test_directories_made_for_a_spill_are_removed(root: Path, tmp_path: Path) -> None:
    proxy = create_model(ZOO["residual"].build("torch"), memory_limit=0)
    step(proxy)
    assert spills(root)
    proxy.try_dump(1, tmp_path / "run.zarr")
    assert not root.exists()


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_sums_leave_parts_behind_that_no_dump_holds(
    suffix: str, compression: str | None, tmp_path: Path
) -> None:
    proxy = create_model(ZOO["residual"].build("torch"), memory_limit=0, compression=compression)
    for _ in range(2):
        args, kwargs = ZOO["residual"].inputs("torch")
        out = proxy(*args, **kwargs)
        for _ in range(2):
            proxy.backward(SIDES["torch"].loss(out), retain_graph=True)
        proxy.try_dump(1, tmp_path / f"run{suffix}")
    verified = padiff.verify(tmp_path / f"run{suffix}")
    assert not verified.damages
    assert not verified.uncovered


def test_parameters_in_the_background_leave_nothing(tmp_path: Path) -> None:
    proxy = create_model(ZOO["residual"].build("torch"), memory_limit=0, background=True)
    for number in range(3):
        proxy.dump_weights(tmp_path / f"{number}.zarr")
        proxy.flush()
        assert not spills(tmp_path)


def test_what_a_killed_process_spilled_is_removed_by_the_next(tmp_path: Path) -> None:
    program = """
import os, signal, sys, padiff, torch
padiff.set_dump_root_path(sys.argv[1])
proxy = padiff.create_model(torch.nn.ReLU(), memory_limit=0)
proxy(torch.ones(3))
os.kill(os.getpid(), signal.SIGKILL)
"""
    where = tmp_path / "root"
    subprocess.run([sys.executable, "-c", program, str(where)], check=False, capture_output=True)
    left = spills(where)
    assert len(left) == 1
    proxy = create_model(ZOO["residual"].build("torch"), memory_limit=0)
    step(proxy)
    assert len(spills(where)) == 1
    assert spills(where) != left


FORK = """
import os, sys, torch, padiff
from padiff.errors import WriteError
net = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(50)])
for does in ("ends", "ends late", "clears", "dumps"):
    run = f"{does}{sys.argv[1]}"
    proxy = padiff.create_model(net, memory_limit=0, durable=False)
    proxy(torch.randn(512, 4))
    child = os.fork()
    if child == 0:
        if does == "dumps":
            try:
                proxy.try_dump(1, run)
            except WriteError as error:
                print(does, error)
        elif does == "clears":
            proxy.clear_report()
            os._exit(0)
        sys.exit()
    if does != "ends late":
        os.waitpid(child, 0)
    proxy.try_dump(1, run)
    if does == "ends late":
        os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without forks")
@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_a_fork_takes_nothing_of_what_its_parent_spilled(suffix: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK, suffix]
    ran = subprocess.run(
        command, check=True, timeout=60, capture_output=True, text=True, cwd=tmp_path
    )
    (told,) = ran.stdout.splitlines()
    assert told.startswith(
        "dumps expected to dump what this process has recorded, got what another"
    )
    for does in ("ends", "ends late", "clears", "dumps"):
        run = tmp_path / f"{does}{suffix}"
        assert not padiff.verify(run).damages
        assert len(list(open_dump(run / "step_0").report.tree.walk())) == 51
