"""What one step of a loop is: told by its optimizers, or by calls of the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import padiff
from padiff import LoopRecording, open_dump
from padiff.errors import PadiffWarning
from padiff.store.reader import Dump, open_dumps
from tests.recording.loops import FRAMEWORKS, batch, made, optimizer_of, run
from tests.zoo import SIDES

both = pytest.mark.parametrize("framework", SIDES)


def dumped(recording: LoopRecording) -> list[Dump]:
    return [open_dump(location) for location in recording.dumped]


def calls(recording: LoopRecording) -> list[int]:
    """How often the model was called in each step."""
    return [len(dump.report.tree.roots) for dump in dumped(recording)]


@both
def test_several_optimizers_end_one_step(framework: str, tmp_path: Path) -> None:
    """The first of them, before it changes anything; one without a call before it is none."""
    model = made(framework)
    with padiff.record(model, tmp_path) as recording:
        head, tail = (optimizer_of(framework, part) for part in (model[0], model[4]))
        held = [SIDES[framework].numpy(model[n].weight) for n in (0, 4)]
        run(framework, model, [head, tail], steps=2)
        head.step()
    assert calls(recording) == [1, 1]
    params = dumped(recording)[0].params
    assert params.header.updated is False
    for route, weight in zip(("0", "4"), held, strict=True):
        np.testing.assert_array_equal(params[route].weight["weight"], weight)


def closed(framework: str, model: Any, optimizer: Any, losses: list[float]) -> Callable[[], Any]:
    """A closure that computes a loss, and its gradients."""

    def closure() -> Any:
        optimizer.zero_grad()
        loss = model(batch(framework, len(losses))).square().mean()
        loss.backward()
        losses.append(loss.item())
        return loss

    return closure


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")  # paddle's own LBFGS does
@both
@pytest.mark.parametrize("by_keyword", [False, True])
def test_a_closure_that_runs_again_and_again(
    framework: str, by_keyword: bool, tmp_path: Path
) -> None:
    """Recorded is its first run, with the weights that the step begins with."""
    runs = []
    for recorded in (False, True):
        model, losses = made(framework).eval(), list[float]()
        optimizer = optimizer_of(framework, model, kind="LBFGS", max_iter=4)
        closure = closed(framework, model, optimizer, losses)
        given: Any = ((), {"closure": closure}) if by_keyword else ((closure,), {})
        args, kwargs = given
        if recorded:
            with padiff.record(model, tmp_path) as recording:
                ends = [optimizer.step(*args, **kwargs).item() for _ in range(2)]
        else:
            ends = [optimizer.step(*args, **kwargs).item() for _ in range(2)]
        runs.append((losses, ends))
    assert runs[0] == runs[1]
    assert len(losses) > 4  # of two steps
    assert calls(recording) == [1, 1]
    for dump, end in zip(dumped(recording), ends, strict=True):
        assert dump.params.header.updated is False
        assert dump.report.header.backward
        output = np.asarray(dump.report[""].forward[0])
        assert np.square(output).mean() == pytest.approx(end)  # the loss of the first run


def test_a_closure_that_runs_once(tmp_path: Path) -> None:
    model, losses = made("torch"), list[float]()
    optimizer = optimizer_of("torch", model, kind="SGD")
    with padiff.record(model, tmp_path) as recording:
        for _ in range(3):
            optimizer.step(closed("torch", model, optimizer, losses))
    assert calls(recording) == [1, 1, 1]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "Momentum", "Lamb"])
def test_minimize_is_a_step(kind: str, tmp_path: Path) -> None:
    """And leaves the classes of paddle's optimizers, which have no hooks, as they were."""
    model = made("paddle")
    methods = [dict(vars(cls)) for cls in (paddle.optimizer.Optimizer, paddle.optimizer.AdamW)]
    optimizer = optimizer_of("paddle", model, kind=kind)
    with padiff.record(model, tmp_path) as recording:
        for seed in range(2):
            loss = model(batch("paddle", seed)).mean()
            loss.backward()
            optimizer.minimize(loss)
            optimizer.clear_grad()
    assert calls(recording) == [1, 1]
    assert all(dump.params.header.updated is False for dump in dumped(recording))
    assert methods == [
        dict(vars(cls)) for cls in (paddle.optimizer.Optimizer, paddle.optimizer.AdamW)
    ]


def test_an_optimizer_with_a_step_of_its_own(tmp_path: Path) -> None:
    """In paddle: it runs that of its base, which is no second step."""

    class Own(paddle.optimizer.SGD):  # type: ignore[misc]
        def step(self) -> None:
            super().step()

    model = made("paddle")
    optimizer = Own(learning_rate=0.1, parameters=[{"params": model.parameters()}])
    with padiff.record(model, tmp_path) as recording:
        run("paddle", model, [optimizer], steps=2)
    assert recording.step == 2


def test_a_scaler_that_skips_a_step(tmp_path: Path) -> None:
    """What the model did then is part of the step that comes of it."""
    model = made("torch")
    optimizer, scaler = optimizer_of("torch", model), torch.amp.GradScaler("cpu")
    with padiff.record(model, tmp_path) as recording:
        for factor in (1.0, float("inf"), 1.0):
            optimizer.zero_grad()
            scaler.scale(model(batch("torch", 0)).mean() * factor).backward()
            scaler.step(optimizer)
            scaler.update()
    assert calls(recording) == [1, 2]


@both
def test_calls_that_no_optimizer_has_ended(framework: str, tmp_path: Path) -> None:
    """They are dumped when the loop is over, and it is said."""
    model = made(framework)
    told = pytest.warns(PadiffWarning, match=r"after its last call, .* what 3 calls did is step 0")
    with told, padiff.record(model, tmp_path / "none") as recording:
        run(framework, model, steps=3)
    assert calls(recording) == [3]
    assert dumped(recording)[0].report.header.backward

    def loop() -> None:
        run(framework, model, [optimizer_of(framework, model)])
        run(framework, model)

    told = pytest.warns(PadiffWarning, match=r"what 1 call did is step 1, and record with step=")
    with told, padiff.record(model, tmp_path / "last") as recording:
        loop()
    assert calls(recording) == [1, 1]
    with padiff.record(model, tmp_path / "passed over", every=2) as recording:
        loop()
    assert calls(recording) == [1]


@both
def test_a_loop_of_which_nothing_is_recorded(framework: str, tmp_path: Path) -> None:
    model, x = made(framework), batch(framework, 0)
    told = pytest.warns(PadiffWarning, match="got 1 call under no_grad, and nothing was recorded")
    with told, padiff.record(model, tmp_path), FRAMEWORKS[framework].no_grad():
        model(x)
    told = pytest.warns(PadiffWarning, match=r"got no call that can be seen.* not its forward or")
    with told, padiff.record(model, tmp_path):
        model.forward(x)
    with pytest.warns(PadiffWarning, match="a recording of Sequential that was never entered"):
        padiff.record(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_calls_that_pile_up_are_told_early(tmp_path: Path, monkeypatch: Any) -> None:
    """A loop may run for hours, and its optimizer be of a kind that cannot be seen."""
    monkeypatch.setattr("padiff.loop._MANY", 3)
    model = made("torch")
    with padiff.record(model, tmp_path, tensors="statistics") as recording:
        for _ in range(2):
            model(batch("torch", 0))
        with pytest.warns(PadiffWarning, match="got 3 calls without: they are recorded as one"):
            model(batch("torch", 0))
        run("torch", model, [optimizer_of("torch", model)])
    assert recording.step == 1


class Again:
    """Mixed into a layer: it calls itself once."""

    def forward(self, x: Any, depth: int = 0) -> Any:
        return x + 1 if depth else self(x, depth=1)  # type: ignore[operator]


@both
def test_steps_told_by_calls(framework: str, tmp_path: Path) -> None:
    """With gradients or without; a call from inside of another is that one's."""
    framework_ = FRAMEWORKS[framework]
    base: Any = framework_.nn.Module if framework == "torch" else framework_.nn.Layer
    model = type("Twice", (Again, base), {})()
    with padiff.record(model, tmp_path / "run.zarr", step="forward", every=3) as recording:
        with framework_.no_grad():
            for seed in range(4):
                result = model(batch(framework, seed))
        model(batch(framework, 4))
        model.forward(batch(framework, 5), depth=1)  # which nobody sees
    np.testing.assert_array_equal(result.numpy(), batch(framework, 3).numpy() + 1)
    assert recording.step == 5
    assert calls(recording) == [1, 1]
    assert [step for step, _ in open_dumps(tmp_path / "run.zarr").dumps] == [0, 3]
    for step, dump in zip((0, 3), dumped(recording), strict=True):
        assert [(node.route, node.call) for node in dump.report.tree.walk()] == [("", 0), ("", 1)]
        np.testing.assert_array_equal(dump.report[""].input[0], batch(framework, step).numpy())


@both
def test_steps_of_a_training_told_by_calls(framework: str, tmp_path: Path) -> None:
    """Dumped when the call returns, before any backward: no hook of ours is left on a tensor."""
    model = made(framework)
    optimizer = optimizer_of(framework, model)
    with padiff.record(model, tmp_path, step="forward") as recording:
        for seed in range(2):
            loss = model(batch(framework, seed)).sum()
            assert len(recording.dumped) == seed + 1
            loss.backward()
            optimizer.step()
    assert calls(recording) == [1, 1]
    assert [dump.report.header.backward for dump in dumped(recording)] == [False, False]


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_around_the_model(reentrant: bool, tmp_path: Path) -> None:
    """The forward that is run again is no call, whether or not the first one had gradients."""
    model = made("torch")
    x = batch("torch", 0).requires_grad_()
    with padiff.record(model, tmp_path, step="forward") as recording:
        checkpoint(model, x, use_reentrant=reentrant).sum().backward()
    assert calls(recording) == [1]


@both
def test_a_model_that_raises(framework: str, tmp_path: Path) -> None:
    """The call leaves nothing; a loop that goes on is recorded further."""
    model = made(framework)
    optimizer = optimizer_of(framework, model)
    with padiff.record(model, tmp_path) as recording:
        for seed in range(3):
            try:
                model("no tensor" if seed == 1 else batch(framework, seed)).sum().backward()
            except (TypeError, AttributeError, ValueError):
                assert seed == 1
            optimizer.step()
    assert calls(recording) == [1, 1]
    assert not SIDES[framework].traces(model)


@both
def test_what_a_class_does_around_its_calls_is_done_once(framework: str, tmp_path: Path) -> None:
    model = made(framework)
    ran: list[object] = []

    class Counting(type(model)):  # type: ignore[misc]  # of either framework
        def __call__(self, *args: Any) -> Any:
            ran.append(self)
            return super().__call__(*args)

    model.__class__ = Counting
    with padiff.record(model, tmp_path) as recording:
        run(framework, model, [optimizer_of(framework, model)], steps=2)
    assert len(ran) == recording.step == 2
