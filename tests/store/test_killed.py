"""Killed, told to end or interrupted at any instant: what was dumped stays, nothing is half."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from benchmarks.soak import Place, Soak
from padiff.store.reader import open_dump
from padiff.store.storage import Format, Storage
from padiff.store.writer import DumpWriter
from tests.store.sections import write

BACKENDS: tuple[Format, ...] = ("zarr",)
backends = pytest.mark.parametrize("backend", BACKENDS)

STORE = str(Path(DumpWriter.__init__.__code__.co_filename).parent)


@backends
def test_killed_at_random_instants(tmp_path: Path, backend: Format) -> None:
    soak = Soak(tmp_path / "run.zarr", backend, seed=1)
    for _ in range(8):
        soak.kill_one()
    outcome = soak.finish()
    assert outcome.wrong == []
    assert outcome.kills == 8
    assert outcome.left == outcome.removed


@backends
def test_the_checker_sees_what_is_lost(tmp_path: Path, backend: Format) -> None:
    soak = Soak(tmp_path / "run.zarr", backend, seed=1)
    soak.finish()  # one dump, of the position 0
    assert soak.outcome.reported == 2
    place = Place.of(0).location(tmp_path / "run.zarr", backend)
    damaged = max(place.rglob("c*") if place.is_dir() else [place], key=lambda p: p.stat().st_size)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    assert soak.finish().lost > 0


INTERRUPTED = """
import sys
import numpy as np
from padiff.store.writer import write_section
print("begun", flush=True)
while True:
    with write_section(sys.argv[1], "report", step=0) as writer:
        writer.add("layer/forward.0", np.zeros(2**20))
        print("at work", flush=True)
        writer.add("other/forward.0", np.zeros(2**22))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_in_the_middle_of_a_dump(tmp_path: Path, number: signal.Signals) -> None:
    store = tmp_path / "run.zarr"
    write(store, {"layer": np.ones(3)}, step=0)
    command = [sys.executable, "-c", INTERRUPTED, str(store)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while process.stdout.readline() != "at work\n":
            pass
        process.send_signal(number)
        said = process.stderr.read()
    assert open_dump(store / "step_0").report["layer"].forward[0][0] == 1
    if number == signal.SIGINT:  # which Python hears, and cleans up
        assert "KeyboardInterrupt" in said
        assert {path.name for path in (store / "step_0").iterdir()} == {"zarr.json", "report"}
    write(store, {"layer": np.full(3, 2.0)}, step=0)
    assert {path.name for path in (store / "step_0").iterdir()} == {"zarr.json", "report"}


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


@pytest.mark.parametrize("threads", [False, True])
def test_interrupted_before_any_line(tmp_path: Path, threads: bool) -> None:
    """The section is the old or the new one, and nothing is left; the next dump goes on at once."""
    store = tmp_path / "run.zarr"
    storage = Storage(chunk_bytes=16 if threads else 32, durable=False)

    def dump(number: float) -> None:
        write(store, {"layer": np.full(4, number)}, step=0, storage=storage)

    dump(0)
    threads_before = threading.active_count()
    with Interrupt() as dry:
        dump(0)
    now, outcomes, interrupts = 0.0, set(), 0
    lines = list(dict.fromkeys(dry.lines))
    for number, line in enumerate(lines, start=1):
        with Interrupt(line):
            try:
                dump(number)
            except KeyboardInterrupt:
                interrupts += 1
        found = {
            float(x) for x in np.asarray(open_dump(store / "step_0").report["layer"].forward[0])
        }
        assert found in ({now}, {number}), line
        assert {path.name for path in (store / "step_0").iterdir()} == {"zarr.json", "report"}, line
        outcomes.add(found == {now})
        (now,) = found
    assert interrupts == len(lines) > 150
    assert outcomes == {True, False}
    assert threading.active_count() == threads_before
