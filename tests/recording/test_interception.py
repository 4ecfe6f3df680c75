"""Watching calls changes neither how a layer runs nor what hangs on it."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import create_model, open_dump
from padiff.frameworks.interception import Interception
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)


def test_torchs_fused_encoder_stays_fused(tmp_path: Path) -> None:
    """Any hook would make it leave its inference kernel, and change bits."""
    model = ZOO["encoder"].build("torch").eval()
    (x,), _ = ZOO["encoder"].inputs("torch")
    ran: list[str] = []
    with torch.no_grad(), torch.profiler.profile() as profile:
        proxy = create_model(model)
        result = proxy(x)
    ran = [event.key for event in profile.key_averages()]
    assert any("_transformer_encoder_layer_fwd" in name for name in ran)
    with torch.no_grad():
        assert torch.equal(result, model(x))
        handle = model.encoder.layers[0].linear1.register_forward_hook(lambda *_: None)
        with torch.profiler.profile() as profile:
            model(x)
        handle.remove()
    hooked = [event for event in profile.key_averages() if "encoder_layer_fwd" in event.key]
    assert sum(event.count for event in hooked) == 1  # the hooked layer left it: the test can fail
    proxy.dump_report(tmp_path)
    routes = [node.route for node in open_dump(tmp_path).report.tree.walk()]
    assert routes == ["", "encoder", "encoder.layers.0", "encoder.layers.1", "fc"]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's compiler asks
def test_a_compiled_layer_is_seen_from_outside_only(tmp_path: Path) -> None:
    model = ZOO["loop"].build("torch")
    (x,), _ = ZOO["loop"].inputs("torch")
    expected = model(x)
    model.cell.compile(backend="eager")
    compiled = vars(model.cell)["_compiled_call_impl"]
    proxy = create_model(model)
    for _ in range(2):
        torch.testing.assert_close(proxy(x), expected)
    assert vars(model.cell)["_compiled_call_impl"] is compiled
    proxy.dump_report(tmp_path)
    (root, _) = open_dump(tmp_path).report.tree.roots
    assert [node.route for node in root.walk()] == ["", "cell", "cell", "cell"]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's compiler asks
def test_a_compiled_model_is_recorded(tmp_path: Path) -> None:
    model = ZOO["residual"].build("torch")
    (x,), _ = ZOO["residual"].inputs("torch")
    proxy = create_model(torch.compile(model, backend="eager"))
    torch.testing.assert_close(proxy(x), model(x))
    proxy.dump_report(tmp_path)
    (node,) = open_dump(tmp_path).report.tree.walk()
    assert len(node.tensors) == 2


def test_a_scripted_layer_is_seen_from_outside_only(tmp_path: Path) -> None:
    linear = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        scripted = torch.jit.script(linear)
    model = torch.nn.Sequential(scripted, torch.nn.Linear(4, 2))
    proxy = create_model(model)
    proxy(torch.rand(3, 4))
    proxy.dump_report(tmp_path)
    assert [n.route for n in open_dump(tmp_path).report.tree.walk()] == ["", "0", "1"]


@pytest.mark.filterwarnings("ignore")  # to_static warns of much that does not concern us
def test_a_layer_that_paddle_made_static_is_seen_from_outside_only(tmp_path: Path) -> None:
    model = ZOO["loop"].build("paddle")
    (x,), _ = ZOO["loop"].inputs("paddle")
    expected = model(x).numpy()
    model.cell = paddle.jit.to_static(model.cell, full_graph=True)
    proxy = create_model(model)
    for _ in range(2):
        np.testing.assert_allclose(proxy(x).numpy(), expected, rtol=1e-6)
    proxy.dump_report(tmp_path)
    (root, _) = open_dump(tmp_path).report.tree.roots
    assert [node.route for node in root.walk()] == ["", "cell", "cell", "cell"]


@both
def test_hooks_of_the_user_stay_as_they_were(framework: str) -> None:
    model = ZOO["residual"].build(framework)
    (x,), _ = ZOO["residual"].inputs(framework)
    ran: list[str] = []
    model.up.register_forward_pre_hook(lambda *_: ran.append("pre"))
    handle = model.up.register_forward_hook(lambda *_: ran.append("post"))
    before = {name: list(value) for name, value in vars(model.up).items() if "hooks" in name}
    proxy = create_model(model)
    proxy(x)
    assert ran == ["pre", "post"]
    assert before == {n: list(value) for n, value in vars(model.up).items() if "hooks" in n}
    handle.remove()
    proxy(x)
    assert ran == ["pre", "post", "pre"]


def pickled(layer: Any) -> Any:
    return pickle.loads(pickle.dumps(layer))


DUPLICATES = [copy.copy, copy.deepcopy, pickled]


@both
@pytest.mark.parametrize("duplicate", DUPLICATES)
@pytest.mark.parametrize("nested", [False, True])
def test_a_layer_copied_while_it_runs_is_itself(
    framework: str, duplicate: Any, nested: bool, tmp_path: Path
) -> None:
    side = SIDES[framework]
    model = ZOO["residual"].build(framework)
    (x,), _ = ZOO["residual"].inputs(framework)
    copies: list[Any] = []

    def copy_once(*_: Any) -> None:
        if not copies:
            copies.append(duplicate(model.up))
            copies[0](x)  # while the layer that it was made from is watched

    base: Any = torch.nn.Module if framework == "torch" else paddle.nn.Layer

    class Outer(base):  # type: ignore[misc]  # of either framework
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Any) -> Any:
            return proxy(x)

    model.act.register_forward_pre_hook(copy_once)
    proxy = create_model(model)
    plain = set(vars(model.up))
    create_model(Outer())(x) if nested else proxy(x)  # by one that watches, or by two
    (copied,) = copies
    assert vars(copied).keys() == vars(model.up).keys() == plain
    for value in vars(copied).values():
        assert not isinstance(value, Interception)
        assert not (isinstance(value, dict) and any("padiff" in repr(v) for v in value.values()))
    proxy.dump_report(tmp_path)
    assert [n.call for n in open_dump(tmp_path).report.tree.walk() if n.route == "up"] == [0]
    # a shallow copy shares the parameters until it gets its own
    zeros = side.tensor(np.zeros((3, 4), "float32"))
    copied.forward = lambda _: zeros
    assert not np.any(side.numpy(copied(x)))
    assert np.any(side.numpy(model.up(x)))


@both
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_layer_with_a_state_of_its_own_is_copied_by_it(framework: str, duplicate: Any) -> None:
    base: Any = torch.nn.Module if framework == "torch" else paddle.nn.Layer
    copies: list[Any] = []

    class Stateful(base):  # type: ignore[misc]  # of either framework
        def forward(self, x: Any) -> Any:
            if not copies:
                copies.append(duplicate(self))
            return x

        def __getstate__(self) -> Any:
            return (self.__dict__.copy(), "mine")

        def __setstate__(self, state: Any) -> None:
            self.__dict__.update(state[0])
            self.seen = state[1]

    (x,), _ = ZOO["residual"].inputs(framework)
    create_model(Stateful())(x)
    assert copies[0].seen == "mine"


def test_a_torch_model_pickled_while_it_runs() -> None:
    model = ZOO["residual"].build("torch")
    (x,), _ = ZOO["residual"].inputs("torch")
    pickled: list[bytes] = []

    class Saver(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            pickled.append(pickle.dumps(model))
            return x

    proxy = create_model(torch.nn.Sequential(model, Saver()))
    proxy(x)
    assert torch.equal(pickle.loads(pickled[0])(x), model(x))
