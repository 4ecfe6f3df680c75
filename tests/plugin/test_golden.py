"""Golden stores by themselves: which are made anew, what is refused, and what a kill leaves."""

import copy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from padiff.errors import CorruptError, UsageError, WriteError
from padiff.golden import Golden, Place
from padiff.model import create_model
from padiff.proxy import ProxyModel
from padiff.recording.recording import Keeping

X = torch.linspace(-2, 2, 32).reshape(4, 8)
Open = Callable[..., Golden]


def network(*more: torch.nn.Module, approximate: str = "none") -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Linear(8, 16), torch.nn.GELU(approximate), torch.nn.Linear(16, 4)
    return torch.nn.Sequential(*layers, *more)


def run(model: ProxyModel) -> None:
    model.zero_grad()
    model.backward(model(X * 2).square().mean())


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """What makes a Golden as the fixture of a test does."""
    monkeypatch.chdir(tmp_path)

    def make(*, update: bool = False) -> Golden:
        place = Place(tmp_path / "golden/test_net", "test_it[1]")
        return Golden(place, tmp_path / "fresh", update=update, home=tmp_path)

    return make


def record(golden: Golden, net: torch.nn.Module, **options: Any) -> Golden:
    run(golden.model(net, **options))
    golden.finish()
    golden.close()
    return golden


def done(golden: Golden) -> list[tuple[str, str]]:
    return [(update.done, update.reason) for update in golden.updates.values()]


def test_what_agrees_within_the_tolerance_stays(opened: Open) -> None:
    assert done(record(opened(update=True), network())) == [("written", "")]
    again = record(opened(update=True), network(approximate="tanh"))  # less than the default atol
    assert done(again) == [("kept", "")]
    strict = opened(update=True)
    run(strict.model(network(approximate="tanh")))
    strict.check()
    (comparison,) = strict.check(mode="strict", atol=1e-6)
    ((word, reason),) = done(strict)
    assert word == "replaced"
    assert reason.startswith("NOT ALIGNED: 11 of 17 tensors")
    assert comparison.totals.identical == 17
    assert "First divergence: Forward stage" in strict.texts[1]


def test_a_layer_that_is_new_is_a_reason(opened: Open) -> None:
    record(opened(update=True), network())
    more = network(torch.nn.Identity())
    assert record(opened(), more).texts[0].startswith("ALIGNED")
    with pytest.raises(AssertionError, match="but the structures differ"):
        opened_and_run(opened, more).check(strict_structure=True)
    reason = "all that both have agrees, 2 without a partner"
    assert done(record(opened(update=True), more)) == [("replaced", reason)]
    assert done(record(opened(update=True), more)) == [("kept", "")]


def opened_and_run(opened: Open, net: torch.nn.Module) -> Golden:
    golden = opened()
    run(golden.model(net))
    return golden


def test_what_is_damaged_is_an_error_and_replaced(opened: Open) -> None:
    golden = record(opened(update=True), network())
    (store,) = golden.updates
    store.write_bytes(b"PK")
    with pytest.raises(CorruptError, match="expected a zip file") as caught:
        record(opened(), network())
    assert caught.value.__notes__ == [
        "pytest --padiff-update replaces a golden store that cannot be read."
    ]
    ((word, reason),) = done(record(opened(update=True), network()))
    assert (word, "expected a zip file" in reason) == ("replaced", True)
    record(opened(), network())


def test_options_that_make_no_sense_change_nothing(opened: Open, tmp_path: Path) -> None:
    for wrong in ({"mode": "loose"}, {"layers": ["block.*"]}, {"sections": ["grads"]}):
        golden = opened(update=True)
        run(golden.model(network()))
        with pytest.raises(UsageError):
            golden.check(**wrong)
        assert not (tmp_path / "golden").exists()


def test_checks_may_differ_and_what_follows_a_check_is_checked_too(opened: Open) -> None:
    golden = opened(update=True)
    teacher, student = golden.model(network(), "teacher"), golden.model(network(), "student")
    for model in (teacher, student, student):
        run(model)
        model.try_dump()
    golden.finish()
    assert [store.name for store in golden.updates] == [
        "test_it[1].teacher.zarr.zip",
        "test_it[1].student.zarr.zip",
    ]
    golden.close()

    golden = opened()
    teacher = golden.model(network(approximate="tanh"), "teacher")
    student = golden.model(network(), "student")
    run(teacher)
    assert len(golden.check(teacher, phase="forward", atol=1e-3)) == 1
    with pytest.raises(AssertionError, match="NOT ALIGNED"):
        golden.check(teacher, phase="forward", mode="strict", atol=1e-6)
    with pytest.raises(UsageError, match="padiff_golden.model returned for student, got"):
        golden.finish()
    for _ in range(2):
        run(student)
        student.try_dump()
        golden.finish()
    (comparison,) = golden.check(student, steps=[1])
    assert {record.step for record in comparison.records} == {1}
    run(student)  # a step that the golden store has not: its partner is missing, all else agrees
    golden.finish()
    assert "Without a partner" in golden.texts[-1]


def test_what_is_recorded_is_kept_where_a_check_failed(opened: Open, tmp_path: Path) -> None:
    record(opened(update=True), network())
    assert not (tmp_path / "fresh").exists()
    golden = opened_and_run(opened, network(torch.nn.Tanh()))
    with pytest.raises(AssertionError, match=r"padiff-check 'golden/test_net/test_it\[1\]\.zarr"):
        golden.check()
    golden.close()
    assert [path.name for path in (tmp_path / "fresh").iterdir()] == ["test_it[1].zarr.zip"]


def test_statistics_alone(opened: Open) -> None:
    (store,) = record(opened(update=True), network(), tensors="statistics").updates
    assert (
        store.stat().st_size
        < record(opened(update=True), network(), name="full").place.store("full").stat().st_size
    )
    record(opened(), network(), tensors="statistics")
    golden = opened_and_run(opened, network(torch.nn.Tanh()))
    with pytest.raises(AssertionError, match="NOT ALIGNED"):
        golden.check()


def test_a_proxy_with_a_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "there/run.zarr.zip"
    model = ProxyModel(network(), home=home, keeping=Keeping(memory_limit=0))
    run(model)
    assert [path.name for path in tmp_path.iterdir()] == ["there"], "what is spilled lies there too"
    assert model.try_dump() == home / "step_0"
    assert [path.name for path in home.parent.iterdir()] == [home.name]
    other = copy.deepcopy(model)
    run(other)
    other.dump_report()
    reports = list(tmp_path.glob("padiff_dump/Sequential*/report"))  # numbered beside namesakes
    assert len(reports) == 1, "the home is not the copy's"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda golden: golden.check(), "returned, got none: wrap the model"),
        (lambda golden: golden.finish(), "returned, got none: wrap the model"),
        (
            lambda golden: (golden.model(network()), golden.check()),
            "for Sequential, got none",
        ),
        (
            lambda golden: [golden.model(network()) for _ in "ab"],
            "got two without one: give a name",
        ),
        (lambda golden: [golden.model(network(), "a") for _ in "ab"], "got a twice: give a name"),
        (
            lambda golden: (golden.model(network()), golden.check(create_model(network()))),
            "got <ProxyModel Sequential of a torch Sequential>: wrap",
        ),
    ],
)
def test_nothing_compared_is_no_agreement(
    opened: Open, wrong: Callable[[Golden], object], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        wrong(opened())
    shown = caught.traceback.filter(caught)
    assert {str(entry.path) for entry in shown} == {__file__}, "no line of padiff"


def test_names_are_safe_and_each_its_own(tmp_path: Path) -> None:
    tests = ["test_a[x/y]", "test_a[x=2Fy]", "test_a", "TestA.test_a[..]", "test_a[=5B]", "test_é"]
    stores = [Place(tmp_path, test).store(name) for test in tests for name in (None, "n", "../n")]
    assert len(set(stores)) == len(stores)
    for store in stores:
        assert store.parent == tmp_path
        store.touch()
    assert [path.name for path in Place(tmp_path, "test_a").stores()] == [
        "test_a.=2E./n.zarr.zip".replace("/", "=2F"),
        "test_a.n.zarr.zip",
        "test_a.zarr.zip",
    ]


KILLED = """
import os, signal, sys
from pathlib import Path

import padiff.golden as golden

def kill(event, arguments):
    if event == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
golden.put_in_place(*map(Path, sys.argv[2:]))
"""


@pytest.mark.parametrize("event", ["shutil.copyfile", "os.rename"])
def test_killed_while_a_store_is_replaced(tmp_path: Path, event: str) -> None:
    new, store = tmp_path / "new.zarr.zip", tmp_path / "golden/it.zarr.zip"
    store.parent.mkdir()
    store.write_bytes(b"as it was")
    new.write_bytes(b"as it is to be")
    command = [sys.executable, "-c", KILLED, event, str(new), str(store)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert store.read_bytes() == b"as it was"
    assert len(list(store.parent.iterdir())) == 2
    command[3] = "nothing"
    subprocess.run(command, check=True)
    assert store.read_bytes() == b"as it is to be"
    assert list(store.parent.iterdir()) == [store]


def test_a_file_system_that_refuses(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "golden").touch()
    with pytest.raises(WriteError, match="but the file system refused: Not a directory"):
        record(opened(update=True), network())
