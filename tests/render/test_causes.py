"""What is said of the first divergence, in words that are true of it."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import create_model
from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.render.causes import cause
from padiff.store.format import SectionName
from tests.stores import Layer, write_dump

Y = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)
X = np.random.default_rng(0).standard_normal((2, 5, 8)).astype(np.float32)
NOISE = "Its gradients may be rounding noise"


class TorchAttention(torch.nn.Module):
    """The softmax undoes whatever the bias of `k` adds: the true gradient of that is 0."""

    q: torch.nn.Linear
    k: torch.nn.Linear
    v: torch.nn.Linear
    o: torch.nn.Linear

    def __init__(self) -> None:
        super().__init__()
        for name in "qkvo":
            self.add_module(name, torch.nn.Linear(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.q(x) @ self.k(x).transpose(-1, -2)
        mixed: torch.Tensor = self.o(torch.softmax(scores / 3, -1) @ self.v(x))
        return mixed


class PaddleAttention(paddle.nn.Layer):  # type: ignore[misc]  # paddle has no types
    def __init__(self, twin: TorchAttention) -> None:
        super().__init__()
        for name in "qkvo":
            layer = paddle.nn.Linear(8, 8)
            source = getattr(twin, name)
            layer.weight.set_value(source.weight.detach().numpy().T)
            layer.bias.set_value(source.bias.detach().numpy())
            self.add_sublayer(name, layer)

    def forward(self, x: Any) -> Any:
        scores = self.q(x) @ self.k(x).transpose([0, 2, 1])
        return self.o(paddle.nn.functional.softmax(scores / 3, -1) @ self.v(x))


def train(tmp_path: Path, *, raw_rate: float, weights: bool, faulty: str = "") -> tuple[Path, Path]:
    """Two steps of AdamW with each framework; with `weights` those that it made are dumped.

    Of a `faulty` layer raw takes steps of twice the size.
    """
    torch.manual_seed(0)
    base = TorchAttention()
    raw = PaddleAttention(base)
    tuned = torch.optim.AdamW(base.parameters(), lr=0.01)
    groups = [
        {
            "params": layer.parameters(),
            "learning_rate": 2.0 if name == faulty else 1.0,
        }
        for name, layer in raw.named_children()
    ]
    ported = paddle.optimizer.AdamW(raw_rate, parameters=groups, weight_decay=0.01)
    for model, optimizer, data, clear in (
        (base, tuned, torch.from_numpy(X), tuned.zero_grad),
        (raw, ported, paddle.to_tensor(X), ported.clear_grad),
    ):
        where = tmp_path / type(model).__name__
        proxy = create_model(model, name="Attention")
        for step in range(2):
            clear()
            proxy.backward(proxy(data).square().mean())
            proxy.try_dump(dir_path=where)
            optimizer.step()
            if weights:
                proxy.dump_weights(where, step=step)
    return tmp_path / "TorchAttention", tmp_path / "PaddleAttention"


def told(comparison: Comparison) -> str:
    first = comparison.first_divergence
    assert first is not None
    return cause(comparison, first)


@pytest.mark.parametrize("weights", [True, False])
def test_an_optimizer_that_scales_noise_up_is_not_blamed(tmp_path: Path, weights: bool) -> None:
    comparison = compare(*train(tmp_path, raw_rate=0.01, weights=weights), atol=1e-5, rtol=1e-5)
    first = comparison.first_divergence
    assert first is not None
    assert (first.base.route, first.base.tensor) == ("k", "bias")
    assert NOISE in told(comparison)
    assert weights or "They agreed in step 0." in told(comparison)


@pytest.mark.parametrize("weights", [True, False])
def test_a_fault_is_named_before_the_noise_of_layers_that_come_earlier(
    tmp_path: Path, weights: bool
) -> None:
    where = train(tmp_path, raw_rate=0.01, weights=weights, faulty="o")
    comparison = compare(*where, atol=1e-5, rtol=1e-5)
    first = comparison.first_divergence
    assert first is not None
    assert (first.base.route, first.base.tensor) == ("o", "weight")
    assert told(comparison).endswith("The gradients agree: the optimizers differ.")
    alike = (first.step, first.section, first.phase)
    routes = [
        (record.base.route, record.base.tensor)
        for record in comparison.records
        if record.diverged and (record.step, record.section, record.phase) == alike
    ]
    assert routes == [("o", "weight"), ("o", "bias"), ("k", "bias")]


@pytest.mark.parametrize("per_step", [1, 3])
def test_gradients_that_add_up_over_calls(tmp_path: Path, per_step: int) -> None:
    """The second of three calls is given something else, whether it is recorded or not."""
    torch.manual_seed(0)
    base = TorchAttention()
    for model, tensor, off in (
        (base, torch.from_numpy, 0),
        (PaddleAttention(base), paddle.to_tensor, 1),
    ):
        proxy = create_model(model, name="Attention")
        for call in range(3):
            data = X + np.float32(off * (call == 1))
            proxy.backward(proxy(tensor(data)).square().mean())
            if per_step > 1 or call == 2:
                proxy.try_dump(per_step, tmp_path / proxy.framework)
    comparison = compare(tmp_path / "torch", tmp_path / "paddle", atol=1e-5)
    first = comparison.first_divergence
    assert first is not None
    if per_step == 1:
        assert (first.phase, first.base.route, first.base.call) == ("input", "", 1)
        assert "fed different inputs" in told(comparison)
    else:
        assert (first.step, first.section, first.phase) == (2, "params", "backward")
        assert "add up over all passes since they were cleared" in told(comparison)


@pytest.mark.parametrize("weights", [True, False])
def test_an_optimizer_that_differs_is_blamed_whatever_noise_there_is(
    tmp_path: Path, weights: bool
) -> None:
    comparison = compare(*train(tmp_path, raw_rate=0.02, weights=weights), atol=1e-5, rtol=1e-5)
    assert told(comparison).endswith("The gradients agree: the optimizers differ.")
    narrow = compare(
        *(tmp_path / side for side in ("TorchAttention", "PaddleAttention")),
        atol=1e-5,
        rtol=1e-5,
        layers=["q"],
    )
    assert told(narrow).endswith("The gradients agree: the optimizers differ.")


def parameters(weight: float = 0, grad: float = 0, grads: bool = True) -> Layer:
    held = {"weight": Y + np.float32(grad)} if grads else {}
    fc = Layer("fc", "Linear", weights={"weight": Y + np.float32(weight)}, grads=held)
    return Layer("", "Net", children=[fc])


def test_gradients_that_only_a_large_tolerance_lets_agree_are_not_called_equal(
    tmp_path: Path,
) -> None:
    def model(weight: float, grad: float) -> Layer:
        small = Y * np.float32(1e-6)
        fc = Layer("fc", "Linear", weights={"w": Y + weight}, grads={"w": small * grad})
        far = Layer("far", "Linear", weights={"w": Y}, grads={"w": Y + weight * 1e-9})
        return Layer("", "Net", children=[fc, far])

    for side, values in (("base", (0.0, 1.0)), ("raw", (0.5, 1.5))):
        for section in ("grads", "weights"):
            name: SectionName = "grads" if section == "grads" else "weights"
            write_dump(tmp_path / side, model(*values), section=name)
    said = told(compare(tmp_path / "base", tmp_path / "raw"))
    assert said.startswith("Its gradients differ by 50% of their size, which atol 0.0001 allows")


def test_gradients_that_one_side_alone_has(tmp_path: Path) -> None:
    for side, by in (("base", 0), ("raw", 1)):
        fc = Layer("fc", "Linear", weights={"w": Y + by}, grads={"w": Y * by * 1e-6})
        for section in ("grads", "weights"):
            name: SectionName = "grads" if section == "grads" else "weights"
            write_dump(tmp_path / side, Layer("", "Net", children=[fc]), section=name)
    said = told(compare(tmp_path / "base", tmp_path / "raw"))
    assert said.startswith("Its gradients differ by more than their size, which atol")


def test_a_gradient_of_the_wrong_sign_is_no_noise(tmp_path: Path) -> None:
    """Small as it is, and though the layer beside it has a larger error."""
    small = Y * np.float32(1e-5)

    def model(weight: float, sign: float, error: float) -> Layer:
        fc = Layer("fc", "Linear", weights={"w": Y + weight}, grads={"w": small * sign})
        far = Layer("far", "Linear", weights={"w": Y}, grads={"w": Y + error})
        return Layer("", "Net", children=[fc, far])

    for side, values in (("base", (0.0, 1.0, 0.0)), ("raw", (0.5, -1.0, 9e-5))):
        for section in ("grads", "weights"):
            name: SectionName = "grads" if section == "grads" else "weights"
            write_dump(tmp_path / side, model(*values), section=name)
    said = told(compare(tmp_path / "base", tmp_path / "raw"))
    assert said.startswith("Its gradients differ by 200% of their size, which atol 0.0001 allows")


def steps(tmp_path: Path, *numbers: int) -> Comparison:
    for side in (0, 1):
        for at, step in enumerate(numbers):
            changed = parameters(0.5 * side * at)
            write_dump(tmp_path / str(side), changed, section="params", step=step)
    return compare(tmp_path / "0", tmp_path / "1")


def test_weights_that_agreed_earlier(tmp_path: Path) -> None:
    said = told(steps(tmp_path / "next", 0, 1))
    assert said == "They agreed in step 0. The gradients agree: the optimizers differ."
    said = told(steps(tmp_path / "later", 0, 10))
    assert said == "They agreed in step 0: what was done to them since then differs."
    assert "different weights" in told(
        compare(tmp_path / "next/0/step_1", tmp_path / "next/1/step_1")
    )


def lone(tmp_path: Path, section: SectionName, base: Layer, raw: Layer) -> tuple[str, str]:
    """The sentences for what raw lacks, and for what base lacks when they change sides."""
    locations = [
        write_dump(tmp_path / side, model, section=section)
        for side, model in (("base", base), ("raw", raw))
    ]
    return told(compare(*locations)), told(compare(*locations[::-1]))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for side, said in zip(
        ("raw", "base"),
        lone(tmp_path / "frozen", "params", parameters(), parameters(grads=False)),
        strict=True,
    ):
        assert said == f"The parameter has no gradient in {side}: it is frozen or not used there."
    other = Layer("", "Net", children=[*parameters().children, Layer("n", "N", weights={"w": Y})])
    for side, said in zip(
        ("raw", "base"), lone(tmp_path / "layer", "params", other, parameters()), strict=True
    ):
        assert said.startswith(f"A whole layer is absent in {side}")
        assert "a black or white list of that side alone" in said


class Three(torch.nn.Module):
    """One tensor that three layers take; the gradient that one of them passes back is `scale`d."""

    first: torch.nn.Linear
    q: torch.nn.Linear
    k: torch.nn.Linear
    v: torch.nn.Linear

    def __init__(self, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        for name in ("first", "q", "k", "v"):
            self.add_module(name, torch.nn.Linear(8, 8))
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        v = self.v(h)
        if v.requires_grad:
            v.register_hook(lambda gradient: gradient * self.scale)
        mixed: torch.Tensor = self.q(h) * self.k(h) * v
        return mixed


def test_a_gradient_that_several_layers_share_is_said_to_be_a_sum(tmp_path: Path) -> None:
    for side, scale in (("base", 1.0), ("raw", 1.5)):
        proxy = create_model(Three(scale), name="Three")
        proxy.backward(proxy(torch.from_numpy(X)).square().sum())
        proxy.dump_report(tmp_path / side)
    comparison = compare(tmp_path / "base", tmp_path / "raw", phase="backward")
    first = comparison.first_divergence
    assert first is not None
    assert first.base.route in ("q", "k", "v")
    said = told(comparison)
    assert "each shows the sum" in said
    seen = said.partition("The same is seen at ")[2].partition(":")[0]
    assert {first.base.route, *seen.split(", ")} == {"q", "k", "v"}


def test_a_gradient_of_one_layer_alone_is_no_sum(tmp_path: Path) -> None:
    def model(by: float) -> Layer:
        inner = Layer("inner", "Linear", out=Y, back=Y + np.float32(by))
        block = Layer("block", "Block", out=Y, back=Y + np.float32(by), children=[inner])
        return Layer("", "Net", out=Y, children=[block])

    locations = [write_dump(tmp_path / str(by), model(by)) for by in (0, 1)]
    assert "sum" not in told(compare(*locations))
