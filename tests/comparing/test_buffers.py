"""Running statistics: a port without a fault is aligned, a fault in them named."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import create_model
from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.comparing.records import CONVENTION
from padiff.render.causes import cause
from padiff.render.terminal import render
from padiff.render.words import stage
from tests.zoo import SIDES

X = np.random.default_rng(0).standard_normal((5, 6, 3)).astype(np.float32) * 2 + 1


def net(framework: str, momentum: float | None = None) -> Any:
    """Two batch norms with a linear layer between them, of the same weights each time."""
    weight = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)
    if framework == "torch":
        rate = 0.1 if momentum is None else momentum
        first: Any = torch.nn.BatchNorm1d(3)
        model: Any = torch.nn.Sequential(
            first, torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3, momentum=rate)
        )
        model[1].weight.data = torch.from_numpy(weight.T.copy())
        model[1].bias.data.fill_(0.5)
        return model
    rate = 0.9 if momentum is None else momentum
    model = paddle.nn.Sequential(
        paddle.nn.BatchNorm1D(3), paddle.nn.Linear(3, 3), paddle.nn.BatchNorm1D(3, momentum=rate)
    )
    model[1].weight.set_value(weight)
    model[1].bias.set_value(np.full(3, 0.5, np.float32))
    return model


def run(model: Any, where: Path, *, sections: tuple[str, ...] = ("report", "params")) -> Path:
    """Some calls of batches that differ, each dumped as a step."""
    proxy = create_model(model, name="Net")
    side = SIDES[proxy.framework]
    for step, batch in enumerate(X):
        proxy.backward(side.loss(proxy(side.tensor(batch))))
        for section in sections:
            getattr(proxy, f"dump_{section}")(where, step=step)
        proxy.clear_report()
    return where


def compared(tmp_path: Path, base: Any, raw: Any, **options: Any) -> Comparison:
    sections = options.pop("dumped", ("report", "params"))
    stores = [run(m, tmp_path / n, sections=sections) for n, m in (("base", base), ("raw", raw))]
    return compare(*stores, **options)


@pytest.mark.parametrize("mode", ["mean", "strict"])
@pytest.mark.parametrize("order", [("torch", "paddle"), ("paddle", "torch")])
def test_a_port_without_a_fault_is_aligned(
    order: tuple[str, str], mode: str, tmp_path: Path
) -> None:
    models = [net(framework) for framework in order]
    options: dict[str, Any] = {"mode": mode, "atol": 1e-5, "strict_structure": True}
    comparison = compared(tmp_path, *models, **options)
    assert comparison.aligned
    assert CONVENTION in comparison.notes
    assert CONVENTION in " ".join(render(comparison).split())
    buffers = [record for record in comparison.records if record.buffer]
    assert len(buffers) == len(X) * 2 * 2
    assert {record.buffer for record in buffers} == {"updated"}
    noted = {(r.base.tensor or "").lstrip("_") for r in buffers if r.note == CONVENTION}
    assert noted in ({"running_var"}, {"variance"})
    alone = {(item.kind, item.tensor) for item in comparison.unmatched}
    assert alone == {("buffer", "num_batches_tracked")}
    assert "buffer num_batches_tracked of 2 layers" in render(comparison)


def test_parameters_alone_are_aligned_too(tmp_path: Path) -> None:
    """Without a report it is not known how many values a variance is of."""
    models = net("torch"), net("paddle")
    comparison = compared(tmp_path, *models, atol=1e-5, dumped=("weights",))
    assert comparison.aligned
    assert CONVENTION in comparison.notes


def test_two_of_one_framework_keep_one_variance(tmp_path: Path) -> None:
    models = net("torch"), net("torch")
    with torch.no_grad():
        models[1][2].running_var.mul_(1.02)
    first = compared(tmp_path, *models, atol=1e-5).first_divergence
    assert first is not None
    assert (first.base.route, first.base.tensor) == ("2", "running_var")


def test_a_variance_further_apart_than_the_convention_explains(tmp_path: Path) -> None:
    models = net("torch"), net("paddle")
    models[1][2]._variance.set_value(models[1][2]._variance * 1.5)
    comparison = compared(tmp_path, *models, atol=1e-5)
    first = comparison.first_divergence
    assert first is not None
    assert (first.step, first.raw.route, first.raw.tensor) == (0, "2", "_variance")
    assert stage(first) == "Buffers"
    assert "All outputs agree: the forward pass changes it" in cause(comparison, first)


def test_a_wrong_momentum_comes_after_the_forward_and_before_the_backward(tmp_path: Path) -> None:
    comparison = compared(tmp_path, net("torch"), net("paddle", momentum=0.1))
    first = comparison.first_divergence
    assert first is not None
    assert (stage(first), first.step) == ("Buffers", 0)
    assert (first.base.route, first.base.tensor) == ("2", "running_mean")
    stages = [stage(record) for record in comparison.records if record.step == 0]
    assert [name for name in dict.fromkeys(stages) if stages.count(name) > 1] == [
        *("Weights", "Forward stage", "Buffers", "Backward stage", "Gradients")
    ]
    assert stages.index("Buffers") > max(i for i, s in enumerate(stages) if s == "Forward stage")


def test_buffers_are_causes_in_evaluation_mode(tmp_path: Path) -> None:
    models = net("torch").eval(), net("paddle")
    models[1].eval()
    models[1][2]._mean.set_value(np.ones(3, np.float32))
    comparison = compared(tmp_path, *models)
    first = comparison.first_divergence
    assert first is not None
    assert (first.section, first.base.tensor, first.buffer) == ("params", "running_mean", "given")
    assert "hold different buffers" in cause(comparison, first)
    later = [stage(record) for record in comparison.records if record.diverged and record.step == 0]
    assert "Forward stage" in later


def test_a_buffer_changed_by_later_passes(tmp_path: Path) -> None:
    models = net("torch"), net("torch")
    stores = [run(model, tmp_path / name) for name, model in zip("ab", models, strict=True)]
    proxy = create_model(models[1], name="Net")
    proxy(torch.from_numpy(X[0]) + 1)
    proxy.dump_params(stores[1], step=4)
    comparison = compare(*stores, sections=["params"])
    first = comparison.first_divergence
    assert first is not None
    assert (first.step, first.base.tensor) == (4, "running_mean")
    assert cause(comparison, first).startswith("They agreed in step 3")
