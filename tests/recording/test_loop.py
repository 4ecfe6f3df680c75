"""A loop that somebody else owns is recorded step by step, and computes what it always did."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padiff
from padiff import create_model, open_dump
from padiff.errors import OccupiedError, PadiffWarning, UsageError
from padiff.model import Options
from padiff.store.reader import open_dumps
from tests.recording.loops import batch, made, optimizer_of, train
from tests.zoo import SIDES

both = pytest.mark.parametrize("framework", SIDES)


@both
def test_every_so_many_steps_are_recorded(framework: str, tmp_path: Path) -> None:
    """With all parts of a batch, but no evaluation; what comes of the loop is what came of it."""
    plain = train(framework, made(framework))
    model = made(framework)
    with padiff.record(model, tmp_path / "run.zarr", every=2) as recording:
        recorded = train(framework, model)
    assert recorded.losses == plain.losses
    assert recorded.end == plain.end
    assert recording.step == 5
    assert recording.dumped == [tmp_path / "run.zarr" / f"step_{n}" for n in (0, 2, 4)]
    dumps = open_dumps(tmp_path / "run.zarr").dumps
    assert list(dumps) == [(0, None), (2, None), (4, None)]
    for (step, _), dump in dumps.items():
        assert step is not None
        assert dump.sections == ("report", "params")
        assert (dump.report.header.backward, dump.params.header.updated) == (True, False)
        assert [root.training for root in dump.report.tree.roots] == [True, True]
        for part in range(2):
            given = dump.report["", part].input[0]
            np.testing.assert_array_equal(given, batch(framework, 10 * step + part).numpy())
        np.testing.assert_array_equal(dump.params["0"].weight["weight"], plain.weights[step])
        np.testing.assert_array_equal(dump.params["0"].grad["weight"], plain.gradients[step])


@both
def test_two_runs_are_compared(framework: str, tmp_path: Path) -> None:
    for name, fault_at in (("base", None), ("raw", None), ("faulty", 2)):
        model = made(framework)
        with padiff.record(model, tmp_path / name, every=2):
            train(framework, model, fault_at=fault_at)
    found = padiff.compare(tmp_path / "base", tmp_path / "raw", mode="strict", atol=0, rtol=0)
    assert found.aligned
    assert found.totals.identical == found.totals.compared
    found = padiff.compare(tmp_path / "base", tmp_path / "faulty", mode="strict", atol=1e-6)
    first = found.first_divergence
    assert first is not None
    assert (first.step, first.phase) == (2, "forward")
    assert first.raw is not None
    assert (first.raw.route, first.raw.call) == ("2", 0)


@both
def test_other_steps_run_as_they_are(framework: str, tmp_path: Path) -> None:
    attribute = "_compiled_call_impl" if framework == "torch" else "_dygraph_call_func"
    model = made(framework)
    watched: list[bool] = []
    model[4].register_forward_pre_hook(
        lambda layer, _: watched.append(vars(layer).get(attribute) is not None)
    )
    with padiff.record(model, tmp_path, every=3):
        train(framework, model)
    each = [True, True, False], [False] * 3, [False] * 3, [True, True, False], [False] * 3
    assert watched == [seen for step in each for seen in step]


@both
@pytest.mark.parametrize("options", [{"inputs": True}, {"background": True, "memory_limit": 0}])
def test_options_mean_what_they_mean_to_create_model(
    framework: str, options: Any, tmp_path: Path
) -> None:
    """All is written when the loop is over, and what does not fit is spilled beside the dumps."""
    model = made(framework)
    padiff.set_dump_root_path(tmp_path / "root")
    with padiff.record(model, tmp_path / "run.zarr", name="net", **options):
        train(framework, model, steps=2)
    padiff.set_dump_root_path("padiff_dump")
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]
    assert not padiff.verify(tmp_path / "run.zarr").damages
    report = open_dump(tmp_path / "run.zarr" / "step_1").report
    assert report.header.model == "net"
    assert bool(report["4"].input) == ("inputs" in options)


def test_the_options_are_those_of_create_model() -> None:
    """With their types, as both tell them."""
    parameters = inspect.signature(create_model, eval_str=True).parameters
    told = {
        name: each.annotation
        for name, each in parameters.items()
        if name not in ("model", "unknown")
    }
    assert told == inspect.get_annotations(Options, eval_str=True)
    net = made("torch")
    with pytest.raises(TypeError, match=r"of padiff.record, got evry: is it every\?"):
        padiff.record(net, "run.zarr", evry=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"of padiff.create_model, got Input: is it inputs\?"):
        create_model(net, Input=True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"got evry: it has background, .*, name, on_error, .*rs$"):
        create_model(net, evry=2)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected memory_limit"):
        padiff.record(made("torch"), "run.zarr", memory_limit="much")


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", True, None])
def test_a_wrong_every(every: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected every to be a whole number from 1, got"):
        padiff.record(made("torch"), tmp_path, every=every)


def test_a_wrong_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected step to be 'optimizer' or 'forward', got"):
        padiff.record(made("torch"), tmp_path, step="loss")  # type: ignore[arg-type]
    with (
        pytest.raises(UsageError, match="call padiff.record again"),
        padiff.record(made("torch"), tmp_path) as recording,
        recording,
    ):
        raise AssertionError


@pytest.mark.parametrize("name", ["run.zarr", "run.h5", "run.zarr.zip"])
def test_where_dumps_lie_already(name: str, tmp_path: Path) -> None:
    """None of them is lost, nor mixed with those of another run: it is said before the loop."""
    model = made("torch")
    with padiff.record(model, tmp_path / name, every=4):
        train("torch", model)
    with pytest.raises(OccupiedError, match=r"found \S+step_0, \S+step_4: choose another place"):
        padiff.record(model, tmp_path / name)
    with pytest.raises(UsageError, match="the name of a directory"):
        padiff.record(model, tmp_path / "run.zip")
    with padiff.record(model, tmp_path / f"again_{name}", step="forward") as recording:
        model(batch("torch", 0))
    assert len(recording.dumped) == 1


@both
def test_a_dump_that_fails(framework: str, tmp_path: Path) -> None:
    """Raised where the optimizer steps."""
    (tmp_path / "mine.txt").write_text("a user's")
    model = made(framework)
    with (
        pytest.raises(OccupiedError, match="other files"),
        padiff.record(model, tmp_path, every=4) as recording,
    ):
        train(framework, model)
    assert (recording.step, recording.dumped) == (1, [])
    assert not SIDES[framework].traces(model)


@both
def test_a_dump_that_fails_with_a_warning(framework: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a user's")
    plain, model = train(framework, made(framework)), made(framework)
    with (
        pytest.warns(PadiffWarning, match="other files") as warned,
        padiff.record(model, tmp_path, every=4, on_error="warn") as recording,
    ):
        recorded = train(framework, model)
    assert sum(warning.category is PadiffWarning for warning in warned) == 2
    assert (recorded.losses, recorded.end) == (plain.losses, plain.end)
    assert (recording.step, recording.dumped) == (5, [])


def test_what_fails_in_the_background_is_told_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a user's")
    model = made("torch")
    with (
        pytest.raises(OccupiedError, match="other files"),
        padiff.record(model, tmp_path, every=100, background=True) as recording,
    ):
        train("torch", model)
    assert recording.step == 5


@both
def test_layers_are_chosen_before_the_loop(framework: str, tmp_path: Path) -> None:
    model = made(framework)
    with padiff.record(model, tmp_path, every=9) as recording:
        recording.model.update_white_list(model[4])
        train(framework, model)
    report = open_dump(tmp_path / "step_0").report
    assert [node.route for node in report.tree.walk()] == ["", "4"] * 2


@both
@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
@pytest.mark.parametrize("background", [False, True], ids=["at once", "background"])
def test_a_loop_that_ends_early_leaves_whole_steps(
    framework: str, error: type[BaseException], background: bool, tmp_path: Path
) -> None:
    """The step that was going on is left out, and what could be said of it."""
    model = made(framework)

    def end_early(layer: Any, inputs: Any) -> None:
        ran.append(layer)
        if len(ran) == 6:  # the second part of the third step
            raise error

    ran: list[Any] = []
    hook = model[4].register_forward_pre_hook(end_early)
    watched = padiff.record(model, tmp_path / "run.zarr", background=background)
    with pytest.raises(error), watched:
        train(framework, model, evaluates=False)
    hook.remove()
    dumps = open_dumps(tmp_path / "run.zarr").dumps
    assert [(step, dump.sections) for (step, _), dump in dumps.items()] == [
        (0, ("report", "params")),
        (1, ("report", "params")),
    ]
    assert not padiff.verify(tmp_path / "run.zarr").damages
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]
    assert not SIDES[framework].traces(model)


@both
def test_two_models_of_one_loop(framework: str, tmp_path: Path) -> None:
    """Each with its own steps, of whichever of the optimizers; the other's are none of them."""
    one, other = made(framework), made(framework)
    first, last = optimizer_of(framework, one), optimizer_of(framework, other)
    with (
        padiff.record(one, tmp_path / "one", name="one") as of_one,
        padiff.record(other, tmp_path / "other", name="other") as of_other,
    ):
        for step in range(4):
            (one(batch(framework, step)) + other(batch(framework, step))).sum().backward()
            first.step()
            if step % 2:
                last.step()
    assert (of_one.step, of_other.step) == (4, 2)
    assert len(open_dump(tmp_path / "other" / "step_1").report.tree.roots) == 2
