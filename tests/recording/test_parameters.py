"""Sections of parameters: values, gradients, names of axes, order."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from click.testing import CliRunner

from padiff import compare, convert, create_model, open_dump
from padiff.cli.commands import group
from padiff.store.location import locate_for_reading
from tests.zoo import SIDES, ZOO, Side, Twin

both = pytest.mark.parametrize("framework", SIDES)


def trained(twin: Twin, side: Side) -> Any:
    proxy = create_model(twin.build(side.name))
    args, kwargs = twin.inputs(side.name)
    if not twin.raises:
        proxy.backward(side.loss(proxy(*args, **kwargs)))
    return proxy


@both
@pytest.mark.parametrize("twin", ZOO.values(), ids=ZOO)
def test_every_section_holds_what_the_model_does(
    twin: Twin, framework: str, tmp_path: Path
) -> None:
    side = SIDES[framework]
    proxy = trained(twin, side)
    for dump in (proxy.dump_params, proxy.dump_weights, proxy.dump_grads):
        dump(tmp_path)
    found = open_dump(tmp_path)
    values: dict[str, Any] = {}
    gradients: dict[str, Any] = {}
    for section, kinds in (("params", "wg"), ("weights", "w"), ("grads", "g")):
        for layer in found.section(section):  # type: ignore[arg-type]
            names = [layer.node.route] if layer.node.route else []
            if "w" in kinds:
                new = {".".join([*names, n]): np.asarray(a) for n, a in layer.weight.items()}
                for name in values.keys() & new.keys():
                    np.testing.assert_array_equal(values[name], new[name])
                values |= new
            if "g" in kinds:
                gradients |= {".".join([*names, n]): np.asarray(a) for n, a in layer.grad.items()}
            if "g" not in kinds:
                assert not layer.grad
            if "w" not in kinds:
                assert not layer.weight
    parameters = side.named_parameters(proxy.model)
    assert values.keys() == parameters.keys()
    for name, parameter in parameters.items():
        assert values[name].tobytes() == side.numpy(parameter).tobytes()
        gradient = side.grad(parameter)
        assert (gradient is not None) == (name in gradients)
        if gradient is not None:
            assert gradients[name].dtype == gradient.dtype
            np.testing.assert_array_equal(gradients[name], gradient)
    if twin.name in ("residual", "words", "encoder"):
        assert gradients.keys() == parameters.keys()


@both
def test_the_tree_is_the_models_in_definition_order(framework: str, tmp_path: Path) -> None:
    side = SIDES[framework]
    for name in ("shared", "encoder", "loop"):
        model = ZOO[name].build(framework)
        create_model(model).dump_weights(tmp_path / name)
        weights = open_dump(tmp_path / name).weights
        assert [node.route for node in weights.tree.walk()] == list(side.named_layers(model))
        (root,) = weights.tree.roots
        for node in root.walk():
            for child in node.children:
                assert child.route.rpartition(".")[0] == node.route
        orders = [n for node in root.walk() for n in (node.order, *(t.order for t in node.tensors))]
        assert orders == list(range(len(orders)))


@both
def test_axes_of_linear_weights_are_named(framework: str, tmp_path: Path) -> None:
    names = {"torch": ("out_features", "in_features"), "paddle": ("in_features", "out_features")}

    class Special(torch.nn.Linear if framework == "torch" else paddle.nn.Linear):  # type: ignore[misc]
        """A subclass, square: nothing but its class tells how it lies."""

    model = (torch.nn if framework == "torch" else paddle.nn).Sequential(
        Special(3, 3), ZOO["conv"].build(framework)
    )
    proxy = create_model(model)
    proxy.dump_params(tmp_path)
    params = open_dump(tmp_path).params
    dims = {
        (layer.node.route, tensor.place): tensor.dims
        for layer in params
        for tensor in layer.node.tensors
        if tensor.dims
    }
    assert dims == {("0", "weight"): names[framework], ("1.fc", "weight"): names[framework]}


@both
def test_a_tied_parameter_is_at_each_of_its_places(framework: str, tmp_path: Path) -> None:
    model = ZOO["loop"].build(framework)
    model.cell.up.bias = model.cell.down.bias
    create_model(model).dump_weights(tmp_path)
    weights = open_dump(tmp_path).weights
    bias = SIDES[framework].numpy(model.cell.up.bias)
    for route in ("cell.up", "cell.down"):
        np.testing.assert_array_equal(weights[route].weight["bias"], bias)


def language_model(framework: str, head: str) -> Any:
    """Embeds and predicts with one matrix: by one layer at two places, or by two that share it."""
    module: Any = torch.nn if framework == "torch" else paddle.nn
    base: Any = torch.nn.Module if framework == "torch" else paddle.nn.Layer
    size = (3, 5) if framework == "torch" else (5, 3)

    class Net(base):  # type: ignore[misc]  # of either framework
        def __init__(self) -> None:
            super().__init__()
            if head == "first":
                self.head = module.Linear(*size, **{BIAS[framework]: False})
            self.embed = module.Linear(*size, **{BIAS[framework]: False})
            if head in ("tied", "own"):
                self.head = module.Linear(*size, **{BIAS[framework]: False})
            if head in ("first", "tied"):
                self.head.weight = self.embed.weight
            if head == "shared":
                self.head = self.embed
            self.norm = module.LayerNorm(3)

    net = Net()
    values = np.linspace(-1, 1, 15, dtype="float32").reshape(5, 3)
    if framework == "torch":
        net.embed.weight.data.copy_(torch.from_numpy(values))
    else:
        net.embed.weight.set_value(values)
    return net


BIAS = {"torch": "bias", "paddle": "bias_attr"}


@both
@pytest.mark.parametrize("heads", [("shared", "tied"), ("tied", "shared"), ("shared", "first")])
@pytest.mark.parametrize("section", ["params", "weights"])
def test_a_parameter_that_one_side_holds_at_more_places_is_not_missing(
    framework: str, heads: tuple[str, str], section: str, tmp_path: Path
) -> None:
    for side, head in zip(("base", "raw"), heads, strict=True):
        proxy = create_model(language_model(framework, head))
        weight = proxy.model.embed.weight
        (weight**2).mean().backward()
        getattr(proxy, f"dump_{section}")(tmp_path / side)
    tying = open_dump(tmp_path / ("base" if heads[0] == "tied" else "raw"))
    tree = (tying.params if section == "params" else tying.weights).tree
    found = {tensor.tied for node in tree.walk() for tensor in node.tensors if tensor.tied}
    first = "head" if "first" in heads else "embed"
    suffixes = [".grad", ".weight"] if section == "params" else [""]
    assert found == {f"{first}/weight{suffix}" for suffix in suffixes}
    comparison = compare(tmp_path / "base", tmp_path / "raw")
    assert [(item.kind, item.route) for item in comparison.unmatched] == [("layer", "head")]
    assert comparison.aligned
    assert compare(tmp_path / "base", tmp_path / "raw", layers=["head", "norm"]).aligned


def test_a_tied_parameter_leads_to_an_array_wherever_the_section_lies(tmp_path: Path) -> None:
    """Behind a URL arrays lie below a name of their own, which those that are made anew lack."""
    urls = [f"memory://{tmp_path.name}/{name}.zarr" for name in ("run", "copy")]
    create_model(language_model("torch", "first")).dump_weights(urls[0])
    convert(urls[0], urls[1])
    convert(urls[1], tmp_path / "local.zarr")
    shared = create_model(language_model("torch", "shared"))
    shared.dump_weights(tmp_path / "shared.zarr")
    locations: list[str | Path] = [*urls, tmp_path / "local.zarr"]
    for location in locations:
        store, _ = locate_for_reading(location)
        records = [
            record
            for node in open_dump(location).weights.tree.walk()
            for record in node.tensors
            if record.tied
        ]
        assert [record.place for record in records] == ["weight"]
        for record in records:
            assert record.tied
            assert store.array(f"weights/{record.tied}").shape == record.shape
        assert compare(location, tmp_path / "shared.zarr").aligned
        shown = CliRunner().invoke(group, ["inspect", str(location)]).stdout
        assert "(tied to head.weight)" in shown


@both
def test_a_parameter_of_its_own_is_missing(framework: str, tmp_path: Path) -> None:
    for side, head in (("base", "shared"), ("raw", "own")):
        create_model(language_model(framework, head)).dump_params(tmp_path / side)
    first = compare(tmp_path / "base", tmp_path / "raw").first_divergence
    assert first is not None
    assert (first.status, first.raw.route) == ("missing", "head")


def test_what_paddle_lists_twice_is_there_once(tmp_path: Path) -> None:
    """Its LSTM lists the parameters of the cells inside it, under the names that torch has."""
    proxy = create_model(ZOO["recurrent"].build("paddle"))
    proxy.dump_weights(tmp_path / "all")
    weights = open_dump(tmp_path / "all").weights
    names = {f"{part}_l0" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    assert set(weights["lstm"].weight) == names
    assert set(weights["lstm.0.cell"].weight) == set()
    proxy.update_white_list(proxy.model.lstm[0].cell, "self")
    proxy.dump_weights(tmp_path / "cell")
    weights = open_dump(tmp_path / "cell").weights
    assert {f"{name}_l0" for name in weights["lstm.0.cell"].weight} == names


@both
def test_an_optimizer_step_between_two_sections(framework: str, tmp_path: Path) -> None:
    """The second section in one directory leaves the first as it was."""
    side = SIDES[framework]
    proxy = trained(ZOO["residual"], side)
    before = side.numpy(proxy.model.up.weight)
    gradient = side.grad(proxy.model.up.weight)
    proxy.dump_params(tmp_path)
    if framework == "torch":
        torch.optim.SGD(proxy.parameters(), lr=0.5).step()
    else:
        paddle.optimizer.SGD(0.5, parameters=proxy.parameters()).step()
    proxy.dump_weights(tmp_path)
    dump = open_dump(tmp_path)
    assert gradient is not None
    np.testing.assert_array_equal(dump.params["up"].weight["weight"], before)
    after = np.asarray(dump.weights["up"].weight["weight"])
    np.testing.assert_allclose(after, before - 0.5 * gradient, rtol=1e-6)
    assert np.any(after != before)


@both
def test_a_model_without_parameters(framework: str, tmp_path: Path) -> None:
    act = ZOO["residual"].build(framework).act
    create_model(act).dump_params(tmp_path)
    (root,) = open_dump(tmp_path).params.tree.roots
    assert (root.name, root.tensors) == ("ReLU", ())


def test_a_parameter_that_cannot_be_stored_is_named(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.LazyLinear(2), torch.nn.Linear(2, 2, device="meta"))
    create_model(model).dump_params(tmp_path)
    params = open_dump(tmp_path).params
    assert [note.place for note in params["0"].node.unrecorded] == ["weight", "bias"]
    assert "on the meta device" in params["1"].node.unrecorded[0].reason


@both
def test_the_header_says_where_it_comes_from(framework: str, tmp_path: Path) -> None:
    proxy = create_model(ZOO["residual"].build(framework), "My model")
    proxy.dump_weights(tmp_path)
    header = open_dump(tmp_path).weights.header
    module = torch if framework == "torch" else paddle
    assert (header.model, header.framework) == ("My model", framework)
    assert header.framework_version == str(module.__version__)
    assert header.created.endswith("+00:00")
