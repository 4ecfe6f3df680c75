"""What sections tell those who compare them: by which run they were made, and when."""

from pathlib import Path
from typing import Any

import paddle
import pytest
import torch

from padiff import ProxyModel, create_model, open_dump
from padiff.comparing.planning import plan_dumps
from padiff.comparing.scope import PhaseChoice, Scope, pair_dumps
from padiff.store.reader import open_dumps
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)


def notes(base: Path, raw: Path, phase: PhaseChoice = "both") -> list[str]:
    scope = Scope(phase=phase)
    pairs, _ = pair_dumps(open_dumps(base), open_dumps(raw), scope)
    plans = [plan for pair in pairs for plan in plan_dumps(pair, scope)]
    return [note for plan in plans for note in plan.notes]


def proxy_of(framework: str) -> ProxyModel:
    return create_model(ZOO["residual"].build(framework))


def forward(proxy: ProxyModel) -> Any:
    (x,), _ = ZOO["residual"].inputs(proxy.framework)
    return SIDES[proxy.framework].loss(proxy(x))


def optimizer(proxy: ProxyModel, *, fused: bool = False) -> Any:
    if proxy.framework == "torch":
        return torch.optim.SGD(proxy.parameters(), lr=0.1, fused=fused)
    return paddle.optimizer.SGD(0.1, parameters=proxy.parameters())


def train(proxy: ProxyModel, where: Path, steps: int) -> Path:
    optimize = optimizer(proxy)
    for _ in range(steps):
        proxy.backward(forward(proxy))
        proxy.try_dump(dir_path=where)
        optimize.step()
    return where


@both
def test_runs_that_are_done_right_need_no_note(framework: str, tmp_path: Path) -> None:
    base, raw = (train(proxy_of(framework), tmp_path / side, 3) for side in ("base", "raw"))
    assert notes(base, raw) == []
    dump = open_dump(base / "step_2")
    assert (dump.report.header.backward, dump.params.header.updated) == (True, False)
    assert dump.report.header.run == dump.params.header.run
    assert dump.report.header.run != open_dump(raw / "step_2").report.header.run


@both
def test_a_shorter_run_leaves_steps_of_the_longer_one(framework: str, tmp_path: Path) -> None:
    base = train(proxy_of(framework), tmp_path / "base", 4)
    raw = train(proxy_of(framework), tmp_path / "raw", 4)
    train(proxy_of(framework), raw, 2)
    assert notes(base, raw) == [
        f"{raw}/step_2/report was written by another run than {raw}/step_1/params"
    ]


@both
def test_a_step_of_two_runs(framework: str, tmp_path: Path) -> None:
    base = train(proxy_of(framework), tmp_path / "base", 2)
    raw = train(proxy_of(framework), tmp_path / "raw", 2)
    proxy = proxy_of(framework)
    proxy.backward(forward(proxy))
    proxy.dump_report(raw, step=1)
    assert notes(base, raw) == [
        f"{raw}/step_1/report was written by another run than {raw}/step_0/params"
    ]


@both
@pytest.mark.parametrize("fused", [False, True])
def test_parameters_that_the_optimizer_has_changed(
    framework: str, fused: bool, tmp_path: Path
) -> None:
    base = train(proxy_of(framework), tmp_path / "base", 1)
    proxy = proxy_of(framework)
    proxy.backward(forward(proxy))
    optimizer(proxy, fused=fused).step()
    proxy.try_dump(dir_path=tmp_path / "raw")
    assert notes(base, tmp_path / "raw") == [
        f"the parameters in {tmp_path}/raw/step_0/params were changed after the call that was "
        "recorded: dump them before the optimizer's step"
    ]


def with_unused(framework: str) -> Any:
    """Twelve layers, and a parameter beside each that no output depends on."""
    module: Any = torch.nn if framework == "torch" else paddle.nn
    base: Any = torch.nn.Module if framework == "torch" else paddle.nn.Layer

    class Block(base):  # type: ignore[misc]  # of either framework
        def __init__(self) -> None:
            super().__init__()
            if framework == "torch":
                self.unused = torch.nn.Parameter(torch.ones(1))
            else:
                self.unused = self.create_parameter([1])
            self.fc = module.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.fc(x)

    return module.Sequential(*(Block() for _ in range(12)))


@both
def test_a_step_that_leaves_parameters_as_they_were(framework: str, tmp_path: Path) -> None:
    """Those that are not used have no gradient, and no optimizer changes them."""
    proxy = create_model(with_unused(framework))
    optimize = optimizer(proxy)
    x = torch.ones(1, 2) if framework == "torch" else paddle.ones([1, 2])
    proxy.backward(proxy(x).sum())
    proxy.dump_params(tmp_path)
    assert open_dump(tmp_path).params.header.updated is False
    optimize.step()
    proxy.dump_params(tmp_path)
    assert open_dump(tmp_path).params.header.updated is True


@both
def test_parameters_that_no_optimizer_has_changed(framework: str, tmp_path: Path) -> None:
    """Gradients add up over calls; without a call there is nothing to be older than."""
    proxy = proxy_of(framework)
    proxy.dump_params(tmp_path)
    assert open_dump(tmp_path).params.header.updated is None
    optimize = optimizer(proxy)
    for _ in range(2):
        proxy.backward(forward(proxy))
        proxy.dump_params(tmp_path)
        assert open_dump(tmp_path).params.header.updated is False
    optimize.step()
    forward(proxy)
    proxy.dump_params(tmp_path)
    assert open_dump(tmp_path).params.header.updated is False
    proxy.dump_weights(tmp_path)
    assert open_dump(tmp_path).weights.header.updated is None


def test_parameters_that_the_first_call_makes(tmp_path: Path) -> None:
    proxy = create_model(torch.nn.Sequential(torch.nn.LazyLinear(2), torch.nn.BatchNorm1d(2)))
    proxy.backward(proxy(torch.rand(3, 4)).mean())
    proxy.try_dump(dir_path=tmp_path)
    assert open_dump(tmp_path / "step_0").params.header.updated is False


@both
def test_a_side_without_a_backward_pass(framework: str, tmp_path: Path) -> None:
    base = train(proxy_of(framework), tmp_path / "base", 1)
    proxy = proxy_of(framework)
    forward(proxy)
    proxy.dump_report(tmp_path / "raw", step=0)
    (note,) = notes(base, tmp_path / "raw")
    assert note.startswith(f"raw ran no backward pass before {tmp_path}/raw/step_0/report was")
    assert notes(base, tmp_path / "raw", "forward") == []
