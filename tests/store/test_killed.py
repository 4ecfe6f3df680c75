"""Killed, told to end or interrupted at any instant: what was dumped stays, nothing is half."""

import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import numpy as np
import pytest

import padiff
from benchmarks.soak import Place, Soak
from padiff.store.address import Location, below
from padiff.store.reader import open_dump, open_dumps
from padiff.store.storage import Format, Storage
from padiff.store.writer import DumpWriter, write_section
from tests.store.backends import LOCAL, Backend, everything, hidden, on
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


def _dump_and_kill(run: Location, at: int) -> None:
    """Dump a new step, and end before the nth of what Python asks of the system, if there is."""
    left = itertools.count(at, -1)

    def count(event: str, arguments: Any) -> None:
        if event.startswith(("open", "os.", "shutil.", "fcntl.")) and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)  # of this process alone, and for good
    write(run, {"layer": np.full(3, 2.0)}, step=1)


@on(*LOCAL)  # behind a URL nothing comes through a fork
def test_killed_before_anything_that_is_asked_of_the_system(
    tmp_path: Path, backend: Backend
) -> None:
    """Of a step that was begun there is nothing or all, and nothing looks like damage."""
    for number in itertools.count():
        (top := tmp_path / str(number)).mkdir()
        run = backend.at(top)
        write(run, {"layer": np.ones(3)}, step=0)
        process = get_context("fork").Process(target=_dump_and_kill, args=(run, number))
        process.start()
        process.join()
        verification = padiff.verify(run)
        assert verification.intact, number
        steps = [step for step, _ in open_dumps(run).dumps]
        assert steps[0] == 0
        assert verification.counts.sections == 1 or steps == [0, 1]
        write(run, {"layer": np.full(3, 2.0)}, step=1)
        assert hidden(top) == [], number
        assert padiff.verify(run).counts.sections == 2
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert number > 15


Instant = tuple[str, str, int]  # what Python is about to do, the file and the line


class Interrupt:
    """Ctrl-C at an instant at which Python hears it: when a function is entered, or was left.

    In the store's own code. `instants` are all there were.
    """

    def __init__(self, at: Instant | None = None) -> None:
        self.instants: list[Instant] = []
        self._at = at

    def __enter__(self) -> "Interrupt":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event in ("call", "c_return") and file.startswith(STORE):
            instant = event, file, frame.f_lineno
            self.instants.append(instant)
            if instant == self._at:
                sys.setprofile(None)
                raise KeyboardInterrupt


# an interrupt in what Python calls when an object goes away is printed, and lost
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@on(*LOCAL)  # behind a URL other threads write: instants of one are not all there are
@pytest.mark.parametrize("threads", [False, True])
def test_interrupted_at_any_instant(run: Location, files: Path, threads: bool) -> None:
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
    instants = list(dict.fromkeys(dry.instants))
    for number, instant in enumerate(instants, start=1):
        with Interrupt(instant):
            try:
                dump(number)
            except KeyboardInterrupt:
                interrupts += 1
        report = open_dump(below(run, "step_0")).report
        found = {float(x) for x in np.asarray(report["layer"].forward[0])}
        assert found in ({now}, {number}), instant
        assert hidden(files) == [], instant
        assert set(everything(files)) == names, instant
        outcomes.add(found == {now})
        (now,) = found
    # those of threads call back what goes away, in which Python loses an interrupt
    assert len(instants) - (10 if threads else 0) <= interrupts > 150
    assert outcomes == {True, False}
    assert threading.active_count() == threads_before
    gc.collect()  # what an interrupt left open, before that is no longer ignored


def test_an_error_on_the_way_up_of_an_interrupt_does_not_take_its_place(tmp_path: Path) -> None:
    def dump(error: BaseException, *, cause: BaseException | None) -> None:
        with write_section(tmp_path / "run.zarr", "report"):
            try:
                if cause is not None:
                    raise cause
            finally:
                raise error

    with pytest.raises(KeyboardInterrupt):
        dump(RuntimeError("release unlocked lock"), cause=KeyboardInterrupt())
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:  # what is dumped after one is another matter
        with pytest.raises(RuntimeError):
            dump(RuntimeError(), cause=None)
    try:
        try:
            raise KeyboardInterrupt
        finally:
            raise ValueError
    except ValueError:
        with pytest.raises(RuntimeError):
            dump(RuntimeError(), cause=None)
