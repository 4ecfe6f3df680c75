"""The plugin as its users run it: pytest in a process of its own, on files of tests."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import padiff.pytest_plugin
from padiff import open_dump
from tests.plugin.loading import as_installed

ROOT = Path(__file__).parents[2]

TESTS = """
import os

import pytest
import torch

FAULTS = os.environ.get("FAULTS", "").split()
X = torch.linspace(-2, 2, 32).reshape(4, 8)


def network(seed=0, approximate="none"):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.GELU(approximate), torch.nn.Linear(16, 4)
    )


@pytest.mark.parametrize("way", [1, "a/b"])
def test_layer(padiff_golden, way):
    model = padiff_golden.model(network(approximate="tanh" if "layer" in FAULTS else "none"))
    model.backward(model(X * 2).square().mean())
    padiff_golden.check(mode="strict", atol=1e-6)


def test_weights(padiff_golden):
    padiff_golden.model(network(seed="weights" in FAULTS))(X)


class TestTwo:
    def test_models(self, padiff_golden):
        teacher = padiff_golden.model(network(1), "teacher", inputs=True)
        student = padiff_golden.model(network(2), "student")
        optimizer = torch.optim.SGD(student.parameters(), lr=1.0 if "rate" in FAULTS else 0.1)
        teacher(X)
        for _ in range(2):
            optimizer.zero_grad()
            student.backward(student(X).square().mean())
            student.try_dump()
            optimizer.step()
        padiff_golden.check(teacher)


def test_skipped(padiff_golden):
    padiff_golden.model(network())(X)
    pytest.skip("not today")


def test_failing(padiff_golden):
    padiff_golden.model(network())(X)
    raise RuntimeError("before anything is checked")
"""
STORES = [
    "TestTwo.test_models.student.zarr.zip",
    "TestTwo.test_models.teacher.zarr.zip",
    "test_layer[1].zarr.zip",
    "test_layer[a=2Fb].zarr.zip",
    "test_weights.zarr.zip",
]


def contents(directory: Path) -> dict[str, bytes]:
    """The files below a directory, hidden ones as well."""
    return {path.name: path.read_bytes() for path in sorted(directory.rglob("*.*"))}


def shown_of(test: str, output: str) -> str:
    """What pytest shows of one test."""
    (text,) = re.findall(rf"^_+ {re.escape(test)} _+\n(.*?)(?=^_+ |^=+ )", output, re.M | re.S)
    return str(text)


def summary_of(output: str) -> list[str]:
    """What is said of golden stores at the end."""
    (text,) = re.findall(r"^=+ padiff golden stores =+\n(.*?)^=", output, re.M | re.S)
    return str(text).splitlines()


def test_golden_stores_from_the_first_on(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_net=TESTS)
    golden = project.path / "golden/test_net"
    result = project.runpytest_subprocess("--padiff-update", "-p", "xdist", "-n", "2")
    result.assert_outcomes(passed=4, skipped=1, failed=1)
    recorded = contents(golden)
    assert list(recorded) == STORES
    assert summary_of(result.stdout.str()) == [
        *(f"written   golden/test_net/{name}" for name in STORES),
        "agree and stay as they are: 0",
    ]
    assert open_dump(golden / STORES[0] / "step_1").params["0"].weight["weight"].shape == (16, 8)
    assert open_dump(golden / STORES[1] / "step_0").report["0"].input[0].shape == (4, 8)

    missing = {name: recorded.pop(name) for name in (STORES[2], STORES[4])}
    for name in missing:
        (golden / name).unlink()
    monkeypatch.setenv("FAULTS", "layer rate")
    result = project.runpytest_subprocess()
    result.assert_outcomes(skipped=1, failed=5)
    assert contents(golden) == recorded, "nothing is written unless it is asked for"
    assert_missing_ones_are_told(result.stdout.str())
    assert_a_changed_layer_is_shown(result.stdout.str(), project.path)
    changed = shown_of("TestTwo.test_models", result.stdout.str())
    assert "student.zarr.zip" in changed
    assert "First divergence: Weights, step 1, parameter " in changed
    assert "Its gradients agree" in changed or "The gradients agree" in changed

    for name, data in missing.items():
        (golden / name).write_bytes(data)
    leave_unused(golden)
    monkeypatch.setenv("FAULTS", "layer weights")
    result = project.runpytest_subprocess("--padiff-update", "-rP")
    result.assert_outcomes(passed=4, skipped=1, failed=1)
    assert_an_update_is_told(summary_of(result.stdout.str()))
    now = contents(golden)
    assert [name for name in STORES[:2] if now[name] == recorded[name]] == STORES[:2]
    compared = shown_of("TestTwo.test_models", result.stdout.str())
    assert re.findall(r"^ALIGNED: .* in (\d) step", compared, re.M) == ["1", "2"]
    replaced = shown_of("test_weights", result.stdout.str())
    assert "First divergence: Weights, step 0, parameter weight\n  base  0  Linear" in replaced


def assert_missing_ones_are_told(output: str) -> None:
    """What to do, at the line of the test where it has one, and no line of padiff."""
    shown = shown_of("test_layer[1]", output)
    assert ">       padiff_golden.check(mode=" in shown
    missing = "expected a golden store at golden/test_net/{}.zarr.zip, found none: pytest --padiff-"
    assert missing.format("test_layer[1]") in shown
    assert "padiff/" not in shown
    assert shown_of("test_weights", output).startswith(missing.format("test_weights"))
    assert "E       RuntimeError: before" in shown_of("test_failing", output)


def assert_a_changed_layer_is_shown(output: str, directory: Path) -> None:
    """By the text of the command line: the command that is shown prints the same."""
    shown = shown_of("test_layer[a/b]", output)
    assert ">       padiff_golden.check(mode=" in shown
    text = "\n".join(line.removeprefix("E").strip() for line in shown.splitlines())
    assert "AssertionError: NOT ALIGNED: Sequential (torch) and Sequential (torch) part" in text
    assert "\n11 of 17 tensors of report, params in 1 step differ (atol 1e-06," in text
    assert "First divergence: Forward stage, step 0, output 0\nbase  1  GELU" in text
    assert "\nraw   test_net.py:20 in test_layer\nmodel.backward(" in text
    assert "in pytest_" not in text, "what called the test is no line of the user's"
    assert "\nIf the change is meant, pytest --padiff-update replaces the golden store.\n" in text
    assert "\nIf nothing was changed, something is random: seed it in the test" in text
    (command,) = re.findall(r"^padiff-check (.*)$", text, re.M)
    done = subprocess.run(
        f"{Path(sys.executable).with_name('padiff-check')} {command}",
        shell=True,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    printed = "\n".join(line.strip() for line in done.stdout.splitlines())
    assert printed in text.replace("AssertionError: ", "")


def leave_unused(golden: Path) -> None:
    """What tests that are gone have left: of a parameter, a model, a function, a module."""
    (golden.parent / "test_old").mkdir()
    for name in ("test_layer[2]", "test_weights.third", "test_gone", "../test_old/test_x"):
        (golden / f"{name}.zarr.zip").touch()
    (golden / "test_skipped.zarr.zip").touch()  # which may be of use where it is not skipped


def assert_an_update_is_told(lines: list[str]) -> None:
    replaced = {line.split()[1].rstrip(":"): line for line in lines if line.startswith("replaced")}
    assert list(replaced) == [f"golden/test_net/{STORES[n]}" for n in (2, 3, 4)]
    assert "zip: NOT ALIGNED: 11 of 17 tensors of" in replaced[f"golden/test_net/{STORES[2]}"]
    assert [line for line in lines if line.startswith("unused")] == [
        f"unused    golden/{name}.zarr.zip: remove it if its test is gone"
        for name in (
            "test_net/test_gone",
            "test_net/test_layer[2]",
            "test_net/test_weights.third",
            "test_old/test_x",
        )
    ]
    assert lines[-1] == "agree and stay as they are: 2"


PORT = """
from pathlib import Path

import numpy as np
import paddle
import pytest

from padiff import create_model, open_dump
from padiff.testing import assert_aligned

GOLDEN = Path(__file__).parent / "golden/test_net/test_layer[1].zarr.zip"


@pytest.mark.parametrize("approximate", [False, True])
def test_port(tmp_path, approximate):
    base = open_dump(GOLDEN / "step_0")
    net = paddle.nn.Sequential(
        paddle.nn.Linear(8, 16), paddle.nn.GELU(approximate), paddle.nn.Linear(16, 4)
    )
    for route in ("0", "2"):
        weight = base.params[route].weight
        net[int(route)].weight.set_value(np.asarray(weight["weight"]).T)
        net[int(route)].bias.set_value(np.asarray(weight["bias"]))
    model = create_model(net)
    x = paddle.to_tensor(np.asarray(base.report[""].input[0]))
    model.backward(model(x).square().mean())
    model.try_dump(dir_path=tmp_path / "port.zarr")
    assert_aligned(GOLDEN, tmp_path / "port.zarr", mode="strict", atol=1e-5)
"""


def test_a_port_is_held_to_golden_values_of_the_original(project: pytest.Pytester) -> None:
    project.makepyfile(test_net=TESTS, test_port=PORT)
    result = project.runpytest_subprocess(
        "--padiff-update", "-W", "ignore", "-k", "layer or port", "test_net.py", "test_port.py"
    )
    result.assert_outcomes(passed=3, failed=1, deselected=4)
    shown = shown_of("test_port[True]", result.stdout.str())
    assert (
        '>       assert_aligned(GOLDEN, tmp_path / "port.zarr", mode="strict", atol=1e-5)' in shown
    )
    assert "padiff/" not in shown
    assert "approximate is 'none' in base and True in raw." in shown
    assert "raw   1  GELU  float32 [4, 16]" in shown
    assert "unused" not in result.stdout.str()


STARTUP = """
import sys

HEAVY = ("numpy", "torch", "paddle", "h5py", "msgspec", "padiff.comparing", "padiff.golden")


def loaded():
    return {name for name in HEAVY if name in sys.modules}


def test_before():
    assert "padiff.pytest_plugin" in sys.modules
    assert not loaded()


def test_a_fixture(padiff_golden):
    assert {"numpy", "padiff.golden"} <= loaded()
    assert not {"torch", "paddle"} & loaded()
"""


def test_starting_pytest_loads_next_to_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_installed().items():
        monkeypatch.setenv(name, value)
    pytester.makepyfile(test_it=STARTUP)
    result = pytester.runpytest_subprocess("-p", "no:zarr", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1, failed=1)
    assert shown_of("test_a_fixture", result.stdout.str()).startswith("expected models to check")


def test_the_entry_point_is_the_plugin() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert declared["pytest11"] == {"padiff": padiff.pytest_plugin.__name__}
