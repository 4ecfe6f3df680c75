"""What assigning weights asks of a framework: the same answers from both."""

from typing import Any

import ml_dtypes
import numpy as np
import paddle
import pytest
import torch
from paddle import nn as P
from torch import nn as T

from padiff.frameworks import framework_of
from tests.zoo import SIDES

LAYERS: dict[str, Any] = {"torch": T.Linear, "paddle": P.Linear}
DTYPES = ["float16", "float32", "float64", "int64", "bool", "complex64", "bfloat16"]
DTYPES += ["float8_e4m3fn", "float8_e5m2"]


def tensor(framework: str, dtype: str, shape: tuple[int, ...]) -> Any:
    if framework == "torch":
        return torch.ones(shape).to(getattr(torch, dtype))
    return paddle.ones(shape).astype(dtype)


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SIDES)
def test_elements_are_set_in_place_and_put_back(
    name: str, dtype: str, shape: tuple[int, ...]
) -> None:
    framework = framework_of(LAYERS[name](1, 1))
    held = tensor(name, dtype, shape)
    address, kind = held.data_ptr(), held.dtype
    restore = framework.keep(held)
    values = np.zeros(shape, getattr(ml_dtypes, dtype, None) or np.dtype(dtype))
    framework.assign(held, values)
    found = framework.to_host(held).values
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    assert (held.data_ptr(), held.dtype, tuple(held.shape)) == (address, kind, shape)
    restore()
    np.testing.assert_array_equal(framework.to_host(held).values, np.ones_like(values))
    assert held.data_ptr() == address


@pytest.mark.parametrize("name", SIDES)
def test_a_parameter_stays_a_leaf_that_is_trained(name: str) -> None:
    layer = LAYERS[name](2, 2)
    framework = framework_of(layer)
    restore = framework.keep(layer.weight)
    framework.assign(layer.weight, np.ones((2, 2), np.float32))
    restore()
    framework.assign(layer.weight, np.full((2, 2), 3, np.float32))
    assert framework.is_leaf(layer.weight)
    assert framework.wants_gradient(layer.weight)
    layer(SIDES[name].tensor(np.ones((1, 2), np.float32))).sum().backward()
    assert SIDES[name].grad(layer.weight) is not None


class OfTorch(T.Linear):
    """A user's layer."""


class OfPaddle(P.Linear):  # type: ignore[misc]  # paddle ships no type information
    """The same."""


@pytest.mark.parametrize("layer", [OfTorch(2, 2), OfPaddle(2, 2)])
def test_the_frameworks_own_classes(layer: Any) -> None:
    assert framework_of(layer).framework_classes(layer) == ("Linear",)


def test_layers_that_are_all_the_users_are_of_no_class_of_the_framework() -> None:
    for layer in (T.Module(), P.Layer()):
        assert framework_of(layer).framework_classes(layer) == ()


def test_buffers_are_what_is_saved_beside_parameters() -> None:
    layers: list[Any] = [T.BatchNorm1d(2), P.BatchNorm1D(2)]
    expected = [{"running_mean", "running_var", "num_batches_tracked"}, {"_mean", "_variance"}]
    for layer, names, make in zip(layers, expected, (torch.ones, paddle.ones), strict=True):
        framework = framework_of(layer)
        assert {name for name, _ in framework.buffers(layer)} == names
        assert {name for name, _ in framework.parameters(layer)} == {"weight", "bias"}
        layer.register_buffer("kept", make([2]))
        layer.register_buffer("dropped", make([2]), False)
        assert {name for name, _ in framework.buffers(layer)} == names | {"kept"}


def test_a_layer_at_two_places_is_there_twice() -> None:
    for layers in (T, P):
        inner = layers.ReLU()
        model = layers.Sequential(inner, inner)
        found = list(framework_of(model).sublayers(model))
        assert [(name, layer is inner) for name, layer in found] == [("0", True), ("1", True)]
