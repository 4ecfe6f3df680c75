"""What a report holds of a forward is what hooks of the framework itself see."""

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from padiff.tree import Phase
from tests.recording.runs import each_tensor, parents, record
from tests.zoo import SIDES, ZOO, Side, Twin

# A layer that raises or is run by a checkpoint has no such hook; they have tests of their own.
PLAIN = {name: twin for name, twin in ZOO.items() if name not in ("caught", "broken", "inward")}


def seen_by_hooks(twin: Twin, side: Side) -> dict[tuple[str, int], list[Any]]:
    """The result tensors of each call, by route and call, from an unrecorded run."""
    model = twin.build(side.name)
    calls: Counter[str] = Counter()
    seen: dict[tuple[str, int], list[Any]] = {}

    def watch(route: str) -> Any:
        def hook(layer: Any, inputs: Any, result: Any) -> None:
            seen[route, calls[route]] = [side.numpy(tensor) for tensor in side.tensors(result)]
            calls[route] += 1

        return hook

    for route, layer in side.named_layers(model).items():
        layer.register_forward_hook(watch(route))
    args, kwargs = twin.inputs(side.name)
    side.seed(3)
    model(*args, **kwargs)
    return seen


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("twin", PLAIN.values(), ids=PLAIN)
def test_every_call_and_every_tensor_is_there(twin: Twin, framework: str, tmp_path: Path) -> None:
    side = SIDES[framework]
    expected = seen_by_hooks(twin, side)
    report = record(twin, framework, tmp_path / "run.zarr").report
    found: dict[tuple[str, int], list[Any]] = {
        (node.route, node.call): [] for node in report.tree.walk()
    }
    for route, call, _, values in each_tensor(report, "forward"):
        found[route, call].append(values)
    assert found.keys() == expected.keys()
    for key, tensors in expected.items():
        assert len(tensors) == len(found[key]), key
        for ours, theirs in zip(found[key], tensors, strict=True):
            assert ours.dtype == theirs.dtype, key
            np.testing.assert_array_equal(ours, theirs, err_msg=str(key))


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("twin", PLAIN.values(), ids=PLAIN)
def test_events_are_in_order_of_execution(twin: Twin, framework: str, tmp_path: Path) -> None:
    report = record(twin, framework, tmp_path / "run.zarr", inputs=True).report
    orders = [node.order for node in report.tree.walk()]
    assert orders == sorted(orders)
    tensors = [tensor.order for node in report.tree.walk() for tensor in node.tensors]
    assert len({*orders, *tensors}) == len(orders) + len(tensors)
    for parent, child in parents(report):
        assert parent.order < child.order
        for inner in child.tensors:
            for outer in parent.tensors:
                if inner.phase == outer.phase and inner.phase != "input":
                    assert inner.order < outer.order, (parent.route, child.route, inner.phase)
    for node in report.tree.walk():
        kinds = [get_args(Phase).index(t.phase) for t in node.tensors]
        assert kinds == sorted(kinds)


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("inputs", [False, True])
def test_inputs_are_the_models_alone_unless_asked_for(
    framework: str, inputs: bool, tmp_path: Path
) -> None:
    run = record(ZOO["keywords"], framework, tmp_path / "run.zarr", inputs=inputs)
    side = SIDES[framework]
    found = {(r, place): values for r, _, place, values in each_tensor(run.report, "input")}
    model = {("", "0"): run.args[0], ("", "plus"): run.kwargs["plus"]}
    model["", "mask"] = run.kwargs["mask"]
    mixer = {("mixer", "0"): run.args[0], ("mixer.fc", "0"): run.args[0]}
    mixer["mixer", "others.plus"] = run.kwargs["plus"]
    mixer["mixer", "others.masks.0"] = run.kwargs["mask"]
    expected = model | mixer if inputs else model
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        np.testing.assert_array_equal(found[key], side.numpy(tensor))


@pytest.mark.parametrize("framework", SIDES)
def test_places_follow_the_structure(framework: str, tmp_path: Path) -> None:
    places = {
        "tuple": ["0", "1.0"],
        "mapping": ["pair.0", "pair.1", "1", "1~1"],
        "dataclass": ["logits", "hidden.0", "hidden.1"],
        "residual": ["0"],
    }
    for name, expected in places.items():
        report = record(ZOO[name], framework, tmp_path / f"{name}.zarr").report
        assert list(report[""].forward) == expected


@pytest.mark.parametrize("framework", SIDES)
def test_a_layer_without_tensors_still_has_a_node(framework: str, tmp_path: Path) -> None:
    report = record(ZOO["none"], framework, tmp_path / "run.zarr").report
    assert len(report["silent"].forward) == 0
    assert [child.route for child in report["silent"].node.children] == ["silent.fc"]


@pytest.mark.parametrize("framework", SIDES)
def test_a_node_says_what_it_is_and_who_called_it(framework: str, tmp_path: Path) -> None:
    report = record(ZOO["dataclass"], framework, tmp_path / "run.zarr").report
    node = report["named.split.fc"].node
    assert (node.name, node.type) == ("Linear", "net")
    assert node.repr.startswith("Linear(in_features=4, out_features=4")
    assert "\n" not in report[""].node.repr
    model_file = f"{framework}_models.py"
    inner = [(Path(f.file).name, f.function, f.code) for f in node.stack]
    assert inner[-1] == (model_file, "Split.forward", "y = self.fc(x)")
    assert inner[-3:-1] == [
        (model_file, "Data.forward", "found = self.named(x)"),
        (model_file, "Named.forward", "left, (right, nothing), number = self.split(x)"),
    ]
    assert not any("padiff/padiff" in f.file or "site-packages" in f.file for f in node.stack[-4:])
    assert len(node.stack) <= 8
