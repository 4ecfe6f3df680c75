"""The demo's networks agree; a fault planted in any layer of either is named at that layer."""

from pathlib import Path
from typing import Any, Literal

import pytest

import padiff
from demo import paddle_side, torch_side
from demo.digits import batches
from tests.demo_faults import Fault, plant

Side = Literal["torch", "paddle"]
SIDES: dict[Side, Any] = {"torch": torch_side, "paddle": paddle_side}

LEAVES = [
    *("stem.0", "stem.1", "stem.2"),
    *(f"block.{name}" for name in ("conv1", "norm1", "act1", "conv2", "norm2", "act2")),
    *("pool", "norm", "hidden", "act", "head"),
]
PARENTS = ["stem", "block", ""]  # a fault of theirs lies between their layers

# An output 2 % too large, a gradient of the wrong sign: both beyond the default tolerances.
FACTORS: dict[Fault, float] = {"forward": 1.02, "backward": -1.0}


def layer_at(net: Any, route: str) -> Any:
    for name in filter(None, route.split(".")):
        net = getattr(net, name)
    return net


def run(
    side: Side, location: Path, steps: int = 1, fault: tuple[str, Fault, float] | None = None
) -> Path:
    """Train one side of the demo into a store, with or without a fault in one layer."""
    net = SIDES[side].DigitNet()
    if fault:
        route, kind, factor = fault
        plant(layer_at(net, route), kind, factor)
    SIDES[side].train(net, torch_side.initial_weights(), batches(steps, size=16), location)
    return location


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[Side, Path]:
    """One step of each side without a fault."""
    root = tmp_path_factory.mktemp("clean")
    return {side: run(side, root / f"{side}.zarr") for side in SIDES}


def test_every_layer_is_tried() -> None:
    net = torch_side.DigitNet()
    assert sorted(LEAVES + PARENTS) == sorted(name for name, _ in net.named_modules())


def test_three_steps_of_training_are_aligned(tmp_path: Path) -> None:
    base, raw = (run(side, tmp_path / f"{side}.zarr", steps=3) for side in SIDES)
    comparison = padiff.compare(base, raw)
    assert comparison.aligned
    assert {record.step for record in comparison.records} == {0, 1, 2}
    assert padiff.compare(base, raw, atol=1e-6).aligned


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fault", ["forward", "backward"])
@pytest.mark.parametrize("route", LEAVES + PARENTS, ids=lambda route: route or "model")
def test_a_planted_fault_is_named(
    clean: dict[Side, Path], tmp_path: Path, route: str, fault: Fault, side: Side
) -> None:
    faulty = run(side, tmp_path / "faulty.zarr", fault=(route, fault, FACTORS[fault]))
    stores = clean | {side: faulty}
    comparison = padiff.compare(stores["torch"], stores["paddle"])
    assert not comparison.aligned
    first = comparison.first_divergence
    assert first is not None
    assert (first.section, first.phase, first.base.route) == ("report", fault, route)


def test_a_gradient_is_as_small_as_its_tolerance_must_be(
    clean: dict[Side, Path], tmp_path: Path
) -> None:
    faulty = run("paddle", tmp_path / "faulty.zarr", fault=("block.norm1", "backward", 1.02))
    # the gradients are of 5e-4, the default atol is 1e-4
    assert padiff.compare(clean["torch"], faulty, sections=["report"]).aligned
    first = padiff.compare(clean["torch"], faulty, atol=1e-6).first_divergence
    assert first is not None
    assert (first.phase, first.base.route) == ("backward", "block.norm1")
