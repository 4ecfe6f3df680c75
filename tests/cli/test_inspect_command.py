"""`padiff inspect` and `padiff diff-tree`: what they print where, and their exit codes."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from padiff import create_model, diff_tree, inspect
from padiff.cli.commands import group
from tests.cli.slow import SLOW
from tests.cli.terminal import without_styles
from tests.stores import Layer, write_dump

Y = np.arange(12, dtype=np.float32).reshape(3, 4)
NAN = np.where(Y == 5, np.nan, Y).astype(np.float32)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def net(out: np.ndarray = Y, kind: str = "Linear") -> Layer:
    return Layer("", "Net", out=out, children=[Layer("fc", kind, out=out)])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_dump(tmp_path / "base.zarr", net(NAN), step=3)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_dump(tmp_path / "other.h5", net(kind="Conv2d"), step=3)


def test_inspecting_exits_0_and_prints_the_text(base: Path, other: Path) -> None:
    for location in (base, other):
        result = run("inspect", location)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith(str(location))
        assert ("NaN in 2 of 2 tensors" in result.stdout) == (location == base)
    assert "min       max      mean        L2" in run("inspect", base, "--stats").stdout
    assert "fc (Linear)\n" in run("inspect", base, "--layer", "fc").stdout


def test_inspection_as_a_document(base: Path) -> None:
    result = run("inspect", base, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document == json.loads(json.dumps(inspect(base).to_json()))
    assert document["schema"] == "padiff-inspection/1"
    assert document["first_nonfinite"]["class"] == "Linear"
    (shown,) = document["shown"]
    assert [layer["route"] for layer in shown["layers"]] == ["", "fc"]
    (tensor,) = shown["layers"][1]["tensors"]
    assert (tensor["shape"], tensor["dtype"], tensor["bytes"]) == ([3, 4], "float32", 48)
    assert tensor["stats"]["nan"] == 1


def test_differences_as_a_document(base: Path, other: Path) -> None:
    result = run("diff-tree", base, other, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document == json.loads(json.dumps(diff_tree(base, other).to_json()))
    assert document["schema"] == "padiff-tree-difference/1"
    assert document["same"] is False
    kinds = [(found["kind"], found["base"]["class"]) for found in document["differences"]]
    assert kinds == [("layer", "Linear"), ("layer", None)]
    assert document["totals"] == {
        "dumps": 1,
        "layers": 1,
        "tensors": 1,
        "differences": 2,
        "not_counted": 0,
    }


def test_names_that_differ_are_changed_by_the_options_of_check(tmp_path: Path) -> None:
    for name in ("fc.weight", "x.fc.weight"):
        np.savez(tmp_path / f"{name}.npz", **{name: Y})  # type: ignore[arg-type]  # names
    (tmp_path / "names.csv").write_text("base,raw\nfc.weight,x.fc.weight\n")
    both = tmp_path / "fc.weight.npz", tmp_path / "x.fc.weight.npz"
    for command in ("diff-tree", "check"):
        assert run(command, *both).exit_code != 0
        assert run(command, *both, "--rename", r"^x\.=").exit_code == 0
        assert run(command, *both, "--map", tmp_path / "names.csv").exit_code == 0


def test_exit_codes_of_differences(base: Path, other: Path) -> None:
    assert run("diff-tree", base, base).exit_code == 0
    different = run("diff-tree", base, other)
    assert different.exit_code == 1
    assert different.stdout.startswith("NOT THE SAME STRUCTURE: 2 layers on one side only")
    assert run("diff-tree", base, other, "--layer", "").exit_code == 0  # the model itself


def test_bad_input_gets_one_line_and_exit_2(tmp_path: Path, base: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    damaged = write_dump(tmp_path / "damaged", net())
    (damaged / "report/zarr.json").write_text("{}")
    cases: list[tuple[list[str | Path], str]] = [
        (["inspect", tmp_path / "no"], "found nothing there"),
        (["inspect", empty], "it is empty"),
        (["inspect", damaged], "expected "),
        (["inspect", base, "--layer", "no*"], "route fits no*"),
        (["inspect", base / "step_4"], "found nothing there"),
        (["diff-tree", base, tmp_path / "no"], "found nothing there"),
        (["diff-tree", base, damaged], "expected "),
        (["diff-tree", base, base, "--layer", "no*"], "route fits no*"),
    ]
    for arguments, words in cases:
        result = run(*arguments)
        assert result.exit_code == 2
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith(f"padiff {arguments[0]}: ")
        assert result.stdout == ""


def test_damage_beside_what_can_be_shown(base: Path) -> None:
    write_dump(base, net(), step=4)
    (base / "step_3/report/zarr.json").write_text("{}")
    result = run("inspect", base)
    assert result.exit_code == 0
    assert "DAMAGED: expected " in result.stdout
    assert len(json.loads(run("inspect", base, "--json").stdout)["damages"]) == 1


class Block(torch.nn.Module):
    """As people write them."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(8, eps=eps)
        self.fc = torch.nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.relu(self.fc(self.norm(x)))


def record(location: Path, eps: float) -> Path:
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(Block(eps) for _ in range(12)), torch.nn.Linear(8, 8))
    model[12].weight = model[3].fc.weight  # type: ignore[union-attr]
    proxy = create_model(model, "Net")
    proxy.backward(proxy(torch.ones(2, 8)).sum())
    proxy.try_dump(dir_path=str(location))
    return location


def test_real_models(tmp_path: Path) -> None:
    ours, theirs = (record(tmp_path / str(eps), eps) for eps in (1e-5, 1e-6))
    shown = run("inspect", ours).stdout
    assert "    0 to 11 (Block), all 12 alike:" in shown
    assert "(tied to 3.fc.weight)" in shown
    assert "report of step 0, in training mode, on cpu" in shown
    assert shown.count("\n") < 50
    assert max(map(len, shown.splitlines())) <= 80 + len(str(tmp_path))
    found = run("diff-tree", ours, theirs)
    assert found.exit_code == 1
    assert "eps is 1e-05 in base and 1e-06 in raw: 12 layers, 0.norm, 1.norm," in found.stdout
    assert found.stdout.count("\n") < 8


def test_no_command_loads_what_it_has_no_need_of(base: Path) -> None:
    script = (
        "import sys\nfrom padiff.cli.commands import group\n"
        "try: group.main(sys.argv[1:], 'padiff')\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'paddle', 'h5py', 'zarr', 'numpy'} & set(sys.modules)))"
    )
    for arguments, loaded in (
        (["inspect", base], "['numpy']"),
        (["diff-tree", base, base], "['numpy']"),
        (["inspect", "--help"], "[]"),
        (["completion", "bash"], "[]"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == loaded, done.stderr


def test_progress_on_a_terminal_and_an_interrupt(tmp_path: Path) -> None:
    """After a second of work a share is shown; Ctrl-C wipes it and says so."""
    layers = [Layer(f"l{n}", "Linear", out=Y) for n in range(600)]
    write_dump(tmp_path / "run", Layer("", "Net", out=Y, children=layers), step=0)
    for step in range(1, 200):  # of documents alone: nothing else is looked at
        for document in ("zarr.json", "report/zarr.json"):
            copy = tmp_path / f"run/step_{step}" / document
            copy.parent.mkdir()
            os.link(tmp_path / "run/step_0" / document, copy)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "inspect", tmp_path / "run"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        # whoever runs the tests may have been started with interrupts ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(theirs)
    told = os.read(ours, 100).decode()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == b""
    with suppress(OSError):  # which a terminal says where nobody writes to it any more
        while more := os.read(ours, 1000).decode():
            told += more
    os.close(ours)
    assert process.returncode == 130
    line = r"\rreading [━╸ ]{24} +\d+%( \d+ (s|min) left)?\x1b\[K"
    told = without_styles(told)
    assert re.fullmatch(rf"({line})+\r\x1b\[Kpadiff inspect: stopped\r\n", told)
