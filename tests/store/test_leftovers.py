"""What a killed writer left is removed by the next one, and nobody else's work is."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from padiff.errors import OccupiedError
from padiff.store.address import Location, below
from padiff.store.leftovers import begin_alone
from padiff.store.reader import open_dump, open_dumps
from padiff.store.verify import verify
from padiff.store.writer import write_section
from tests.store.backends import LOCAL, hidden, on
from tests.store.sections import write

AT_WORK = """
import sys, time
import numpy as np
from padiff.store.writer import write_section
with write_section(sys.argv[1], sys.argv[2], step=0) as writer:
    writer.add("layer/forward.0", np.ones(3))
    print("at work", flush=True)
    time.sleep(60)
"""


@contextmanager
def writer_at_work(store: Location, section: str = "report") -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of writing a section."""
    command = [sys.executable, "-c", AT_WORK, str(store), section]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_writer_left_is_removed(
    run: Location, files: Path, ended_by: signal.Signals
) -> None:
    with writer_at_work(run) as process:
        until = time.monotonic() + 10  # behind a URL it is on its way when it was written
        while not hidden(files) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(ended_by)
        process.wait()
    (left,) = hidden(files)
    write(run, {"layer": np.ones(3)}, "weights", step=0)
    assert hidden(files) == [left]  # of another section
    write(run, {"layer": np.ones(3)}, step=0)
    assert hidden(files) == []
    assert open_dump(below(run, "step_0")).report["layer"].forward[0][0] == 1


@on(*LOCAL)  # behind a URL there are no locks: the writer that is done first wins
def test_a_writer_at_work_is_left_alone_and_keeps_others_out(run: Location, files: Path) -> None:
    with writer_at_work(run):
        before = hidden(files)
        with pytest.raises(OccupiedError, match=f"another writer at work in .*{before[0]}: wait"):
            write(run, {"layer": np.ones(3)}, step=0)
        assert hidden(files) == before
        write(run, {"layer": np.ones(3)}, "weights", step=0)  # which nobody else writes
        assert hidden(files) == before
    write(run, {"layer": np.ones(3)}, step=0)
    assert hidden(files) == []


def test_a_finished_section_may_be_replaced_while_its_writer_lives(
    run: Location, files: Path
) -> None:
    for number in range(3):
        write(run, {"layer": np.full(3, number)}, step=0)
        assert hidden(files) == []


def test_a_group_of_the_name_of_a_section_removes_nothing_of_its_writer(tmp_path: Path) -> None:
    with write_section(tmp_path / "run.zarr", "report") as writer:
        writer.add("layer/forward.0", np.ones(3))
        write(tmp_path / "run.zarr/report", {"layer": np.zeros(3)}, step=0)
        writer.add("layer/forward.1", np.ones(3))


def test_what_a_killed_maker_of_a_group_left_is_removed(tmp_path: Path) -> None:
    run = tmp_path / "run.zarr"
    write(run, {"layer": np.ones(3)}, step=0)
    left = run / ".step_1.0123456789ab.group.partial"
    left.mkdir()
    assert verify(run).intact
    assert list(open_dumps(run).dumps) == [(0, None)]
    write(run, {"layer": np.ones(3)}, step=1)
    assert not left.exists()


def test_a_group_of_any_name_is_made(tmp_path: Path) -> None:
    for name in ("a**b", "[1]", "?"):
        write(tmp_path / "run.zarr" / name, {"layer": np.ones(3)})
        assert verify(tmp_path / "run.zarr" / name).intact


@pytest.mark.skipif(sys.platform == "win32", reason="which has no fork")
def test_a_fork_that_ends_lets_go_of_nothing(tmp_path: Path) -> None:
    """Of what its parent has locked: it ends as any process does, and clears up."""
    place = begin_alone(tmp_path, "report", what="a report")
    child = get_context("fork").Process(target=place.remove)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    with pytest.raises(OccupiedError, match="another writer at work"):
        begin_alone(tmp_path, "report", what="a report")
    assert place.path.is_dir()
    place.remove()
    begin_alone(tmp_path, "report", what="a report").remove()
