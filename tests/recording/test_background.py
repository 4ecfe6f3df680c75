"""Dumps that are written while the model goes on: the same bytes, and no error lost."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import padiff
from padiff import create_model, open_dump
from padiff.errors import OccupiedError, PadiffWarning, UsageError
from padiff.store.reader import open_dumps
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)


def spoil(framework: str, model: Any) -> None:
    """Change every parameter and gradient in place, as an optimizer may at once."""
    for parameter in SIDES[framework].named_parameters(model).values():
        for tensor in (parameter, parameter.grad):
            if tensor is not None:
                tensor.detach().zero_()


@both
@pytest.mark.parametrize("limit", ["1GiB", 0], ids=["memory", "disk"])
def test_a_dump_holds_what_was_when_it_was_asked_for(
    framework: str, limit: str | int, tmp_path: Path
) -> None:
    stores = []
    for background in (False, True):
        model = ZOO["residual"].build(framework)
        proxy = create_model(model, "m", background=background, memory_limit=limit)
        stores.append(tmp_path / f"{background}.zarr")
        for seed in range(3):
            args, kwargs = ZOO["residual"].inputs(framework, seed)
            out = proxy(*args, **kwargs)
            proxy.backward(SIDES[framework].loss(out), retain_graph=True)
            proxy.dump_report(stores[-1], step=100 + seed)
            proxy.backward(SIDES[framework].loss(out))  # of which that one must know nothing
            proxy.try_dump(1, stores[-1])
            spoil(framework, model)
            proxy.dump_weights(stores[-1], step=seed)
            proxy.dump_grads(stores[-1], step=seed)
            proxy.update_black_list(list(SIDES[framework].named_layers(model).values())[-1])
        proxy.flush()
    found = padiff.compare(*stores, mode="strict", atol=0, rtol=0)
    assert found.aligned
    assert found.totals.identical == found.totals.compared
    ours, theirs = (open_dumps(store).dumps for store in stores)
    assert ours.keys() == theirs.keys()
    for key, dump in ours.items():
        assert dump.sections == theirs[key].sections
        for name in dump.sections:
            assert dump.section(name).tree == theirs[key].section(name).tree


def failing(tmp_path: Path, *, on_error: str = "raise") -> padiff.ProxyModel:
    """A proxy whose dump has failed in the background by now."""
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "mine.txt").write_text("a user's")
    proxy = create_model(
        ZOO["residual"].build("torch"),
        background=True,
        on_error=on_error,  # type: ignore[arg-type]
    )
    proxy.dump_weights(occupied)
    wait_for(proxy)
    return proxy


def wait_for(proxy: padiff.ProxyModel) -> None:
    """Wait for what was asked for in the background, without being told what became of it."""
    assert proxy._recording._background is not None
    wait(proxy._recording._background._pending)


FORK = """
import os, sys, padiff, torch
net = padiff.create_model(torch.nn.ReLU(), background=True, memory_limit=0)
net(torch.ones(3))
net.dump_report(sys.argv[1] + "/parent")
child = os.fork()
net.clear_report()
net(torch.ones(5))
net.dump_report(sys.argv[1] + ("/again" if child else "/child"))
net.flush()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without forks")
def test_a_fork_dumps_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK, str(tmp_path)]
    subprocess.run(command, check=True, timeout=60, cwd=tmp_path, capture_output=True)
    for name, size in (("parent", 3), ("again", 5), ("child", 5)):
        (tensor,) = (open_dump(tmp_path / name).report[""].forward[0],)
        assert tensor.shape == (size,)


def test_errors_come_with_the_next_call(tmp_path: Path) -> None:
    proxy = failing(tmp_path)
    args, kwargs = ZOO["residual"].inputs("torch")
    with pytest.raises(OccupiedError, match="mine.txt|other files"):
        proxy(*args, **kwargs)
    proxy(*args, **kwargs)  # once
    proxy.dump_report(tmp_path / "run.zarr")
    proxy.flush()
    assert open_dump(tmp_path / "run.zarr").report.tree.roots


@pytest.mark.parametrize("call", ["dump_weights", "dump_grads", "flush"])
def test_errors_come_with_any_call(call: str, tmp_path: Path) -> None:
    padiff.set_dump_root_path(tmp_path / "root")
    proxy = failing(tmp_path)
    with pytest.raises(OccupiedError):
        getattr(proxy, call)()
    proxy.flush()


def test_an_error_takes_nothing_from_the_step_that_tells_it(tmp_path: Path) -> None:
    proxy = create_model(ZOO["residual"].build("torch"), background=True)
    args, kwargs = ZOO["residual"].inputs("torch")
    for step in range(4):
        proxy(*args, **kwargs)
        if step == 1:
            (tmp_path / "occupied").mkdir()
            (tmp_path / "occupied" / "mine.txt").write_text("a user's")
            proxy.dump_weights(tmp_path / "occupied")
            wait_for(proxy)
        with pytest.raises(OccupiedError) if step == 1 else nullcontext():
            proxy.try_dump(1, tmp_path / "run")
    proxy.flush()
    found = open_dumps(tmp_path / "run").dumps
    assert [len(dump.report.tree.roots) for dump in found.values()] == [1, 1, 1, 1]
    assert [step for step, _ in found] == [0, 1, 2, 3]


def test_an_error_of_the_call_itself_comes_first(tmp_path: Path) -> None:
    """Whether it is one, or an interrupt: the earlier one is told by the call that follows."""
    proxy = failing(tmp_path)
    with pytest.raises(UsageError, match="found none"):
        proxy.try_dump(1, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), proxy._telling():
        raise KeyboardInterrupt
    with pytest.raises(OccupiedError):
        proxy.flush()
    proxy.flush()


def test_what_an_untold_error_was_to_write_is_let_go(tmp_path: Path) -> None:
    held = [failing(tmp_path)]
    background = held[0]._recording._background
    assert background is not None
    pending = background._pending
    del background
    assert len(pending) == 1
    with pytest.warns(PadiffWarning, match="in the background failed"):
        held.clear()
    assert not pending


def test_errors_may_be_warnings(tmp_path: Path) -> None:
    proxy = failing(tmp_path, on_error="warn")
    with pytest.warns(PadiffWarning, match="nothing was changed"):
        proxy.flush()
    proxy.flush()


# Dumps in the background, and ends at once.
PROGRAM = """
import sys, torch, padiff
net = padiff.create_model(torch.nn.Linear(1000, 1000), background=True)
for step in range({}):
    net(torch.ones(2000, 1000)).sum().backward()
    net.try_dump(1, sys.argv[1])
{}
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "del net"])
def test_the_process_waits_for_what_is_unwritten(end: str, tmp_path: Path) -> None:
    """Several dumps wait then, of which each needs threads of its own."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        PROGRAM.format(4, end),
        str(tmp_path / "run.zarr"),
    ]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == (3 if "3" in end else 0), ran.stderr
    # which it says where that takes long
    assert ran.stderr == "" or "dumps are still to be written before the process ends" in ran.stderr
    assert ran.stderr.count("\n") <= 1
    assert not padiff.verify(tmp_path / "run.zarr").damages
    found = open_dumps(tmp_path / "run.zarr").dumps
    assert [dump.sections for dump in found.values()] == [("report", "params")] * 4


@pytest.mark.parametrize("end", ["", "del net"])
def test_an_error_that_nobody_asks_for_is_a_warning(end: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a user's")
    command = [sys.executable, "-c", PROGRAM.format(1, end), str(tmp_path)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "PadiffWarning: a dump in the background failed: expected" in ran.stderr
    assert "Traceback" not in ran.stderr


# A training of which much is unwritten when it is interrupted, at its end.
LONG = """
import sys, torch, padiff
net = torch.nn.Sequential(*[torch.nn.Linear(256, 256) for _ in range(40)])
model = padiff.create_model(net, background=True)
for step in range(4):
    model.backward(model(torch.randn(64, 256)).sum())
    model.try_dump(1, sys.argv[1])
print("all asked for", flush=True)
model.flush()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="which has no such signal")
@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
@pytest.mark.parametrize("between", [0.05, 0.2, 0.4])
def test_interrupts_at_the_end_leave_whole_dumps(
    suffix: str, between: float, tmp_path: Path
) -> None:
    """The second comes while the process waits for its dumps, and a third right after."""
    run = tmp_path / f"run{suffix}"
    with subprocess.Popen(
        [sys.executable, "-c", LONG, str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "all asked for\n"
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(between)
        _, told = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert [path for path in tmp_path.rglob(".*") if path.name.endswith(".partial")] == []
    steps = open_dumps(run).dumps
    assert [dump.sections for dump in steps.values()] == [("report", "params")] * len(steps)
    if len(steps) < 4:  # or all was written before the process waited for it
        assert "are left out, the one that was begun is finished" in told
        assert "Exception ignored" not in told
    assert not padiff.verify(run).damages
