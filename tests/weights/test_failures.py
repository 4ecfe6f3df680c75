"""What cannot be copied is told, with its place on both sides, and raw stays as it was."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from paddle import nn as P
from torch import nn as T

from padiff import assign_weight, create_model
from padiff.render.outline import MARKER
from tests.weights.layers import map_layers, randomise, tensors_of
from tests.zoo import SIDES

Capture = pytest.CaptureFixture[str]


def contents(framework: str, model: Any) -> dict[str, tuple[bytes, str, int]]:
    """Every tensor's elements, type and identity."""
    side = SIDES[framework]
    return {
        name: (side.numpy(tensor).tobytes(), str(tensor.dtype), id(tensor))
        for name, tensor in tensors_of(framework, model).items()
    }


def refused(base: Any, raw: Any, capsys: Capture) -> str:
    """The log of a copy that fails and changes nothing."""
    model = getattr(raw, "model", raw)
    framework = "torch" if isinstance(model, T.Module) else "paddle"
    before = contents(framework, model)
    assert assign_weight(base, raw) is False
    assert contents(framework, model) == before
    log = capsys.readouterr().out
    assert log.startswith("assign_weight: FAILED, raw is as it was\n")
    return log


def net(*, bias: bool = True, width: int = 4, extra: bool = False) -> Any:
    """A paddle model of two blocks; the second block's first layer as it is asked for."""
    second = P.Linear(4, width, bias_attr=None if bias else False)
    if extra:
        second.gate = second.create_parameter([2])
    first = P.Sequential(P.Linear(4, 4), P.BatchNorm1D(4))
    return P.Sequential(first, P.Sequential(second, P.ReLU()))


def torch_net() -> Any:
    model = T.Sequential(
        T.Sequential(T.Linear(4, 4), T.BatchNorm1d(4)), T.Sequential(T.Linear(4, 4), T.ReLU())
    )
    randomise("torch", model, 3)
    return model


def assert_marked(log: str, *names: str) -> None:
    """Both trees have the marker at the layer, and nothing else."""
    marked = [line for line in log.splitlines() if MARKER in line]
    assert sum(line.count(MARKER) for line in marked) == len(names)
    text = "\n".join(marked)
    assert all(f"{name}  {MARKER}" in text for name in names)


@pytest.mark.parametrize(
    ("raw", "reason", "sides"),
    [
        (
            lambda: net(bias=False),
            "Parameter bias has no partner in raw.",
            ("base  1.0 (Linear)  parameter bias  [4]\n", "raw   1.0 (Linear)\n"),
        ),
        (
            lambda: net(extra=True),
            "Parameter gate has no partner in base.",
            ("base  1.0 (Linear)\n", "raw   1.0 (Linear)  parameter gate  [2]\n"),
        ),
        (
            lambda: net(width=5),
            "The shapes do not go together.",
            (
                "base  1.0 (Linear)  parameter weight  [4, 4]\n",
                "raw   1.0 (Linear)  parameter weight  [4, 5], which is [5, 4] in the common",
            ),
        ),
    ],
)
def test_a_parameter_that_does_not_fit(
    raw: Callable[[], Any], reason: str, sides: tuple[str, str], capsys: Capture
) -> None:
    log = refused(torch_net(), raw(), capsys)
    assert reason in log
    assert all(side in log for side in sides)
    assert_marked(log, "0 (Linear)", "0 (Linear)")
    assert assign_weight(torch_net(), net()) is True


def test_a_layer_without_partner(capsys: Capture) -> None:
    raw = P.Sequential(*net(), P.LayerNorm(4))
    log = refused(torch_net(), raw, capsys)
    assert "The layer has no partner in base: it holds bias [4], weight [4]." in log
    assert "base  (no such layer)\n" in log
    assert "raw   2 (LayerNorm)\n" in log
    assert "set_layer_map" in log
    assert_marked(log, "2 (LayerNorm)")


def test_models_that_have_nothing_in_common(capsys: Capture) -> None:
    log = refused(T.Conv2d(3, 4, 3), P.Sequential(P.LSTM(3, 4), P.Embedding(3, 4)), capsys)
    assert "(Conv2d)" in log
    assert "(LSTM)" in log


class Mine(P.Layer):  # type: ignore[misc]  # paddle ships no type information
    """What a Linear is, laid out in a way that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.create_parameter([4, 4])


@pytest.mark.parametrize("base", [T.Linear, P.Linear])
def test_a_layer_that_only_one_side_has_from_its_framework(base: Any, capsys: Capture) -> None:
    bias = {"bias": False} if base is T.Linear else {"bias_attr": False}
    log = refused(base(4, 4, **bias), Mine(), capsys)
    assert "Padiff knows how base's layer lays out its weights, and not how raw's does." in log
    framework = "torch" if base is T.Linear else "paddle"
    assert f'add_special_init("{framework}", "Linear", "paddle", "Mine", func)' in log
    assert_marked(log, "Linear", "Mine")


def test_a_weight_that_is_computed_from_others(capsys: Capture) -> None:
    # of one name and shape in both, and transposed
    ours: Any = T.utils.spectral_norm(T.Linear(4, 4))
    theirs = P.utils.spectral_norm(P.Linear(4, 4))
    assert dict(ours.named_parameters())["weight_orig"].shape == (4, 4)
    assert dict(theirs.named_parameters())["weight_orig"].shape == [4, 4]
    log = refused(ours, theirs, capsys)
    assert "Padiff does not know how these layers lay out their weights." in log
    twin: Any = T.utils.spectral_norm(T.Linear(4, 4))
    assert assign_weight(ours, twin) is True
    assert torch.equal(twin.weight_orig, ours.weight_orig)
    assert torch.equal(twin.weight_u, ours.weight_u)


def test_layers_of_the_users_of_other_shapes(capsys: Capture) -> None:
    ours = T.Module()
    ours.weight = T.Parameter(torch.rand(4, 5))
    log = refused(ours, Mine(), capsys)
    assert 'add_special_init("torch", "Module", "paddle", "Mine", func)' in log


def test_a_pair_of_the_layer_map_that_cannot_be_copied(capsys: Capture) -> None:
    base, raw = create_model(torch_net()), create_model(net(bias=False))
    map_layers(base, "1")
    map_layers(raw, "1")
    log = refused(base, raw, capsys)
    assert 'add_special_init("torch", "Sequential", "paddle", "Sequential", func)' in log


def test_layer_maps_of_two_lengths(capsys: Capture) -> None:
    base, raw = create_model(torch_net()), create_model(net())
    map_layers(base, "0", "1")
    map_layers(raw, "1")
    assert "The layer map of base has 2 layers (0, 1), that of raw has 1 layers (1)." in refused(
        base, raw, capsys
    )


def test_tied_weights_stay_tied(capsys: Capture) -> None:
    def tied() -> Any:
        model = P.Sequential(P.Linear(4, 4), P.Linear(4, 4))
        model[1].weight = model[0].weight
        return model

    raw, one_tensor = tied(), tied()
    assert assign_weight(one_tensor, raw) is True
    assert raw[1].weight is raw[0].weight
    np.testing.assert_array_equal(raw[0].weight.numpy(), one_tensor[0].weight.numpy())
    capsys.readouterr()

    equal, other = (P.Sequential(P.Linear(4, 4), P.Linear(4, 4)) for _ in range(2))
    equal[1].weight.set_value(equal[0].weight)
    assert assign_weight(equal, raw) is True
    capsys.readouterr()
    log = refused(other, raw, capsys)
    assert "Raw has one tensor at 0.weight and 1.weight" in log
    assert "base has other values at 0.weight and 1.weight" in log
    assert assign_weight(raw, other) is True
    assert other[1].weight is not other[0].weight
    np.testing.assert_array_equal(other[1].weight.numpy(), raw[0].weight.numpy())


def test_a_layer_at_two_places(capsys: Capture) -> None:
    shared, lone = T.Linear(4, 4), P.Linear(4, 4)
    assert assign_weight(T.Sequential(shared, shared), P.Sequential(lone)) is True
    np.testing.assert_array_equal(lone.weight.numpy(), shared.weight.detach().numpy().T)
    capsys.readouterr()
    log = refused(T.Sequential(T.Linear(4, 4), shared), P.Sequential(lone, lone), capsys)
    assert "at 0.weight and 1.weight" in log


@pytest.mark.parametrize(
    ("value", "dtype", "held"),
    [(1e5, "float16", False), (np.inf, "float16", True), (np.nan, "float16", True)],
)
def test_a_value_that_raws_type_cannot_hold(
    value: float, dtype: str, held: bool, capsys: Capture
) -> None:
    ours, theirs = T.Linear(4, 4), T.Linear(4, 4).to(getattr(torch, dtype))
    with torch.no_grad():
        ours.weight[2, 1] = value
    if held:
        assert assign_weight(ours, theirs) is True
        np.testing.assert_array_equal(theirs.weight[2, 1].item(), value)
    else:
        assert "Raw's float16 cannot hold a value of base's float32" in refused(
            ours, theirs, capsys
        )


def test_complex_numbers_do_not_go_into_real_ones(capsys: Capture) -> None:
    ours, theirs = T.Linear(4, 4, dtype=torch.complex64), T.Linear(4, 4)
    assert "Raw's float32 cannot hold base's complex64" in refused(ours, theirs, capsys)


def test_a_weight_without_elements(capsys: Capture) -> None:
    for ours in (T.Linear(4, 4, device="meta"), T.LazyLinear(4)):
        refused(ours, T.Linear(4, 4), capsys)
        assert assign_weight(T.Linear(4, 4), ours) is False
        capsys.readouterr()
