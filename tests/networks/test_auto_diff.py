"""Clean twins are aligned, and every fault is found where it is, in both directions."""

import pytest

from tests.networks import FAULTS, NETWORKS, Fault
from tests.networks.diffing import outcome

DIRECTIONS = [("torch", "paddle"), ("paddle", "torch")]
both_ways = pytest.mark.parametrize(
    ("base", "raw"), DIRECTIONS, ids=["-".join(pair) for pair in DIRECTIONS]
)


def test_there_are_enough_of_them() -> None:
    assert len(NETWORKS) >= 8
    assert len(FAULTS) >= 40
    assert {fault.network for fault in FAULTS.values()} == set(NETWORKS)


@both_ways
@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("network", NETWORKS)
def test_twins_are_aligned_through_five_steps(network: str, kind: str, base: str, raw: str) -> None:
    found = outcome(network, base, raw, kind=kind, steps=5)  # type: ignore[arg-type]
    assert found.aligned, found.log


@both_ways
@pytest.mark.parametrize("network", NETWORKS)
def test_twins_are_aligned_in_single_step(network: str, base: str, raw: str) -> None:
    found = outcome(network, base, raw, single_step=True)
    assert found.aligned, found.log


@both_ways
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_fault_is_found_where_it_is(fault: Fault, base: str, raw: str) -> None:
    found = outcome(fault.network, base, raw, fault, kind=fault.kind, steps=fault.steps)
    assert not found.aligned
    assert found.stage == fault.stage, found.log
    place = fault.layer[raw]
    inside = place not in ("", "*") and found.layer.startswith(f"{place}.")
    assert inside or found.layer in (fault.shown[raw], place) or "*" in place, found.log


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_fault_is_found_in_single_step(fault: Fault) -> None:
    # in one direction each, and half of them in either
    base, raw = DIRECTIONS[list(FAULTS).index(fault.name) % 2]
    options = {"kind": fault.kind, "steps": fault.steps}
    found = outcome(fault.network, base, raw, fault, single_step=True, **options)  # type: ignore[arg-type]
    assert not found.aligned
    # each layer has the right gradient to begin with: what is wrong may be its parameter's alone
    going_back = ("Backward stage", "Gradients")
    assert found.stage == fault.stage or {found.stage, fault.stage} == set(going_back), found.log


@both_ways
@pytest.mark.parametrize(
    "name",
    [
        "mlp: tanh GELU",
        "mlp: wrong activation gradient",
        "cnn: batch norm eps",
        "cnn: padding missing",  # of another shape than base's output
        "cnn: pool rounds up",
        "cnn: shortcut detached",
    ],
)
def test_in_single_step_a_fault_of_one_layer_is_seen_there_alone(
    name: str, base: str, raw: str
) -> None:
    fault = FAULTS[name]
    found = outcome(fault.network, base, raw, fault, single_step=True)
    assert (found.stage, found.layers) == (fault.stage, 1), found.log
