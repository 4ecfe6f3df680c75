"""The twins are twins, and faults are faults: else what is found between them says nothing."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.networks import NETWORKS, Network, OptimizerKind, copy_weights, optimizer
from tests.networks.copying import pairs
from tests.networks.planting import Setup, Site, through
from tests.zoo import SIDES, Side

_STATISTICS = ("._mean", "._variance")
Arrays = list[NDArray[Any] | None]


def assert_close(raw: Arrays, base: Arrays) -> None:
    assert len(raw) == len(base) > 0
    for ours, theirs in zip(raw, base, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-5)


def twins(network: Network, base: str) -> dict[str, Any]:
    """Both models, with the weights of the base's."""
    models = {framework: network.build(framework) for framework in SIDES}
    (raw,) = SIDES.keys() - {base}
    copy_weights(network, models[base], models[raw])
    return models


def train(network: Network, framework: str, model: Any, kind: OptimizerKind, steps: int) -> Arrays:
    """Outputs and gradients of the inputs, of every step."""
    side, found = SIDES[framework], Arrays()
    loss = network.loss(framework)
    rule = optimizer(framework, kind, model)
    for step in range(steps):
        inputs = network.inputs(framework, seed=step)
        result = model(**inputs)
        value = loss(result)
        value.backward()
        rule.step()
        rule.clear_grad() if framework == "paddle" else rule.zero_grad()
        found += [side.numpy(value), *map(side.numpy, side.tensors(result))]
        found += map(side.grad, inputs.values())
    return found


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_nothing_is_left_out_when_weights_are_copied(network: Network) -> None:
    ours, theirs = (network.build(framework) for framework in SIDES)
    copied = [(value, other) for _, value, other in pairs(network, ours, theirs)]
    assert all(value.shape == tuple(other.shape) for value, other in copied)
    expected = {id(tensor) for tensor in theirs.parameters()}  # running statistics among them
    assert {id(other) for _, other in copied} == expected
    assert len(copied) == len(expected)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_each_side_starts_from_weights_of_its_own(network: Network) -> None:
    models = [network.build(framework) for framework in SIDES]
    for name, value, other in pairs(network, *models):
        statistic = name.endswith(_STATISTICS)  # which every BatchNorm starts alike
        assert np.allclose(value.numpy(), SIDES["paddle"].numpy(other)) == statistic


@pytest.mark.parametrize("base", SIDES)
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_twins_stay_twins_while_they_are_trained(
    network: Network, base: str, kind: OptimizerKind
) -> None:
    models = twins(network, base)
    ours, theirs = (train(network, name, model, kind, steps=5) for name, model in models.items())
    assert_close(theirs, ours)
    learned = [
        (SIDES["paddle"].numpy(other), value.numpy())
        for name, value, other in pairs(network, models["torch"], models["paddle"])
        if not name.endswith("._variance")  # paddle's is of the batch, torch's of the population
    ]
    assert_close(*map(list, zip(*learned, strict=True)))


@pytest.mark.parametrize("base", SIDES)
def test_no_rounding_sends_a_token_to_another_expert(base: str) -> None:
    network = NETWORKS["experts"]
    for framework, model in twins(network, base).items():
        scores: list[NDArray[Any]] = []

        def keep(x: Any, side: Side = SIDES[framework], scores: Any = scores) -> Any:
            scores.append(np.sort(side.numpy(x)))
            return x

        setup = Setup(model, {}, network.loss(framework), None)
        for route in ("blocks.0.gate", "blocks.1.gate"):
            through(route, keep)(Site(framework, network, setup))
        model(**network.inputs(framework))
        assert len(scores) == 2
        for values in scores:  # of four experts, two are taken
            assert (values[:, 2] - values[:, 1]).min() > 1e-3
