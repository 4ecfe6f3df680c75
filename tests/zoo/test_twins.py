"""The twins are twins: without this, a difference found between them would say nothing."""

from typing import Any

import numpy as np
import pytest

from tests.zoo import SIDES, ZOO, Twin

RUNNING = {name: twin for name, twin in ZOO.items() if not twin.raises}


def assert_close(raw: list[Any], base: list[Any]) -> None:
    assert len(raw) == len(base) > 0
    for ours, theirs in zip(raw, base, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("twin", RUNNING.values(), ids=RUNNING)
def test_both_sides_give_the_same(twin: Twin) -> None:
    results = {}
    for name, side in SIDES.items():
        model = twin.build(name)
        model.eval()
        args, kwargs = twin.inputs(name)
        results[name] = [side.numpy(t) for t in side.tensors(model(*args, **kwargs))]
    assert_close(results["paddle"], results["torch"])


@pytest.mark.parametrize("twin", RUNNING.values(), ids=RUNNING)
def test_both_sides_pass_the_same_back(twin: Twin) -> None:
    gradients = {}
    for name, side in SIDES.items():
        model = twin.build(name)
        args, kwargs = twin.inputs(name)
        side.loss(model(*args, **kwargs)).backward()
        gradients[name] = [side.grad(tensor) for tensor in (*args, *kwargs.values())]
    assert_close(gradients["paddle"], gradients["torch"])
    assert twin.backward == any(gradient is not None for gradient in gradients["torch"])


@pytest.mark.parametrize("twin", ZOO.values(), ids=ZOO)
def test_both_sides_have_layers_of_one_route(twin: Twin) -> None:
    routes = [set(side.named_layers(twin.build(name))) for name, side in SIDES.items()]
    assert len(routes[0] & routes[1]) > 1


@pytest.mark.parametrize("name", SIDES)
def test_what_raises_does(name: str) -> None:
    args, kwargs = ZOO["broken"].inputs(name)
    with pytest.raises(ArithmeticError, match="planted"):
        ZOO["broken"].build(name)(*args, **kwargs)
