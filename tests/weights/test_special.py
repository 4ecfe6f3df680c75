"""Special inits: they go before the table, have the last word, and can fail without harm."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from paddle import nn as P
from torch import nn as T

from padiff import add_special_init, assign_weight, create_model
from padiff.render.outline import MARKER
from padiff.weights import special
from tests.weights.layers import map_layers
from tests.weights.test_failures import Capture, refused


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = dict(special._registered)
    yield
    special._registered.clear()
    special._registered.update(before)


class Packed(T.Module):
    """A layer of the user's that holds in one parameter what its twin holds in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.both = T.Parameter(torch.rand(8, 4))


class Apart(P.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.up = P.Linear(4, 4, bias_attr=False)
        self.down = P.Linear(4, 4, bias_attr=False)


def unpack(base: Any, raw: Any) -> None:
    both = base.both.detach().numpy()
    raw.up.weight.set_value(both[:4].T.copy())
    raw.down.weight.set_value(both[4:].T.copy())


def nets() -> tuple[Any, Any]:
    return (
        T.Sequential(T.Linear(4, 4), Packed(), Packed(), T.Linear(4, 2)),
        P.Sequential(P.Linear(4, 4), Apart(), Apart(), P.Linear(4, 2)),
    )


def assert_unpacked(base: Any, raw: Any) -> None:
    for at in (1, 2):
        both = base[at].both.detach().numpy()
        np.testing.assert_array_equal(raw[at].up.weight.numpy(), both[:4].T)
        np.testing.assert_array_equal(raw[at].down.weight.numpy(), both[4:].T)
    for at in (0, 3):
        np.testing.assert_array_equal(raw[at].weight.numpy(), base[at].weight.detach().numpy().T)


def test_it_is_called_for_every_pair_of_its_classes(capsys: Capture) -> None:
    base, raw = nets()
    log = refused(base, raw, capsys)
    assert 'add_special_init("torch", "Packed", "paddle", "Apart", func)' in log
    add_special_init("torch", "Packed", "paddle", "Apart", unpack)
    assert assign_weight(base, raw) is True
    assert_unpacked(base, raw)
    log = capsys.readouterr().out
    assert "copied 4 parameters and 0 buffers, set 2 layers by special inits" in log


class Narrow(T.Sequential):
    """A container whose layers are not those of its twin."""


class Wide(P.Sequential):  # type: ignore[misc]  # paddle ships no type information
    """Its twin."""


def test_what_is_inside_needs_no_partner(capsys: Capture) -> None:
    base: Any = T.Sequential(Narrow(T.Linear(4, 4), T.Linear(4, 4)), T.Linear(4, 4))
    raw = P.Sequential(Wide(P.Linear(4, 6), P.Linear(6, 4)), P.Linear(4, 4))
    refused(base, raw, capsys)
    add_special_init("torch", "Narrow", "paddle", "Wide", lambda b, r: None)
    inside = raw[0][0].weight.numpy()
    assert assign_weight(base, raw) is True
    np.testing.assert_array_equal(raw[0][0].weight.numpy(), inside)
    np.testing.assert_array_equal(raw[1].weight.numpy(), base[1].weight.detach().numpy().T)


def test_it_is_called_for_a_mapped_pair() -> None:
    add_special_init("torch", "Packed", "paddle", "Apart", unpack)
    base, raw = nets()
    models = create_model(base), create_model(raw)
    map_layers(models[0], "2", "1")
    map_layers(models[1], "1", "2")
    assert assign_weight(*models) is True
    np.testing.assert_array_equal(raw[1].up.weight.numpy(), base[2].both[:4].detach().numpy().T)


def test_it_goes_before_the_table_and_is_not_overwritten() -> None:
    def zero(base: Any, raw: Any) -> None:
        raw.weight.set_value(paddle.zeros_like(raw.weight))

    base, raw = T.Sequential(T.Linear(4, 4)), P.Sequential(P.Linear(4, 4))
    bias = raw[0].bias.numpy() + 1
    raw[0].bias.set_value(bias)
    add_special_init("torch", "Linear", "paddle", "Linear", zero)
    assert assign_weight(base, raw) is True
    assert not raw[0].weight.numpy().any()
    np.testing.assert_array_equal(raw[0].bias.numpy(), bias)


def test_a_tensor_that_a_plain_copy_goes_into_as_well_is_not_overwritten() -> None:
    def zero(base: Any, raw: Any) -> None:
        with torch.no_grad():
            raw.weight.zero_()

    base: Any = T.Sequential(T.Linear(4, 4), T.Embedding(4, 4))
    raw: Any = T.Sequential(T.Linear(4, 4), T.Embedding(4, 4))
    raw[0].weight = raw[1].weight
    add_special_init("torch", "Embedding", "torch", "Embedding", zero)
    assert assign_weight(base, raw) is True
    assert raw[0].weight is raw[1].weight
    assert not raw[1].weight.any()


def test_it_is_for_its_frameworks_and_for_the_last_function_alone() -> None:
    called: list[str] = []
    add_special_init("torch", "Linear", "torch", "Linear", lambda b, r: called.append("other"))
    add_special_init("torch", "Linear", "paddle", "Linear", lambda b, r: called.append("first"))
    add_special_init("torch", "Linear", "paddle", "Linear", lambda b, r: called.append("last"))
    assert assign_weight(T.Sequential(T.Linear(4, 4)), P.Sequential(P.Linear(4, 4))) is True
    assert called == ["last"]


def test_one_that_raises_leaves_raw_as_it_was(capsys: Capture) -> None:
    calls = []

    def breaks(base: Any, raw: Any) -> None:
        unpack(base, raw)
        calls.append(raw)
        if len(calls) == 2:
            raise ArithmeticError("planted")

    add_special_init("torch", "Packed", "paddle", "Apart", breaks)
    log = refused(*nets(), capsys)
    assert len(calls) == 2
    assert "The special init of this pair raised ArithmeticError: planted." in log
    assert "base  2 (Packed)\n" in log
    assert "raw   2 (Apart)\n" in log
    assert log.count(MARKER) == 2
    assert 'add_special_init("torch", "Packed", "paddle", "Apart", func)' in log


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
def test_what_it_replaced_is_put_back(error: type[BaseException], capsys: Capture) -> None:
    base: Any = T.Sequential(T.Linear(4, 4))
    raw: Any = T.Sequential(T.Linear(4, 4))
    base_weight = base[0].weight.detach().clone()
    weight, bias, values = raw[0].weight, raw[0].bias, raw[0].weight.detach().clone()
    address = weight.data_ptr()

    def replaces(base: Any, raw: Any) -> None:
        raw.weight.data = base.weight.data
        raw.bias = T.Parameter(torch.zeros(4))
        raw.extra = T.Parameter(torch.zeros(4))
        raise error

    add_special_init("torch", "Linear", "torch", "Linear", replaces)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            assign_weight(base, raw)
    else:
        assert assign_weight(base, raw) is False
    assert raw[0].weight is weight
    assert raw[0].bias is bias
    assert set(raw.state_dict()) == {"0.weight", "0.bias"}
    assert weight.data_ptr() == address
    assert torch.equal(weight, values)
    assert torch.equal(base[0].weight, base_weight)


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_a_parameter_replaced_by_one_of_its_shape_is_put_back(framework: str) -> None:
    """And what tells whether a layer is trained, and in which mode it is."""
    nn: Any = {"torch": T, "paddle": P}[framework]
    base, raw = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4))
    weight, bias = raw[0].weight, raw[0].bias

    def replaces(base: Any, raw: Any) -> None:
        raw.weight = base.weight
        raw.eval()
        if framework == "torch":
            bias.requires_grad_(False)
        else:
            bias.stop_gradient = True
        raise ArithmeticError

    add_special_init(framework, "Linear", framework, "Linear", replaces)
    assert assign_weight(base, raw) is False
    assert raw[0].weight is weight
    assert raw[0].training
    assert not bias.stop_gradient if framework == "paddle" else bias.requires_grad


def test_what_paddle_replaced_is_put_back() -> None:
    base, raw = P.Sequential(P.Linear(4, 4)), P.Sequential(P.Linear(4, 4))
    values, theirs = raw[0].weight.numpy(), base[0].weight.numpy()
    address = raw[0].weight.data_ptr()

    def replaces(base: Any, raw: Any) -> None:
        raw.weight.data = base.weight
        raise ArithmeticError

    add_special_init("paddle", "Linear", "paddle", "Linear", replaces)
    assert assign_weight(base, raw) is False
    np.testing.assert_array_equal(raw[0].weight.numpy(), values)
    np.testing.assert_array_equal(base[0].weight.numpy(), theirs)
    assert raw[0].weight.data_ptr() == address
    assert not raw[0].weight.stop_gradient


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jax", "A", "torch", "B", unpack), "base_framework to be torch or paddle, got 'jax'"),
        (("torch", "A", "Paddle", "B", unpack), "raw_framework to be torch or paddle, got 'Paddle"),
        (("torch", T.Linear, "paddle", "B", unpack), "base_name to be the name of a class"),
        (("torch", "A", "paddle", "", unpack), "raw_name to be the name of a class, got ''"),
        (("torch", "A", "paddle", "B", None), "expected a function of base's and raw's layer"),
    ],
)
def test_what_cannot_be_registered(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add_special_init(*arguments)
