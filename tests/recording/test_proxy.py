"""create_model, and what a proxy is besides a recorder."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from padiff import ProxyModel, create_model, open_dump, set_dump_root_path
from padiff.errors import UsageError
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)


@both
def test_names(framework: str) -> None:
    model = ZOO["residual"].build(framework)
    assert create_model(model).name == "Residual"
    assert create_model(model, name="Mine").name == "Mine"
    assert create_model(model).model is model
    assert create_model(model).framework == framework
    for wrong in ("", 3):
        with pytest.raises(UsageError, match="expected a name of at least one character, got"):
            create_model(model, wrong)  # type: ignore[arg-type]


@both
def test_a_proxy_stands_for_its_model(framework: str) -> None:
    model = ZOO["residual"].build(framework)
    first = create_model(model, "first")
    second = create_model(first)
    assert second is not first
    assert (second.model, second.name) == (model, "Residual")


@pytest.mark.parametrize("thing", [object(), None, 3, [1], int])
def test_what_is_no_model(thing: object) -> None:
    with pytest.raises(TypeError, match="expected a torch.nn.Module or a paddle.nn.Layer, got "):
        create_model(thing)


@both
def test_what_the_proxy_lacks_is_the_models(framework: str) -> None:
    model = ZOO["residual"].build(framework)
    proxy = create_model(model)
    assert proxy.up is model.up
    assert len(list(proxy.parameters())) == 4
    assert proxy.state_dict().keys() == model.state_dict().keys()
    proxy.eval()
    assert model.training is False
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = proxy.no_such_thing
    assert repr(proxy) == f"<ProxyModel Residual of a {framework} Residual>"


@both
def test_a_method_that_returns_the_model_returns_the_proxy(framework: str, tmp_path: Path) -> None:
    model = ZOO["residual"].build(framework)
    (x,), _ = ZOO["residual"].inputs(framework)
    proxy = create_model(model)
    assert proxy.to("cpu") is proxy
    if framework == "torch":
        assert proxy.eval().train().float().requires_grad_().cpu() is proxy
    assert proxy.apply(lambda layer: None) is proxy
    assert proxy.up.to("cpu") is model.up
    assert proxy.state_dict.__name__ == "state_dict"
    assert next(iter(proxy.children())) is model.up
    proxy.to("cpu")(x)
    proxy.dump_report(tmp_path)
    assert len(open_dump(tmp_path).report) == 4


@both
def test_a_proxy_can_be_half_made(framework: str) -> None:
    """As copying makes them: looking for the model must not look for the model."""
    with pytest.raises(AttributeError, match="model"):
        _ = ProxyModel.__new__(ProxyModel).anything
    assert copy.copy(create_model(ZOO["residual"].build(framework))).name == "Residual"


@both
def test_layers_may_come_and_go_between_calls(framework: str, tmp_path: Path) -> None:
    model = ZOO["residual"].build(framework)
    (x,), _ = ZOO["residual"].inputs(framework)
    proxy = create_model(model)
    proxy(x)
    model.act = type(model.up)(6, 6)
    proxy(x)
    proxy.dump_report(tmp_path)
    names = [[n.name for n in root.walk()] for root in open_dump(tmp_path).report.tree.roots]
    assert names == [["Residual", "Linear", kind, "Linear"] for kind in ("ReLU", "Linear")]


def pickled(proxy: ProxyModel) -> Any:
    return pickle.loads(pickle.dumps(proxy))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_records_and_dumps_for_itself(tmp_path: Path, duplicate: Any) -> None:
    set_dump_root_path(tmp_path)
    try:
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
        proxy = create_model(model)
        proxy.update_black_list(model[1], "self")
        proxy(torch.ones(1, 2))
        other = duplicate(proxy)
        other(torch.ones(1, 2))
        places = [proxy.try_dump(), other.try_dump()]
    finally:
        set_dump_root_path("padiff_dump")
    assert [place and place.parent.name for place in places] == ["Sequential", "Sequential_1"]
    for place in places:
        assert [layer.node.route for layer in open_dump(str(place)).report] == ["", "0"]
