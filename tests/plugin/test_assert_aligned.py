"""`assert_aligned` in any test: what it returns, and what it says."""

import inspect
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from padiff.cli.check_command import command as check_command
from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.errors import LocationError, UsageError
from padiff.render.terminal import render
from padiff.testing import Options, assert_aligned
from tests.stores import Layer, write_dump

Y = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)


def write(location: Path, off: float = 0, *more: Layer) -> Path:
    for step in (0, 1):
        fc = Layer("fc", "Linear", out=Y + off, back=Y)
        write_dump(location, Layer("", "Net", out=Y, children=[fc, *more]), step=step)
    return location


def test_what_is_aligned_is_returned(tmp_path: Path) -> None:
    comparison = assert_aligned(write(tmp_path / "base"), str(write(tmp_path / "raw")), steps=[1])
    assert isinstance(comparison, Comparison)
    assert comparison.aligned
    assert {record.step for record in comparison.records} == {1}


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ({}, ""),
        (
            {"mode": "strict", "atol": 1e-5, "rtol": np.float64(1e-8), "phase": "forward"},
            " --mode strict --atol 1e-05 --rtol 1e-08 --phase forward",
        ),
        (
            {"sections": ["report"], "steps": (1,), "layers": ["f*", "g o*"], "jobs": 1},
            " --section report --step 1 --layer 'f*' --layer 'g o*' --jobs 1",
        ),
        (
            {"strict_structure": True, "atol": 1, "digests": False, "ranks": None},
            " --strict-structure --atol 1 --no-digest",
        ),
        ({"strict_structure": False, "digests": True}, ""),
        ({"rename": ["^f=f"], "name_map": None}, " --rename '^f=f'"),
        ({"name_map": "names.csv"}, " --map names.csv"),
        ({"close_ups": 3}, ""),
    ],
)
def test_the_text_is_that_of_the_command_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.csv").write_text("base,raw\nfc,fc\n")
    base = write(tmp_path / "base one")
    raw = write(tmp_path / "raw", 0.5, Layer("g", "Tanh", out=Y))
    with pytest.raises(AssertionError) as caught:
        assert_aligned(base, raw, **options)
    text, _, command = str(caught.value).partition(
        "\nCompare them again, or make a page of it with --html FILE:\n  padiff-check "
    )
    assert command == f"'{base}' {raw}{typed}"
    assert text.startswith("NOT ALIGNED: ")
    assert ("First divergence: " in text) != ("atol" in options and options["atol"] == 1)
    done = CliRunner().invoke(check_command, shlex.split(command))
    assert (done.exit_code, done.stdout) == (1, text)


def test_pytest_shows_the_line_of_the_test(tmp_path: Path) -> None:
    base, raw = write(tmp_path / "base"), write(tmp_path / "raw", 1)
    for error, arguments in (
        (AssertionError, (base, raw)),
        (LocationError, (base, tmp_path / "nowhere")),
    ):
        with pytest.raises(error) as caught:
            assert_aligned(*arguments)
        shown = caught.traceback.filter(caught)
        assert [str(entry.path) for entry in shown] == [__file__]


def test_an_error_is_that_of_compare(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    with pytest.raises(UsageError, match="expected the mode mean or strict"):
        assert_aligned(base, base, mode="loose")
    with pytest.raises(TypeError, match=r"of assert_aligned, got rtool: is it rtol\?"):
        assert_aligned(base, base, rtool=1)  # type: ignore[call-arg]  # that is what is tested


def test_the_options_are_those_of_compare() -> None:
    told = {*inspect.signature(compare).parameters} - {"base", "raw", "progress"}
    assert told == {*Options.__annotations__}


def test_no_name_steers_the_terminal(tmp_path: Path) -> None:
    base, raw = write(tmp_path / "base"), write(tmp_path / "raw\x1b[2J", 1)
    with pytest.raises(AssertionError) as caught:
        assert_aligned(base, raw)
    assert "\x1b" not in str(caught.value)


def test_the_comparison_is_rendered_as_it_is(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    assert render(assert_aligned(base, base)).startswith("ALIGNED: 6 tensors of report in 2 steps")
