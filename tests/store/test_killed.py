"""Killed, told to end or interrupted at any instant: what was dumped stays, nothing is half."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import numpy as np
import pytest

from benchmarks.soak import Place, Soak
from padiff.store.location import Location, below
from padiff.store.reader import open_dump
from padiff.store.storage import Format, Storage
from padiff.store.writer import DumpWriter
from tests.store.backends import LOCAL, everything, hidden, on
from tests.store.sections import write

KINDS: tuple[Format, ...] = get_args(Format)
kinds = pytest.mark.parametrize("kind", KINDS)

STORE = str(Path(DumpWriter.__init__.__code__.co_filename).parent)


def root_of(tmp_path: Path, kind: Format) -> Path:
    return tmp_path / ("run.zarr" if kind == "zarr" else "run")


@kinds
def test_killed_at_random_instants(tmp_path: Path, kind: Format) -> None:
    soak = Soak(root_of(tmp_path, kind), kind, seed=1)
    for _ in range(8):
        soak.kill_one()
    outcome = soak.finish()
    assert outcome.wrong == []
    assert outcome.kills == 8
    assert outcome.left == outcome.removed


@kinds
def test_the_checker_sees_what_is_lost(tmp_path: Path, kind: Format) -> None:
    soak = Soak(root_of(tmp_path, kind), kind, seed=1)
    soak.finish()  # one dump, of the position 0
    assert soak.outcome.reported == 2
    place = Place.of(0).location(root_of(tmp_path, kind), kind)
    damaged = max(place.rglob("c*") if place.is_dir() else [place], key=lambda p: p.stat().st_size)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    assert soak.finish().lost > 0


INTERRUPTED = """
import signal, sys
import numpy as np
from padiff.store.writer import write_section
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background ignores
print("begun", flush=True)
while True:
    with write_section(sys.argv[1], "report", step=0) as writer:
        writer.add("layer/forward.0", np.zeros(2**20))
        print("at work", flush=True)
        writer.add("other/forward.0", np.zeros(2**22))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_in_the_middle_of_a_dump(
    run: Location, files: Path, number: signal.Signals
) -> None:
    write(run, {"layer": np.ones(3)}, step=0)
    count = len(everything(files))
    command = [sys.executable, "-c", INTERRUPTED, str(run)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = iter(process.stdout.readline, "")  # which end when the process does
        assert "at work\n" in lines
        process.send_signal(number)
        errors = process.stderr.read()
    assert open_dump(below(run, "step_0")).report["layer"].forward[0][0] == 1
    if number == signal.SIGINT:  # which Python hears, and cleans up
        assert "KeyboardInterrupt" in errors
        assert hidden(files) == []
        assert len(everything(files)) == count
    write(run, {"layer": np.full(3, 2.0)}, step=0)
    assert hidden(files) == []
    assert len(everything(files)) == count


Line = tuple[str, int]


class Interrupt:
    """Ctrl-C before a line of the store's code is run first; notes all lines that are run."""

    def __init__(self, at: Line | None = None) -> None:
        self.lines: list[Line] = []
        self._at = at

    def __enter__(self) -> "Interrupt":
        sys.settrace(self._enter)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._line if frame.f_code.co_filename.startswith(STORE) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        line = frame.f_code.co_filename, frame.f_lineno
        if event == "line":
            self.lines.append(line)
            if line == self._at:
                raise KeyboardInterrupt
        return self._line


@on(*LOCAL)  # behind a URL other threads write, so lines of one are not the instants there are
@pytest.mark.parametrize("threads", [False, True])
def test_interrupted_before_any_line(run: Location, files: Path, threads: bool) -> None:
    """The section is the old or the new one, and nothing is left; the next dump goes on at once."""
    threads_before = threading.active_count()
    storage = Storage(chunk_bytes=16 if threads else 32, durable=False)

    def dump(number: float) -> None:
        write(run, {"layer": np.full(4, number)}, step=0, storage=storage)

    dump(0)
    threads_before = threading.active_count()
    with Interrupt() as dry:
        dump(0)
    now, outcomes, interrupts = 0.0, set(), 0
    names = set(everything(files))
    lines = list(dict.fromkeys(dry.lines))
    for number, line in enumerate(lines, start=1):
        with Interrupt(line):
            try:
                dump(number)
            except KeyboardInterrupt:
                interrupts += 1
        report = open_dump(below(run, "step_0")).report
        found = {float(x) for x in np.asarray(report["layer"].forward[0])}
        assert found in ({now}, {number}), line
        assert hidden(files) == [], line
        assert set(everything(files)) == names, line
        outcomes.add(found == {now})
        (now,) = found
    assert interrupts == len(lines) > 150
    assert outcomes == {True, False}
    assert threading.active_count() == threads_before
