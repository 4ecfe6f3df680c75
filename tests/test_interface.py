"""The examples of the interface as its users wrote it, run as they stand."""

from pathlib import Path
from typing import Any

import paddle
import pytest
import torch

import padiff
from padiff import assign_weight, auto_diff, create_model, set_dump_root_path


class SimpleModule(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear1 = torch.nn.Linear(100, 10)

    def forward(self, x: Any) -> Any:
        return self.linear1(x)


class SimpleLayer(paddle.nn.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.linear1 = paddle.nn.Linear(100, 10)

    def forward(self, x: Any) -> Any:
        return self.linear1(x)


@pytest.fixture(autouse=True)
def _root(tmp_path: Path) -> Any:
    before = padiff.get_dump_root_path()
    set_dump_root_path(tmp_path)
    yield
    set_dump_root_path(before)


def test_auto_diff() -> None:
    module, layer = SimpleModule(), SimpleLayer()
    inp = paddle.rand((100, 100)).numpy().astype("float32")
    inputs = ({"x": torch.as_tensor(inp)}, {"x": paddle.to_tensor(inp)})
    options: dict[str, Any] = {"atol": 1e-4, "rtol": 0, "auto_init": True}
    options |= {"compare_mode": "strict", "single_step": False}
    assert auto_diff(module, layer, inputs, **options) is True


def test_assign_weight() -> None:
    module, layer = SimpleModule(), SimpleLayer()
    assert assign_weight(module, layer) is True
    weight = module.linear1.weight.detach().numpy()
    assert (weight == layer.linear1.weight.numpy().T).all()


def test_layer_map() -> None:
    model0 = create_model(SimpleModule(), name="Simple0")
    model1 = create_model(SimpleLayer(), name="Simple1")
    model0.set_layer_map([model0.model.linear1])
    model1.set_layer_map([model1.model.linear1])
    x = torch.rand(4, 100)
    inputs = ({"x": x}, {"x": paddle.to_tensor(x.numpy())})
    assert auto_diff(model0, model1, inputs, atol=1e-4, single_step=True, diff_phase="backward")


@pytest.mark.parametrize("single_step", [False, True])
@pytest.mark.parametrize("diff_phase", ["forward", "both"])
@pytest.mark.parametrize("compare_mode", ["mean", "strict"])
def test_every_option(single_step: bool, diff_phase: str, compare_mode: str) -> None:
    x = torch.rand(4, 100)
    inputs = ({"x": x}, {"x": paddle.to_tensor(x.numpy())})
    losses = (lambda y: y.sum(), lambda y: y.sum())
    module, layer = SimpleModule(), SimpleLayer()
    rules = None
    if diff_phase == "both":
        rules = (
            torch.optim.Adam(module.parameters()),
            paddle.optimizer.Adam(parameters=layer.parameters()),
        )
    assert auto_diff(
        module,
        layer,
        inputs,
        loss_fns=losses,
        optimizers=rules,
        atol=1e-4,
        rtol=1e-5,
        auto_init=True,
        compare_mode=compare_mode,
        diff_phase=diff_phase,
        single_step=single_step,
    )
