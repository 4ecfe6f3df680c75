"""How long hooks stay on the user's tensors, and in which order gradients are told."""

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import ProxyModel, create_model, open_dump
from padiff.recording.draft import Captured, Draft, settled_orders
from padiff.recording.spool import InMemory
from tests.zoo import SIDES, ZOO, Side

both = pytest.mark.parametrize("framework", SIDES)


def started(framework: str) -> tuple[Side, ProxyModel, Any, Any]:
    side, twin = SIDES[framework], ZOO["residual"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    return side, proxy, x, side.loss(proxy(x))


def backward_tensors(proxy: ProxyModel, where: Path) -> int:
    proxy.dump_report(where)
    return sum(len(layer.backward) for layer in open_dump(where).report)


def listens(x: Any, framework: str, side: Side, proxy: ProxyModel) -> bool:
    """Whether a backward pass through `x` reaches the proxy's report."""
    if framework == "torch":
        return bool(x._backward_hooks)
    before = [
        len(draft.tensors) for root in proxy._recording._report.roots for draft in root.walk()
    ]
    side.loss(x * 1).backward()
    after = [len(draft.tensors) for root in proxy._recording._report.roots for draft in root.walk()]
    return before != after


@both
@pytest.mark.parametrize("end", ["backward", "clear_report", "try_dump"])
def test_no_hook_stays_on_an_input(framework: str, end: str, tmp_path: Path) -> None:
    side, proxy, x, loss = started(framework)
    assert listens(x, framework, side, proxy)
    arguments: dict[str, Any] = {
        "backward": {"loss": loss},
        "clear_report": {},
        "try_dump": {"per_step": 1, "dir_path": tmp_path},
    }
    getattr(proxy, end)(**arguments[end])
    assert not listens(x, framework, side, proxy)


@both
def test_no_hook_stays_when_the_proxy_is_gone(framework: str) -> None:
    side, proxy, x, loss = started(framework)
    report = weakref.ref(proxy._recording._report)
    assert listens(x, framework, side, proxy)
    del proxy
    gc.collect()
    assert report() is None
    loss.backward()
    assert framework == "paddle" or not x._backward_hooks


@both
@pytest.mark.parametrize("by_user", [False, True], ids=["proxy", "user"])
def test_a_report_that_was_dumped_still_awaits_gradients(
    framework: str, by_user: bool, tmp_path: Path
) -> None:
    side, proxy, x, loss = started(framework)
    assert backward_tensors(proxy, tmp_path) == 0
    loss.backward() if by_user else proxy.backward(loss)
    assert backward_tensors(proxy, tmp_path) == 4
    assert framework == "paddle" or not x._backward_hooks
    np.testing.assert_array_equal(open_dump(tmp_path).report[""].backward[0], side.grad(x))


def heads(framework: str, *, apart: bool) -> tuple[Any, Any]:
    """A model of two parts without a layer in common, and what it is given."""
    module = torch.nn if framework == "torch" else paddle.nn
    base: Any = module.Module if framework == "torch" else module.Layer

    class Heads(base):  # type: ignore[misc]  # one class for both
        def __init__(self) -> None:
            super().__init__()
            self.one = module.Sequential(module.Linear(4, 3), module.ReLU())
            self.two = module.Sequential(module.Linear(4, 3), module.ReLU())

        def forward(self, x: Any, y: Any) -> Any:
            return self.one(x), self.two(y)

    x, y = (ZOO["residual"].inputs(framework, seed)[0][0] for seed in range(2))
    return Heads(), (x, y if apart else x)


@both
@pytest.mark.parametrize("apart", [True, False])
def test_two_losses_of_one_call_each_have_their_pass(
    framework: str, apart: bool, tmp_path: Path
) -> None:
    side = SIDES[framework]
    model, inputs = heads(framework, apart=apart)
    proxy = create_model(model)
    losses = [side.loss(result) for result in proxy(*inputs)]
    for loss in losses:
        proxy.backward(loss)
    expected = [side.grad(x) for x in inputs]
    if framework == "torch":
        assert not any(x._backward_hooks for x in inputs)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    for place in range(2):
        np.testing.assert_array_equal(report[""].backward[place], expected[place])
    assert [len(layer.backward) for layer in report] == [2, 1, 1, 1, 1, 1, 1]


@both
@pytest.mark.parametrize("apart", [True, False])
def test_the_users_pass_through_what_ours_left(framework: str, apart: bool, tmp_path: Path) -> None:
    """It is taken; not so what is made of the inputs alone, before it and after."""
    side = SIDES[framework]
    model, inputs = heads(framework, apart=apart)
    copies = {id(x): side.tensor(side.numpy(x)) for x in inputs}
    for part, x in zip((model.one, model.two), inputs, strict=True):
        side.loss(part(copies[id(x)])).backward()
    proxy = create_model(model)
    one, two = proxy(*inputs)
    proxy.backward(side.loss(one))
    for loss in (x * 2 for x in inputs):
        side.loss(loss).backward()
    side.loss(two).backward()
    for loss in (x * 2 for x in inputs):
        side.loss(loss).backward()
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    for place, x in enumerate(inputs):
        np.testing.assert_array_equal(report[""].backward[place], side.grad(copies[id(x)]))
    assert [len(layer.backward) for layer in report] == [2, 1, 1, 1, 1, 1, 1]


@both
@pytest.mark.parametrize("by_user", [True, False])
def test_a_parameter_that_a_layer_is_given_is_not_the_runs(
    framework: str, by_user: bool, tmp_path: Path
) -> None:
    """Another call has it too; hooks of the first stay, as its second part is never reached."""
    side = SIDES[framework]
    module = torch.nn if framework == "torch" else paddle.nn
    base: Any = module.Module if framework == "torch" else module.Layer

    class Product(base):  # type: ignore[misc]  # of either framework
        def forward(self, x: Any, weight: Any) -> Any:
            return x @ weight

    class Model(base):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.one, self.two = module.Linear(4, 4), Product(), Product()

        def forward(self, x: Any) -> Any:
            x = self.fc(x)
            return self.one(x, self.fc.weight), self.two(x, self.fc.bias)

    model = Model()
    (x,), _ = ZOO["residual"].inputs(framework)
    proxy = create_model(model)
    proxy.backward(side.loss(proxy(x)[0]))
    proxy.dump_report(tmp_path / "once")
    result, _ = (model if by_user else proxy)(x)
    side.loss(result).backward() if by_user else proxy.backward(side.loss(result))
    proxy.dump_report(tmp_path / "twice")
    once, twice = (open_dump(tmp_path / name).report["one"] for name in ("once", "twice"))
    np.testing.assert_array_equal(once.backward[1], twice.backward[1])


@both
def test_what_another_model_makes_of_an_input_is_not_taken(framework: str, tmp_path: Path) -> None:
    """No gradient ever comes from the second part, so hooks of the runs are left on the input."""
    side = SIDES[framework]
    model, (x, _) = heads(framework, apart=False)
    proxy, other = create_model(model), create_model(model)
    for _ in range(2):
        proxy.backward(side.loss(proxy(x, x)[0]))
    expected = side.grad(x)
    other.backward(side.loss(other(x, x)[1]))
    side.loss(x * 2).backward()
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert expected is not None
    for call in range(2):
        np.testing.assert_array_equal(report["", call].backward[0], expected / 2)


@both
def test_a_run_that_waits_keeps_no_graph_alive(framework: str) -> None:
    side = SIDES[framework]
    model, (x, _) = heads(framework, apart=False)
    proxy = create_model(model)
    one, two = proxy(x, x)
    proxy.backward(side.loss(one))
    waiting = weakref.ref(two)
    assert waiting() is not None
    del two
    gc.collect()
    assert waiting() is None


@both
def test_no_hook_stays_after_a_backward_that_raises(framework: str) -> None:
    side, proxy, x, loss = started(framework)

    def fail(gradient: object) -> None:
        raise ArithmeticError("planted")

    hidden = proxy.model.up(x)
    hidden.register_hook(fail)
    # paddle hides what a hook raised behind an error of its own
    with pytest.raises(Exception, match="planted|hook"):
        proxy.backward(loss + side.loss(hidden))
    assert not listens(x, framework, side, proxy)


@both
def test_what_is_no_loss(framework: str) -> None:
    _, proxy, _, _ = started(framework)
    with pytest.raises(
        TypeError, match=f"expected a {framework} tensor as loss, got <class 'int'>"
    ):
        proxy.backward(3)


@both
def test_the_users_hooks_on_tensors_stay(framework: str) -> None:
    side, twin = SIDES[framework], ZOO["in-place"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    seen: list[str] = []
    x.register_hook(lambda gradient: seen.append("x"))

    def hook_result(layer: Any, inputs: Any, result: Any) -> None:
        result.register_hook(lambda gradient: seen.append("act"))

    proxy.model.act.register_forward_hook(hook_result)
    loss = side.loss(proxy(x))
    proxy.clear_report()
    loss.backward()
    assert seen == ["act", "x"]


@both
def test_the_users_hooks_change_what_is_recorded(framework: str, tmp_path: Path) -> None:
    """A fault planted by a hook is there for the caller, so it is there in the report."""
    side, twin = SIDES[framework], ZOO["residual"]
    model = twin.build(framework)
    model.up.register_forward_hook(lambda layer, inputs, result: result + 1)
    model.down.register_forward_pre_hook(lambda layer, inputs: (inputs[0] * 2,))
    proxy = create_model(model, inputs=True)
    (x,), _ = twin.inputs(framework)
    result = proxy(x)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    up = side.numpy(model.up.forward(x) + 1)
    np.testing.assert_array_equal(report["up"].forward[0], up)
    np.testing.assert_array_equal(report["act"].input[0], up)
    # what the caller gave, before the user's hook
    np.testing.assert_array_equal(report["down"].input[0], np.maximum(up, 0))
    np.testing.assert_array_equal(report[""].forward[0], side.numpy(result))


def test_a_finished_run_keeps_no_graph_alive() -> None:
    _, proxy, _, loss = started("torch")
    hidden: list[Any] = []
    handle = proxy.model.up.register_forward_hook(lambda *args: hidden.append(weakref.ref(args[2])))
    loss = SIDES["torch"].loss(proxy(torch.rand(3, 4, requires_grad=True)))
    handle.remove()
    proxy.backward(loss)
    del loss
    gc.collect()
    assert hidden[0]() is None


def gradient(order: int) -> Captured:
    return Captured("backward", "0", InMemory(np.zeros(1)), "cpu", order, "backward.0")


def draft(route: str, *tensors: Captured, children: tuple[Draft, ...] = ()) -> Draft:
    return Draft("L", route, "L()", 0, [], children=list(children), tensors=list(tensors))


def test_a_parents_gradient_is_told_after_its_childrens() -> None:
    """Both arrive in one moment, the parent's first, as its hook was there first."""
    first, last, parent, other = gradient(11), gradient(9), gradient(10), gradient(12)
    root = draft(
        "",
        children=(
            draft("a", other),
            draft("b", parent, children=(draft("b.0", first), draft("b.1", last))),
        ),
    )
    orders = settled_orders([root])
    assert [orders[id(c)] for c in (last, first, parent, other)] == [9, 10, 11, 12]


def test_a_gradient_that_comes_early_waits_for_what_is_inside() -> None:
    memory, x, inner = gradient(1), gradient(4), gradient(3)
    root = draft("", memory, x, children=(draft("0", inner, gradient(2)),))
    orders = settled_orders([root])
    assert sorted(orders.values()) == [1, 2, 3, 4]
    assert orders[id(inner)] < orders[id(memory)] < orders[id(x)]
