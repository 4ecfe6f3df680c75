"""A forward that is run again while going back is recorded once."""

from pathlib import Path

import numpy as np
import pytest

from padiff import create_model, open_dump
from tests.recording.runs import record
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)
ONCE = ["", "first", "block", "block.up", "block.act", "block.down", "last"]


@both
@pytest.mark.parametrize("name", ["checkpoint", "checkpoint-reentrant"])
@pytest.mark.parametrize("by_user", [False, True], ids=["proxy", "user"])
def test_the_second_forward_is_not_recorded(
    framework: str, name: str, by_user: bool, tmp_path: Path
) -> None:
    side, twin = SIDES[framework], ZOO[name]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    runs: list[str] = []
    proxy.model.block.up.register_forward_pre_hook(lambda *_: runs.append("up"))
    loss = side.loss(proxy(x))
    loss.backward() if by_user else proxy.backward(loss)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert len(runs) == 2  # it did run again
    assert [(node.route, node.call) for node in report.tree.walk()] == [(r, 0) for r in ONCE]
    np.testing.assert_array_equal(report[""].backward[0], side.grad(x))


@both
def test_gradients_inside_a_checkpoint_are_those_without(framework: str, tmp_path: Path) -> None:
    side, twin = SIDES[framework], ZOO["checkpoint"]
    report = record(twin, framework, tmp_path).report
    model = twin.build(framework)
    (x,), _ = twin.inputs(framework)
    first = model.first(x)
    hidden = model.block.up(first)
    for tensor in (first, hidden):
        getattr(tensor, "retain_grad" if framework == "torch" else "retain_grads")()
    side.loss(model.last(first + model.block.down(model.block.act(hidden)))).backward()
    for route, tensor in {"block": first, "block.act": hidden}.items():
        expected = side.grad(tensor)
        assert expected is not None
        np.testing.assert_allclose(report[route].backward[0], expected, rtol=1e-6)


@both
def test_a_backward_pass_inside_the_forward(framework: str, tmp_path: Path) -> None:
    twin = ZOO["inward"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    runs: list[str] = []
    proxy.model.inner.block.up.register_forward_pre_hook(lambda *_: runs.append("up"))
    proxy(x)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert len(runs) == 2
    inner = [f"inner.{route}".rstrip(".") for route in ONCE]
    assert [(n.route, n.call) for n in report.tree.walk()] == [
        (route, 0) for route in ["", *inner, "fc"]
    ]
    assert len(report["inner.last"].backward) == 1  # that pass brought gradients


@both
def test_a_model_run_within_a_backward_pass_is_recorded(framework: str, tmp_path: Path) -> None:
    """By the proxy itself, called from a hook: that is no forward run again."""
    side, twin = SIDES[framework], ZOO["residual"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    (start,), _ = twin.inputs(framework)

    def run_again(gradient: object) -> None:
        proxy(x)

    start.register_hook(run_again)
    side.loss(start * 2).backward()
    proxy.dump_report(tmp_path)
    assert len(list(open_dump(tmp_path).report.tree.walk())) == 4
