"""Processes that write to one store at once: all is whole, of one writer, and nothing is left."""

import os
import sys
import threading
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from padiff.errors import OccupiedError, PadiffError
from padiff.store.address import Location, below
from padiff.store.format import SectionName
from padiff.store.leftovers import begin_alone
from padiff.store.media.directory import Directory
from padiff.store.reader import Section, open_dump, open_dumps
from padiff.store.storage import Storage
from tests.store.backends import LOCAL, Backend, hidden, on
from tests.store.sections import write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="which has no fork, nor locks")

ROUNDS = 30
backends = on(*LOCAL)  # what speaks to S3 does not come through a fork


def dump(
    store: Location,
    number: float,
    section: SectionName = "report",
    *,
    step: int | None = 0,
    rank: int | None = None,
) -> None:
    """A section in which every element is the writer's number."""
    arrays = {f"layer{n}": np.full(40, number) for n in range(5)}
    storage = Storage(chunk_bytes=160, durable=False)
    write(store, arrays, section, step=step, rank=rank, storage=storage)


def number_in(section: Section) -> float:
    """The one number that all elements are."""
    arrays = [np.asarray(layer.forward[0]) for layer in section if layer.node.route]
    section.check_present()
    (number,) = {float(x) for array in arrays for x in array}
    assert len(arrays) == 5
    return number


def at_once(*tasks: Callable[[int], None], rounds: int) -> list[list[str]]:
    """Run tasks in processes that start each round together; the errors of ours by task.

    Any other error fails.
    """
    context = get_context("fork")
    barrier = context.Barrier(len(tasks))
    queue = context.SimpleQueue()

    def run(index: int) -> None:
        errors = []
        for turn in range(rounds):
            barrier.wait(60)
            try:
                tasks[index](turn)
            except PadiffError as error:
                errors.append(type(error).__name__)
        queue.put((index, errors))

    processes = [context.Process(target=run, args=(index,)) for index in range(len(tasks))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * len(tasks)
    return [errors for _, errors in sorted(queue.get() for _ in tasks)]


@backends
def test_ranks_that_make_a_store_at_the_same_moment(tmp_path: Path, backend: Backend) -> None:
    def rank(number: int) -> Callable[[int], None]:
        def task(turn: int) -> None:
            store = backend.at(tmp_path, f"run_{turn}")
            for step in range(2):
                dump(store, number, step=step, rank=number)

        return task

    assert at_once(rank(0), rank(1), rounds=ROUNDS) == [[], []]
    for turn in range(ROUNDS):
        dumps = open_dumps(backend.at(tmp_path, f"run_{turn}")).dumps
        assert list(dumps) == [(step, rank) for step in range(2) for rank in range(2)]
        assert all(number_in(found.report) == found.rank for found in dumps.values())
    assert hidden(tmp_path) == []


def test_a_root_that_appears_while_it_is_looked_at(tmp_path: Path) -> None:
    """A directory that another rank makes just now is as free a place as none."""
    root = tmp_path / "run"
    done = threading.Event()

    def other() -> None:
        while not done.is_set():
            root.mkdir()
            root.rmdir()

    rank = threading.Thread(target=other)
    rank.start()
    try:
        for _ in range(5000):
            Directory(root).refuse_occupied("")
    finally:
        done.set()
        rank.join()


@backends
def test_writers_of_one_section(tmp_path: Path, backend: Backend) -> None:
    """Each round one is refused or waits its turn; what is there is whole, of one of them."""
    store = backend.at(tmp_path)
    dump(store, -1)

    def writer(number: int) -> Callable[[int], None]:
        return lambda turn: dump(store, 2 * turn + number)

    def reader(turn: int) -> None:
        for _ in range(3):
            assert number_in(open_dump(below(store, "step_0")).report) >= -1

    first, second, unread = at_once(writer(0), writer(1), reader, rounds=ROUNDS)
    assert {*first, *second} <= {"OccupiedError"}
    assert len(first) + len(second) < 2 * ROUNDS
    assert set(unread) <= {"CorruptError", "LocationError"}  # it was dumped again meanwhile
    assert len(unread) < ROUNDS
    assert number_in(open_dump(below(store, "step_0")).report) >= 2 * ROUNDS - 20
    assert hidden(tmp_path) == []


@backends
def test_writers_of_two_sections_of_one_dump(tmp_path: Path, backend: Backend) -> None:
    def writer(section: SectionName) -> Callable[[int], None]:
        return lambda turn: dump(backend.at(tmp_path, str(turn)), turn, section)

    assert at_once(writer("report"), writer("weights"), rounds=20) == [[], []]
    for turn in range(20):
        found = open_dump(below(backend.at(tmp_path, str(turn)), "step_0"))
        assert found.sections == ("report", "weights")
        assert {number_in(found.section(name)) for name in found.sections} == {turn}
    assert hidden(tmp_path) == []


@backends
def test_threads_of_one_process(tmp_path: Path, backend: Backend) -> None:
    store = backend.at(tmp_path)
    outcomes: list[str] = []

    def task(number: int) -> None:
        for _ in range(10):
            try:
                dump(store, number)
                outcomes.append("dumped")
            except OccupiedError:
                outcomes.append("refused")

    threads = [threading.Thread(target=task, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 20
    assert number_in(open_dump(below(store, "step_0")).report) in (1, 2)
    assert hidden(tmp_path) == []


def test_a_fork_does_not_remove_what_its_parent_writes(tmp_path: Path) -> None:
    workplace = begin_alone(tmp_path, "report", what="it")
    if not (child := os.fork()):
        workplace.remove()
        os._exit(0)
    os.waitpid(child, 0)
    assert workplace.path.is_dir()
    with pytest.raises(OccupiedError, match="another writer at work"):
        begin_alone(tmp_path, "report", what="it")
    workplace.remove()
    begin_alone(tmp_path, "report", what="it").remove()
    assert not list(tmp_path.iterdir())
