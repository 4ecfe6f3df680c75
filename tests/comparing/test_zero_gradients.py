"""A parameter that has no gradient on one side, and one of zeros on the other."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import create_model
from padiff.comparing.engine import compare
from padiff.store.format import SectionName
from tests.stores import Layer, write_dump


class TorchSwitch(torch.nn.Module):
    """Runs both of its layers, or the first alone."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.seldom = (torch.nn.Linear(2, 2) for _ in range(2))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(0.5)

    def forward(self, x: torch.Tensor, both: bool) -> Any:
        return self.seldom(self.always(x)) if both else self.always(x)


class PaddleSwitch(paddle.nn.Layer):  # type: ignore[misc]  # paddle has no types
    def __init__(self) -> None:
        super().__init__()
        half = paddle.nn.initializer.Constant(0.5)
        self.always, self.seldom = (paddle.nn.Linear(2, 2, half, half) for _ in range(2))

    def forward(self, x: Any, both: bool) -> Any:
        return self.seldom(self.always(x)) if both else self.always(x)


def train(where: Path, model: Any, optimizer: Any, clear: Any, x: Any) -> Path:
    """Two steps, of which the second does not use all parameters."""
    proxy = create_model(model, name="Switch")
    for both in (True, False):
        clear()
        proxy.backward(proxy(x, both).sum())
        proxy.try_dump(dir_path=where)
        optimizer.step()
    return where


@pytest.mark.parametrize("torch_first", [True, False])
def test_the_frameworks_may_clear_gradients_in_their_own_ways(
    tmp_path: Path, torch_first: bool
) -> None:
    """torch leaves none, paddle zeros."""
    base = TorchSwitch()
    sgd = torch.optim.SGD(base.parameters(), lr=0.125)
    one = train(tmp_path / "torch", base, sgd, sgd.zero_grad, torch.ones(1, 2))
    raw = PaddleSwitch()
    ported = paddle.optimizer.SGD(0.125, parameters=raw.parameters())
    other = train(tmp_path / "paddle", raw, ported, ported.clear_grad, paddle.ones([1, 2]))
    comparison = compare(*((one, other) if torch_first else (other, one)), strict_structure=True)
    assert comparison.aligned
    assert [
        (item.side, item.kind, item.section, item.step, item.route, item.phase, item.tensor)
        for item in comparison.unmatched
    ] == [
        ("raw" if torch_first else "base", "tensor", "params", 1, "seldom", "backward", name)
        for name in ("weight", "bias")
    ]


@pytest.mark.parametrize("section", ["params", "grads"])
@pytest.mark.parametrize("value", [0.0, 1e-200, -1.0, np.nan, np.inf])
def test_a_gradient_that_is_not_zero_is_missed(
    section: SectionName, value: float, tmp_path: Path
) -> None:
    grads = {"w": np.array([0.0, value]), "b": np.ones(2)}
    for side, held in (("base", grads), ("raw", {"b": np.ones(2)})):
        fc = Layer("fc", "Linear", weights={"w": np.ones(2), "b": np.ones(2)}, grads=held)
        write_dump(tmp_path / side, Layer("", "Net", children=[fc]), section=section)
    for names in (("base", "raw"), ("raw", "base")):
        assert compare(*(tmp_path / name for name in names)).aligned == (value == 0)


def test_a_parameter_of_zeros_is_missed(tmp_path: Path) -> None:
    for side, held in (("base", {"w": np.ones(2), "b": np.zeros(2)}), ("raw", {"w": np.ones(2)})):
        fc = Layer("fc", "Linear", weights=held)
        write_dump(tmp_path / side, Layer("", "Net", children=[fc]), section="params")
    assert not compare(tmp_path / "base", tmp_path / "raw").aligned
