"""Whole models: they compute the same with one set of weights, whatever their layers are called."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from paddle import nn as P
from torch import nn as T

from padiff import assign_weight, create_model
from tests.weights.layers import map_layers, randomise, tensors_of
from tests.zoo import SIDES, ZOO, Twin

PAIRINGS = list(itertools.product(SIDES, SIDES))
RUNNING = {name: twin for name, twin in ZOO.items() if not twin.raises}


def outputs(framework: str, model: Any, *inputs: Any) -> list[Any]:
    side = SIDES[framework]
    model.eval()
    given = [side.tensor(values) if isinstance(values, np.ndarray) else values for values in inputs]
    return [side.numpy(tensor) for tensor in side.tensors(model(*given))]


def floats(*shape: int) -> Any:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("base", "raw"), PAIRINGS)
@pytest.mark.parametrize("twin", RUNNING.values(), ids=RUNNING)
def test_the_zoo(twin: Twin, base: str, raw: str) -> None:
    ours, theirs = twin.build(base), twin.build(raw)
    randomise(base, ours, 1)
    randomise(raw, theirs, 2)
    assert assign_weight(ours, theirs) is True
    found = []
    for name, model in ((base, ours), (raw, theirs)):
        side = SIDES[name]
        model.eval()
        args, kwargs = twin.inputs(name)
        found.append([side.numpy(t) for t in side.tensors(model(*args, **kwargs))])
    assert_same(found[1], found[0])


TRANSFORMERS: dict[str, tuple[dict[str, Callable[[], Any]], int]] = {
    "encoder layer": (
        {
            "torch": lambda: T.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True),
            "paddle": lambda: P.TransformerEncoderLayer(8, 2, 8, 0.0),
        },
        1,
    ),
    "decoder layer": (
        {
            "torch": lambda: T.TransformerDecoderLayer(8, 2, 8, 0.0, batch_first=True),
            "paddle": lambda: P.TransformerDecoderLayer(8, 2, 8, 0.0),
        },
        2,
    ),
    "transformer": (
        {
            "torch": lambda: T.Transformer(8, 2, 2, 2, 8, 0.0, batch_first=True),
            "paddle": lambda: P.Transformer(8, 2, 2, 2, 8, 0.0),
        },
        2,
    ),
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("base", "raw"), PAIRINGS)
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str, base: str, raw: str) -> None:
    builders, count = TRANSFORMERS[name]
    ours, theirs = builders[base](), builders[raw]()
    randomise(base, ours, 1)
    randomise(raw, theirs, 2)
    inputs = [floats(2, 3 + i, 8) for i in range(count)]
    expected = outputs(base, ours, *inputs)
    with pytest.raises(AssertionError):
        assert_same(outputs(raw, theirs, *inputs), expected)
    assert assign_weight(ours, theirs) is True
    assert_same(outputs(raw, theirs, *inputs), expected)


class Ours(T.Module):
    """Its layers are defined in the order in which they run."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = T.Linear(6, 4)
        self.norm = T.LayerNorm(4)
        self.mix = T.Linear(4, 4)
        self.head = T.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.mix(self.norm(self.embed(x))))


class Theirs(P.Layer):  # type: ignore[misc]  # paddle ships no type information
    """The same under other names, in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = P.Linear(4, 3)
        self.mixer = P.Linear(4, 4)
        self.projection = P.Linear(6, 4)
        self.layer_norm = P.LayerNorm(4)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.mixer(self.layer_norm(self.projection(x))))


class Reordered(P.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Layers of one shape in another order: their names tell them."""

    def __init__(self, names: str) -> None:
        super().__init__()
        for name in names:
            setattr(self, name, P.Linear(4, 4))

    def forward(self, x: Any) -> Any:
        return self.c(paddle.tanh(self.b(paddle.tanh(self.a(x)))))


class Wrapper(P.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.drop = P.Dropout(0.1)
        self.model = model

    def forward(self, x: Any) -> Any:
        return self.model(self.drop(x))


def test_other_names_and_another_order_of_definition() -> None:
    ours, theirs = Ours(), Theirs()
    assert assign_weight(ours, theirs) is True
    assert_same(outputs("paddle", theirs, floats(5, 6)), outputs("torch", ours, floats(5, 6)))


def test_one_name_and_another_order_of_definition() -> None:
    ours, theirs = Reordered("abc"), Reordered("cab")
    assert assign_weight(ours, theirs) is True
    x = floats(5, 4)
    assert_same(outputs("paddle", theirs, x), outputs("paddle", ours, x))


@pytest.mark.parametrize("base_is_wrapped", [True, False])
@pytest.mark.parametrize("layer", [lambda: P.Linear(4, 4), lambda: Reordered("abc")])
def test_one_side_wraps_the_model(layer: Callable[[], Any], base_is_wrapped: bool) -> None:
    ours, theirs = layer(), Wrapper(Wrapper(layer()))
    if base_is_wrapped:
        ours, theirs = theirs, ours
    assert assign_weight(ours, theirs) is True
    x = floats(5, 4)
    assert_same(outputs("paddle", theirs, x), outputs("paddle", ours, x))


class Scaled(T.Linear):
    """A user's Linear, of no name that the table has."""


class ScaledTwin(P.Linear):  # type: ignore[misc]  # paddle ships no type information
    """The same."""


@pytest.mark.parametrize("build", [Scaled, T.Linear])
@pytest.mark.parametrize("other", [ScaledTwin, P.Linear])
def test_a_subclass_of_linear_is_laid_out_as_linear(
    build: Callable[[int, int], Any], other: Callable[[int, int], Any]
) -> None:
    ours, theirs = T.Sequential(build(4, 4)), P.Sequential(other(4, 4))
    assert assign_weight(ours, theirs) is True
    x = floats(5, 4)
    assert_same(outputs("paddle", theirs, x), outputs("torch", ours, x))


class Own(T.Module):
    """A layer of the user's with parameters and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = T.Parameter(torch.rand(4, 4))
        self.shift = T.Parameter(torch.rand(4))
        self.table: torch.Tensor
        self.register_buffer("table", torch.rand(4))
        self.register_buffer("scratch", torch.rand(4), persistent=False)

    def forward(self, x: Any) -> Any:
        return x @ self.gain + self.shift * self.table


class OwnTwin(P.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.gain = self.create_parameter([4, 4])
        self.shift = self.create_parameter([4])
        self.register_buffer("table", paddle.rand([4]))

    def forward(self, x: Any) -> Any:
        return x @ self.gain + self.shift * self.table


def test_layers_of_the_users_go_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = Own(), OwnTwin()
    assert assign_weight(ours, theirs) is True
    out = capsys.readouterr().out
    assert out.startswith("assign_weight: SUCCESS, copied 2 parameters and 1 buffer\n")
    assert "taken as they are: the model itself (OwnTwin)." in out
    x = floats(5, 4)
    assert_same(outputs("paddle", theirs, x), outputs("torch", ours, x))


def test_a_buffer_that_raw_has_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = OwnTwin(), OwnTwin()
    ours.register_buffer("mask", paddle.ones([3]))
    assert assign_weight(ours, theirs) is True
    assert "raw has none for 1 buffer of base: mask" in capsys.readouterr().out


def test_a_count_of_batches_is_copied_where_raw_has_it() -> None:
    ours, theirs = T.BatchNorm1d(4), T.BatchNorm1d(4)
    ours(torch.rand(3, 4))
    assert assign_weight(P.BatchNorm1D(4), theirs) is True
    assert theirs.num_batches_tracked == 0
    assert assign_weight(ours, theirs) is True
    assert theirs.num_batches_tracked == 1


def test_black_and_white_lists_do_not_restrict_copying() -> None:
    ours, theirs = Ours(), Theirs()
    base, raw = create_model(ours), create_model(theirs)
    base.update_black_list(ours.mix)
    raw.update_white_list(theirs.mixer)
    assert assign_weight(base, raw) is True
    assert_same(outputs("paddle", theirs, floats(5, 6)), outputs("torch", ours, floats(5, 6)))


def test_a_layer_map_goes_first() -> None:
    ours, theirs = Reordered("abc"), Reordered("abc")
    base, raw = create_model(ours), create_model(theirs)
    map_layers(base, "a", "b", "c")
    map_layers(raw, "b", "c", "a")
    assert assign_weight(base, raw) is True
    for mine, other in zip("abc", "bca", strict=True):
        np.testing.assert_array_equal(
            getattr(theirs, other).weight.numpy(), getattr(ours, mine).weight.numpy()
        )


def test_layers_below_a_mapped_pair_go_together() -> None:
    ours, theirs = (P.LayerList([Reordered("abc"), Reordered("abc")]) for _ in range(2))
    base, raw = create_model(ours), create_model(theirs)
    map_layers(base, "0")
    map_layers(raw, "1")
    assert assign_weight(base, raw) is True
    for name in "abc":
        for mine, other in ((0, 1), (1, 0)):
            np.testing.assert_array_equal(
                getattr(theirs[other], name).weight.numpy(),
                getattr(ours[mine], name).weight.numpy(),
            )


@pytest.mark.parametrize("name", SIDES)
def test_models_share_no_memory(name: str) -> None:
    ours, theirs = ZOO["conv"].build(name), ZOO["conv"].build(name, seed=1)
    assert assign_weight(ours, theirs) is True
    before = {route: SIDES[name].numpy(t) for route, t in tensors_of(name, theirs).items()}
    addresses = {t.data_ptr() for t in tensors_of(name, ours).values()}
    assert not addresses & {t.data_ptr() for t in tensors_of(name, theirs).values()}
    randomise(name, ours, 5)
    for route, tensor in tensors_of(name, theirs).items():
        np.testing.assert_array_equal(SIDES[name].numpy(tensor), before[route])


@pytest.mark.parametrize("name", SIDES)
def test_raw_keeps_its_type_and_asks_for_gradients(name: str) -> None:
    ours: Any = T.Linear(4, 4) if name == "torch" else P.Linear(4, 4)
    for dtype in ("float16", "bfloat16", "float64"):
        theirs: Any = T.Linear(4, 4) if name == "torch" else P.Linear(4, 4)
        theirs.to(dtype=getattr(torch, dtype) if name == "torch" else dtype)
        version = theirs.weight.dtype
        assert assign_weight(ours, theirs) is True
        assert theirs.weight.dtype == version
        assert dtype in str(version)
        found = SIDES[name].numpy(theirs.weight)
        expected = SIDES[name].numpy(ours.weight).astype(found.dtype)
        np.testing.assert_array_equal(found, expected)
        weight = theirs.weight
        assert weight.requires_grad if name == "torch" else not weight.stop_gradient
        assert weight.is_leaf


def test_a_model_onto_itself() -> None:
    model = Ours()
    before = outputs("torch", model, floats(5, 6))
    assert assign_weight(model, model) is True
    np.testing.assert_array_equal(outputs("torch", model, floats(5, 6)), before)


def test_what_is_no_model() -> None:
    with pytest.raises(TypeError, match=r"torch\.nn\.Module or a paddle\.nn\.Layer"):
        assign_weight(Ours(), 3)


def test_square_weights_of_own_layers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether one framework's code transposes them cannot be seen."""

    class TorchOwn(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(4, width))

    class PaddleOwn(paddle.nn.Layer):  # type: ignore[misc]
        def __init__(self, width: int) -> None:
            super().__init__()
            self.weight = self.create_parameter([4, width])

    said = "Square weights of your own layers are taken as they are: 0 (PaddleOwn)."
    for width, expected in ((4, True), (5, False)):
        base = torch.nn.Sequential(TorchOwn(width), torch.nn.Linear(4, 4))
        raw = paddle.nn.Sequential(PaddleOwn(width), paddle.nn.Linear(4, 4))
        assert assign_weight(base, raw)
        assert (said in capsys.readouterr().out) is expected
    assert assign_weight(torch.nn.Sequential(TorchOwn(4)), torch.nn.Sequential(TorchOwn(4)))
    assert "Square" not in capsys.readouterr().out
