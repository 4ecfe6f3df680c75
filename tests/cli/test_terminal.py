"""The commands in a terminal: no more than a screen, in colour where that is wanted, progress."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from padiff.store.storage import Storage
from tests.cli.slow import SLOW
from tests.cli.terminal import in_terminal, without_styles
from tests.stores import Layer, write_dump

COMMAND = Path(sys.executable).with_name("padiff-check")
Y = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs that part in the middle, one with layers of its own."""

    def model(off: float, own: int) -> Layer:
        layers = [Layer(f"l{n}", "[bold]Linear", out=Y + off * (n > 30), back=Y) for n in range(60)]
        lone = [Layer(f"own{n}", "Extra", out=Y) for n in range(own)]
        return Layer("", "Net", out=Y + off, children=[*layers, *lone])

    place = tmp_path_factory.mktemp("runs")
    return write_dump(place / "0", model(0, 0)), write_dump(place / "1", model(1, 10))


@pytest.mark.parametrize(("lines", "columns"), [(24, 80), (50, 200), (10, 80)])
def test_no_more_than_a_screen(runs: tuple[Path, Path], lines: int, columns: int) -> None:
    code, text = in_terminal([COMMAND, *runs], lines, columns)
    shown = without_styles(text).splitlines()
    assert code == 1
    assert len(shown) <= max(24, lines) - 1  # the prompt takes one
    assert max(map(len, shown)) <= min(118, columns)
    assert shown[0].startswith("NOT ALIGNED: ")
    said = r"With padiff-check --all: (details, )?whole trees, 2\d that differ, \d+ unmatched\."
    assert re.fullmatch(said, shown[-1])
    for part in ("First divergence", "*** HERE ***", "differ", "Without a partner"):
        assert any(part in line for line in shown), part


def test_all_is_shown_when_asked_for(runs: tuple[Path, Path]) -> None:
    code, text = in_terminal([COMMAND, *runs, "--all"])
    assert code == 1
    assert "--all" not in text
    shown = without_styles(text).splitlines()
    assert [line for line in shown if line.startswith("  Forward")] == [
        f"  Forward  {layer:<16}  output 0  1        0.653   100 %"
        for layer in (*(f"l{n}" for n in range(31, 60)), "the model itself")
    ]
    for n in range(60):
        assert sum(f" l{n} ([bold]Linear)" in line for line in shown) >= 1
    for n in range(10):
        assert f"  raw   own{n} (Extra) in report" in shown


def test_colour_changes_no_character(runs: tuple[Path, Path]) -> None:
    _, coloured = in_terminal([COMMAND, *runs], 49)
    _, plain = in_terminal([COMMAND, *runs], 49, variables={"NO_COLOR": "1"})
    assert "\x1b[1;31mNOT ALIGNED:\x1b[0m" in coloured
    assert "\x1b" not in plain
    assert without_styles(coloured) == plain
    environment = {**os.environ, "COLUMNS": "80"}
    for variables, expected in (({}, plain), ({"FORCE_COLOR": "1"}, coloured)):
        piped = subprocess.run(
            [COMMAND, *runs], env={**environment, **variables}, capture_output=True, text=True
        )
        assert piped.stdout == expected.replace("\r\n", "\n")


def test_a_pipe_may_have_columns(runs: tuple[Path, Path]) -> None:
    widest = {}
    for columns in ("60", "100", "no number"):
        environment = {**os.environ, "COLUMNS": columns}
        done = subprocess.run([COMMAND, *runs], env=environment, capture_output=True, text=True)
        widest[columns] = max(map(len, done.stdout.splitlines()))
    assert widest["60"] <= 60 < widest["no number"] <= 80 < widest["100"] <= 100


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of 64 MiB in chunks of 1 MiB."""
    place = tmp_path_factory.mktemp("large")
    values = np.zeros((2**11, 2**13), np.float32)
    base, raw = (
        write_dump(
            place / str(off), Layer("", "N", out=values + off), storage=Storage(chunk_bytes=2**20)
        )
        for off in (0, 1)
    )
    return base, raw


def shares(told: str) -> list[int]:
    return [int(share) for share in re.findall(r"(\d+)%", told)]


def test_progress_with_bytes_and_their_rate(large: tuple[Path, Path], tmp_path: Path) -> None:
    """It begins after a second, and is gone at the end."""
    size = r"[\d.]+ (bytes|[KMG]iB)"
    commands: list[list[str | Path]] = [
        ["check", *large, "-q"],
        ["verify", large[0], "-q"],
        ["convert", large[0], tmp_path / "a.zarr", "-q"],
    ]
    for words in commands:
        _, told = in_terminal([sys.executable, "-c", SLOW, *words])
        *shown, end = without_styles(told).split("\r")
        assert end == "\x1b[K"
        assert shown[0] == ""
        assert len(shown) > 4, words
        for line in shown[1:]:
            doing = r"(comparing|verifying|converting) [━╸╺ ]{24} +\d+%"
            left = r"(\d+ h )?\d+ (s|min) left"
            assert re.fullmatch(rf"{doing}( {size}, {size}/s, {left})?\x1b\[K", line), line
        assert sum("/s, " in line for line in shown) > 3
        assert shares(told) == sorted(shares(told))


def test_progress_in_a_narrow_terminal_keeps_the_share(large: tuple[Path, Path]) -> None:
    _, told = in_terminal([sys.executable, "-c", SLOW, "check", *large, "-q"], columns=40)
    *shown, _ = without_styles(told).split("\r")
    assert len(shown) > 4
    for line in shown[1:]:
        assert re.match(r"comparing +\d+%", line), line
        assert len(line.removesuffix("\x1b[K")) < 40
    assert any("iB/s" in line for line in shown)


def test_no_progress_where_nobody_looks(large: tuple[Path, Path]) -> None:
    done = subprocess.run([sys.executable, "-c", SLOW, "check", *large], capture_output=True)
    assert done.stderr == b""


def test_progress_is_gone_when_something_fails(large: tuple[Path, Path], tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(large[1], raw)
    *_, last = sorted((raw / "report").rglob("c.*"))
    last.unlink()
    code, told = in_terminal([sys.executable, "-c", SLOW, "check", large[0], raw])
    assert code == 2
    shown, _, error = told.rpartition("\r\x1b[K")
    assert shares(shown)
    assert error.startswith("padiff check: expected ")
