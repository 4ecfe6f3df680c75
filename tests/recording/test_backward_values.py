"""What a report holds of a backward pass is what the framework leaves in the inputs themselves."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff import create_model, open_dump
from tests.recording.runs import each_tensor, record
from tests.zoo import SIDES, ZOO, Side, Twin

# Their inputs change in place, or run without a graph: tested by themselves.
LEFT_OUT = ("in-place", "caught", "broken", "inward", "checkpoint", "checkpoint-reentrant")
PLAIN = {name: twin for name, twin in ZOO.items() if name not in LEFT_OUT}


def left_in_inputs(twin: Twin, side: Side) -> dict[tuple[str, int, int], Any]:
    """Gradients of each call's input tensors by route, call and number, from an unrecorded run."""
    model = twin.build(side.name)
    calls: Counter[str] = Counter()
    inputs: dict[tuple[str, int, int], Any] = {}

    def watch(route: str) -> Any:
        def hook(layer: Any, args: Any, kwargs: Any) -> None:
            for number, tensor in enumerate(side.tensors((args, kwargs))):
                if side.total(tensor) is not None:
                    getattr(tensor, "retain_grad" if side.name == "torch" else "retain_grads")()
                    inputs[route, calls[route], number] = tensor
            calls[route] += 1

        return hook

    for route, layer in side.named_layers(model).items():
        layer.register_forward_pre_hook(watch(route), with_kwargs=True)
    args, kwargs = twin.inputs(side.name)
    side.seed(3)
    side.loss(model(*args, **kwargs)).backward()
    gradients = {key: side.grad(tensor) for key, tensor in inputs.items()}
    return {key: gradient for key, gradient in gradients.items() if gradient is not None}


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("twin", PLAIN.values(), ids=PLAIN)
def test_every_input_has_its_gradient(twin: Twin, framework: str, tmp_path: Path) -> None:
    side = SIDES[framework]
    expected = left_in_inputs(twin, side)
    report = record(twin, framework, tmp_path / "run.zarr", inputs=True).report
    found = {}
    for node in report.tree.walk():
        places = [tensor.place for tensor in node.tensors if tensor.phase == "input"]
        for place, array in report[node.route, node.call].backward.items():
            found[node.route, node.call, places.index(place)] = np.asarray(array)
    assert found.keys() == expected.keys()
    assert len(found) > 1 or not twin.backward
    for key, gradient in expected.items():
        assert found[key].dtype == gradient.dtype
        np.testing.assert_array_equal(found[key], gradient, err_msg=str(key))


@pytest.mark.parametrize("framework", SIDES)
def test_a_change_in_place_does_not_spoil_gradients(framework: str, tmp_path: Path) -> None:
    """The in-place network's gradients are those of one that copies first."""
    side = SIDES[framework]
    twin = ZOO["in-place"]
    report = record(twin, framework, tmp_path / "run.zarr").report
    model = twin.build(framework)
    x = twin.inputs(framework)[0][0]
    first = model.fc1(x)
    second = model.fc2(first.clip(min=0))
    third = second.clip(min=0)
    loss = side.loss(model.fc3(third))
    keep = "retain_grad" if framework == "torch" else "retain_grads"
    for tensor in (first, third):
        getattr(tensor, keep)()
    loss.backward()
    np.testing.assert_array_equal(report["fc1"].backward[0], side.grad(x))
    np.testing.assert_array_equal(report["act"].backward[0], side.grad(first))
    np.testing.assert_array_equal(report["fc3"].backward[0], side.grad(third))
    assert np.count_nonzero(np.asarray(report["act"].backward[0]) == 0) > 0


@pytest.mark.parametrize("framework", SIDES)
def test_the_users_own_backward_is_recorded(framework: str, tmp_path: Path) -> None:
    side, twin = SIDES[framework], ZOO["residual"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    side.loss(proxy(x)).backward()
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    np.testing.assert_array_equal(report[""].backward["0"], side.grad(x))
    assert len(list(each_tensor(report, "backward"))) == 4


@pytest.mark.parametrize("framework", SIDES)
def test_two_passes_through_one_graph_add_up(framework: str, tmp_path: Path) -> None:
    side, twin = SIDES[framework], ZOO["residual"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    loss = side.loss(proxy(x))
    proxy.backward(loss, retain_graph=True)
    once = side.grad(x)
    proxy.backward(loss)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert once is not None
    np.testing.assert_array_equal(report[""].backward["0"], side.grad(x))
    np.testing.assert_array_equal(report[""].backward["0"], 2 * once)
    np.testing.assert_array_equal(report["up"].backward["0"], report["up"].backward[0])
    assert len(list(each_tensor(report, "backward"))) == 4


@pytest.mark.parametrize("framework", SIDES)
def test_two_calls_before_two_passes_keep_their_gradients(framework: str, tmp_path: Path) -> None:
    side, twin = SIDES[framework], ZOO["residual"]
    proxy = create_model(twin.build(framework))
    inputs = [twin.inputs(framework, seed=seed)[0][0] for seed in range(2)]
    losses = [side.loss(proxy(x)) for x in inputs]
    for loss in losses:
        proxy.backward(loss)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    for call, x in enumerate(inputs):
        np.testing.assert_array_equal(report["", call].backward["0"], side.grad(x))
    assert np.any(np.asarray(report["", 0].backward[0]) != np.asarray(report["", 1].backward[0]))


@pytest.mark.parametrize("framework", SIDES)
def test_gradients_are_copies_of_their_moment(framework: str, tmp_path: Path) -> None:
    side, twin = SIDES[framework], ZOO["residual"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    proxy.backward(side.loss(proxy(x)))
    expected = side.grad(x)
    x.grad.zero_() if framework == "torch" else x.clear_gradient()
    assert not np.any(side.grad(x))
    proxy.dump_report(tmp_path)
    np.testing.assert_array_equal(open_dump(tmp_path).report[""].backward["0"], expected)
    assert np.any(expected != 0)
