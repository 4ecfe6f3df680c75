"""Ctrl-C or a kill at any instant: the destination is as it was, or there as a whole."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padiff
from padiff.store.storage import Storage
from tests.store.backends import everything
from tests.stores import Layer, write_dump

COMMAND = Path(sys.executable).with_name("padiff")
destinations = pytest.mark.parametrize(
    "destination", ["made.zarr", "made.zarr.zip", "made.h5", "made.safetensors", "made.npz"]
)


def make(location: Path, rows: int) -> Path:
    values = np.arange(rows * 2**12, dtype=np.float64).reshape(rows, -1)
    layer = Layer("fc", "Linear", weights={"w": values, "b": values[0]})
    net = Layer("", "Net", children=[layer])
    storage = Storage(chunk_bytes=2**18, durable=False)
    return write_dump(location, net, section="weights", storage=storage)


def check(tmp_path: Path, destination: str) -> bool:
    """Whether the destination is there; if it is, it is whole."""
    made = tmp_path / destination
    if not made.exists():
        return False
    base = tmp_path / "run.zarr"
    assert padiff.compare(base, made, mode="strict", atol=0, digests=False).aligned
    return True


def _convert_and_kill(source: Path, made: Path, at: int) -> None:
    """Convert, and end before the nth of what Python asks of the system, if there is."""
    left = itertools.count(at, -1)

    def count(event: str, arguments: Any) -> None:
        if event.startswith(("open", "os.", "shutil.", "fcntl.")) and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)  # of this process alone, and for good
    padiff.convert(source, made)


@destinations
def test_killed_before_what_is_asked_of_the_system(tmp_path: Path, destination: str) -> None:
    source = make(tmp_path / "run.zarr", 1)
    padiff.convert(source, tmp_path / destination)  # so that all is loaded
    names = sorted(each.name for each in tmp_path.iterdir())
    padiff.convert(source, tmp_path / destination, overwrite=True)
    outcomes = []
    for number in itertools.count(0, 9):
        made = tmp_path / destination
        if made.exists():
            made.rename(tmp_path / "old")
            subprocess.run(["rm", "-rf", tmp_path / "old"], check=True)
        arguments = (source, made, number)
        process = get_context("fork").Process(target=_convert_and_kill, args=arguments)
        process.start()
        process.join()
        outcomes.append(check(tmp_path, destination))
        # what is left is removed by the next, and does not stand in its way
        padiff.convert(source, made, overwrite=True)
        assert sorted(each.name for each in tmp_path.iterdir()) == names, number
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert outcomes[-1]
    assert not outcomes[0]
    assert len(outcomes) > 3


def when_begun(process: subprocess.Popen[str], directory: Path) -> float:
    """The time at which it is seen that something was begun, or that the process has ended."""
    while not list(directory.glob(".*.partial")) and process.poll() is None:
        time.sleep(0.001)
    return time.monotonic()


@pytest.mark.parametrize("destination", ["made.zarr", "made.h5", "made.npz"])
def test_interrupted_at_random_instants(tmp_path: Path, destination: str) -> None:
    source = make(tmp_path / "run.zarr", 150)  # 5 MB
    before = everything(tmp_path)
    command = [str(COMMAND), "convert", str(source), str(tmp_path / destination), "-q"]
    with subprocess.Popen(command, text=True) as process:
        begun = when_begun(process, tmp_path)
    whole = time.monotonic() - begun
    made = everything(tmp_path)
    subprocess.run(["rm", "-rf", tmp_path / destination], check=True)
    chance = random.Random(7)
    for _ in range(2):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            when_begun(process, tmp_path)
            time.sleep(chance.uniform(0, 1) * whole)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            told = process.stderr.read()
        assert process.returncode in (130, 0, -signal.SIGINT)
        if process.returncode:
            assert everything(tmp_path) in (before, made)
        there = (tmp_path / destination).exists()
        line = f"padiff convert: stopped{STATES['is there' if there else 'nothing']}\n"
        # when all is said nothing is told
        assert told in ("", line.format(tmp_path / destination))
        if check(tmp_path, destination):
            subprocess.run(["rm", "-rf", tmp_path / destination], check=True)
        assert [each.name for each in tmp_path.iterdir()] == ["run.zarr"]


STATES = {
    "nothing": ", nothing was left at {}",
    "as it was": ", {} is as it was before",
    "is there": " when all was written: {} is there as a whole",
}
INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background ignores
made, before = sys.argv[-1], sys.argv.pop(1)
old = os.stat(made).st_ino if os.path.exists(made) else None
done = []
def count(event, arguments):
    if done or not event.startswith(("open", "os.", "shutil.")):
        return
    is_new = os.path.exists(made) and os.stat(made).st_ino != old
    if is_new if before == "the end" else ".partial" in str(arguments[0]):
        done.append(event)
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(count)
from padiff.cli import main
main()
"""


@pytest.mark.parametrize(
    ("state", "destination"),
    [("nothing", "made.npz"), ("as it was", "made.zarr"), ("is there", "made.h5")],
)
def test_the_command_says_what_there_is(tmp_path: Path, destination: str, state: str) -> None:
    source, made = make(tmp_path / "run.zarr", 2), tmp_path / destination
    if state == "as it was":
        padiff.convert(source, made)
    before = everything(tmp_path)
    moment = "the end" if state == "is there" else "the middle"
    command = [sys.executable, "-c", INTERRUPTED, moment, "convert", "--overwrite"]
    done = subprocess.run([*command, source, made], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"padiff convert: stopped{STATES[state].format(made)}\n"
    assert (everything(tmp_path) == before) == (state != "is there")
    assert check(tmp_path, destination) == (state != "nothing")


WAITING = """
import signal, sys
import padiff
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background ignores
def progress(share, _):
    if share > 0.3:
        print("in the middle", flush=True)
        sys.stdin.readline()
padiff.convert(*sys.argv[1:], overwrite=True, progress=progress)
"""


@destinations
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_in_the_middle(tmp_path: Path, destination: str, number: signal.Signals) -> None:
    """What was at the destination before is there, and what is left is removed by the next."""
    source = make(tmp_path / "run.zarr", 40)
    padiff.convert(make(tmp_path / "other.zarr", 2), tmp_path / destination)
    before = everything(tmp_path)
    command = [sys.executable, "-c", WAITING, str(source), str(tmp_path / destination)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "in the middle\n"
        assert len(everything(tmp_path)) > len(before)  # which are hidden
        process.send_signal(number)
        process.communicate("\n" * 1000)
    assert process.returncode == -number
    left = [each.name for each in tmp_path.iterdir() if each.name.startswith(".")]
    assert len(left) == (number == signal.SIGKILL)
    after = everything(tmp_path)
    assert before.items() <= after.items()
    padiff.convert(source, tmp_path / destination, overwrite=True)
    assert check(tmp_path, destination)
    assert not list(tmp_path.glob(".*"))
