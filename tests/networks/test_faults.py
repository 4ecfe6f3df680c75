"""Every fault does what it says, on either framework, as is seen without padiff."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.networks import FAULTS, NETWORKS, Fault, OptimizerKind, Setup, optimizer
from tests.networks.faults import ALL_FAULTS
from tests.zoo import SIDES

Seen = list[tuple[str, list[NDArray[Any] | None]]]


def train(network: str, framework: str, kind: OptimizerKind, steps: int, fault: Any = None) -> Seen:
    """What a training shows from outside, cause before effect."""
    side, made = SIDES[framework], NETWORKS[network]
    model = made.build(framework)
    rule = optimizer(framework, kind, model)
    setup = Setup(model, made.inputs(framework), made.loss(framework), rule)
    if fault:
        fault.plant(framework, setup)
    parameters = side.named_parameters(model).values()
    seen: Seen = []
    side.seed(0)
    for _ in range(steps):
        seen.append(("Model inputs", [side.numpy(tensor) for tensor in setup.inputs.values()]))
        seen.append(("Weights", [side.numpy(parameter) for parameter in parameters]))
        result = setup.model(**setup.inputs)
        seen.append(("Forward stage", [side.numpy(tensor) for tensor in side.tensors(result)]))
        loss = setup.loss(result)
        seen.append(("Loss", [side.numpy(loss)]))
        loss.backward()
        tensors = [*setup.inputs.values(), *parameters]
        seen.append(("Gradients", [side.grad(tensor) for tensor in tensors]))
        setup.optimizer.step()
        seen.append(("Updated weights", [side.numpy(parameter) for parameter in parameters]))
        clear = "zero_grad" if framework == "torch" else "clear_grad"
        getattr(setup.optimizer, clear)()
        for tensor in setup.inputs.values():
            tensor.grad = None
    return seen


@cache
def clean(network: str, framework: str, kind: OptimizerKind, steps: int) -> Seen:
    return train(network, framework, kind, steps)


@cache
def routes(network: str, framework: str) -> set[str]:
    return set(SIDES[framework].named_layers(NETWORKS[network].build(framework)))


def parting(one: Seen, other: Seen) -> Iterator[str]:
    """Where two trainings are not the same, by more than the twins are."""
    for (stage, before), (_, after) in zip(one, other, strict=True):
        if any(_differ(*pair) for pair in zip(before, after, strict=True)):
            yield stage


def _differ(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is not other
    return one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=2e-5)


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_first_seen_in_its_stage(fault: Fault, framework: str) -> None:
    training = (fault.network, framework, fault.kind, fault.steps)
    # between layers one cannot look from outside: what has gone back comes out as gradients
    expected = "Gradients" if fault.stage == "Backward stage" else fault.stage
    assert next(parting(clean(*training), train(*training, fault))) == expected


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("network", NETWORKS)
def test_without_a_fault_nothing_is_seen(network: str, framework: str) -> None:
    again = train(network, framework, "adam", 2)
    assert list(parting(clean(network, framework, "adam", 2), again)) == []


def test_faults_of_all_stages_are_in_all_networks() -> None:
    assert len(FAULTS) == len(ALL_FAULTS)
    networks = Counter(fault.network for fault in ALL_FAULTS)
    assert networks.keys() == NETWORKS.keys()
    assert min(networks.values()) >= 8
    stages = Counter(fault.stage for fault in ALL_FAULTS)
    assert len(stages) == 7
    assert min(stages.values()) >= 5


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_at_a_layer_that_there_is(fault: Fault) -> None:
    for framework in SIDES:
        for route in (fault.layer[framework], fault.shown[framework]):
            assert route in routes(fault.network, framework) or (
                route == "*" and fault.stage == "Updated weights"
            )
