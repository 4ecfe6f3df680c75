"""Layers that the frameworks make in different ways, mapped as wholes."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

import padiff
from padiff import auto_diff, create_model, set_dump_root_path
from tests.zoo import SIDES

DIRECTIONS = [("torch", "paddle"), ("paddle", "torch")]
both_ways = pytest.mark.parametrize(
    ("base", "raw"), DIRECTIONS, ids=["-".join(pair) for pair in DIRECTIONS]
)
X = np.random.default_rng(0).standard_normal((4, 5, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def _root(tmp_path: Path) -> Any:
    before = padiff.get_dump_root_path()
    set_dump_root_path(tmp_path)
    yield
    set_dump_root_path(before)


class TorchNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.LSTM(8, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = torch.nn.Linear(16, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = torch.nn.BatchNorm1d(8)

    def forward(self, x: Any) -> Any:
        x = self.fc(self.rnn(x)[0])
        return self.norm(self.attention(x, x, x)[0].reshape([-1, 8]))


class PaddleNet(paddle.nn.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.rnn = paddle.nn.LSTM(8, 8, num_layers=2, direction="bidirect")
        self.fc = paddle.nn.Linear(16, 8)
        self.attention = paddle.nn.MultiHeadAttention(8, 2)
        self.norm = paddle.nn.BatchNorm1D(8)

    def forward(self, x: Any) -> Any:
        x = self.fc(self.rnn(x)[0])
        return self.norm(self.attention(x).reshape([-1, 8]))


NETS: dict[str, type] = {"torch": TorchNet, "paddle": PaddleNet}


def run(base: str, raw: str, *, mapped: bool, **options: Any) -> bool:
    for side in SIDES.values():
        side.seed(0)
    proxies = create_model(NETS[base]()), create_model(NETS[raw]())
    if mapped:
        assert proxies[0].auto_layer_map("base") == ("rnn", "attention", "norm")
        assert proxies[1].auto_layer_map("raw") == ("rnn", "attention", "norm")
    given = [{"x": SIDES[name].tensor(X)} for name in (base, raw)]
    settings: dict[str, Any] = {"atol": 1e-4, "compare_mode": "strict"} | options
    if "fault" in settings:
        assert padiff.assign_weight(*proxies)
        settings.pop("fault")(SIDES[raw], proxies[1].model)
        settings["auto_init"] = False
    return auto_diff(proxies[0], proxies[1], given, **settings)


@both_ways
@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("single_step", [False, True])
def test_twins_are_aligned(base: str, raw: str, mapped: bool, single_step: bool) -> None:
    assert run(base, raw, mapped=mapped, single_step=single_step)


@both_ways
def test_nothing_inside_is_recorded(base: str, raw: str, tmp_path: Path) -> None:
    assert run(base, raw, mapped=True)
    for label, name in (("base", base), ("raw", raw)):
        (home,) = (tmp_path / "auto_diff").glob(f"{label}_*")
        dump = padiff.open_dump(home)
        assert [n.route for n in dump.report.tree.walk()] == ["", "rnn", "fc", "attention", "norm"]
        assert dump.report.header.layer_map == ("rnn", "attention", "norm"), name


@both_ways
@pytest.mark.parametrize("single_step", [False, True])
def test_a_fault_inside_is_found_at_the_mapped_layer(
    base: str, raw: str, single_step: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(side: Any, model: Any) -> None:
        layers, name = side.named_layers(model), "out_proj"
        weight = layers[f"attention.{name}"].weight
        with torch.no_grad(), paddle.no_grad():
            weight.mul_(1.5) if isinstance(weight, torch.Tensor) else weight.set_value(weight * 1.5)

    assert not run(base, raw, mapped=True, single_step=single_step, fault=fault)
    out = capsys.readouterr().out
    assert "First divergence: Forward stage, step 0, output 0" in out
    assert out.count("*** HERE ***") == 2
    assert all("attention" in line for line in out.splitlines() if "*** HERE ***" in line)


def test_what_only_one_side_returns_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """torch's attention returns its weights too: that is no divergence."""
    assert run("torch", "paddle", mapped=True)
    assert "base  forward 1 of attention (MultiheadAttention) in report" in capsys.readouterr().out
