"""Dumps that are written while the model goes on: the same bytes, and no error lost."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import padiff
from padiff import create_model, open_dump
from padiff.errors import OccupiedError, PadiffWarning
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
    while proxy._recording._background and not proxy._recording._background._pending[0].done():
        pass
    return proxy


def test_errors_come_with_the_next_call(tmp_path: Path) -> None:
    proxy = failing(tmp_path)
    args, kwargs = ZOO["residual"].inputs("torch")
    with pytest.raises(OccupiedError, match="mine.txt|other files"):
        proxy(*args, **kwargs)
    proxy(*args, **kwargs)  # once
    proxy.dump_report(tmp_path / "run.zarr")
    proxy.flush()
    assert open_dump(tmp_path / "run.zarr").report.tree.roots


@pytest.mark.parametrize("call", ["dump_report", "dump_weights", "try_dump", "flush"])
def test_errors_come_with_any_call(call: str, tmp_path: Path) -> None:
    proxy = failing(tmp_path)
    with pytest.raises(OccupiedError):
        getattr(proxy, call)()


def test_errors_may_be_warnings(tmp_path: Path) -> None:
    proxy = failing(tmp_path, on_error="warn")
    with pytest.warns(PadiffWarning, match="nothing was changed"):
        proxy.flush()
    proxy.flush()


# Dumps in the background, and ends at once.
PROGRAM = """
import sys, torch, padiff
net = padiff.create_model(torch.nn.Linear(1000, 1000), background=True)
net(torch.ones(2000, 1000)).sum().backward()
net.try_dump(1, sys.argv[1])
{}
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "del net"])
def test_the_process_waits_for_what_is_unwritten(end: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(end), str(tmp_path / "run.zarr")]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == (3 if "3" in end else 0), ran.stderr
    assert ran.stderr == ""
    assert not padiff.verify(tmp_path / "run.zarr").damages
    assert open_dump(tmp_path / "run.zarr" / "step_0").sections == ("report", "params")


@pytest.mark.parametrize("end", ["", "del net"])
def test_an_error_that_nobody_asks_for_is_a_warning(end: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a user's")
    command = [sys.executable, "-c", PROGRAM.format(end), str(tmp_path)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "PadiffWarning: a dump in the background failed: expected" in ran.stderr
    assert "Traceback" not in ran.stderr
