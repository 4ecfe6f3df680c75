"""Tensors of every kind reach the store as they were, or are said not to."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import paddle
import pytest
import torch

from padiff import create_model, open_dump
from padiff.store.reader import Layer

FLOATS = np.array([[0.5, -2.0, 3.25], [1e3, -0.0, 7.0]])


class TorchGiver(torch.nn.Module):
    """Returns what it was made with."""

    def __init__(self, values: Any) -> None:
        super().__init__()
        self.values = values

    def forward(self) -> Any:
        return self.values


class PaddleGiver(paddle.nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Returns what it was made with."""

    def __init__(self, values: Any) -> None:
        super().__init__()
        self.values = (values,)

    def forward(self) -> Any:
        return self.values


def recorded(model: Any, where: Path) -> Layer:
    proxy = create_model(model)
    proxy()
    proxy.dump_report(where)
    return open_dump(where).report[""]


def given(value: Any, where: Path) -> Layer:
    return recorded((TorchGiver if isinstance(value, torch.Tensor) else PaddleGiver)(value), where)


def check(layer: Layer, expected: np.ndarray[Any, Any]) -> None:
    assert layer.node.unrecorded == ()
    found = np.asarray(layer.forward[0])
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


TORCH_DTYPES = {
    **{f"float{n}": getattr(torch, f"float{n}") for n in (16, 32, 64)},
    **{f"int{n}": getattr(torch, f"int{n}") for n in (8, 16, 32, 64)},
    **{f"uint{n}": getattr(torch, f"uint{n}") for n in (8, 16, 32, 64)},
    **{f"complex{n}": getattr(torch, f"complex{n}") for n in (64, 128)},
    **{
        f"float8_{kind}": getattr(torch, f"float8_{kind}")
        for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz")
    },
    "bool": torch.bool,
    "bfloat16": torch.bfloat16,
}
PADDLE_DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128"),
)


def numpy_dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name)


def of_dtype(name: str) -> np.ndarray[Any, Any]:
    values = np.abs(FLOATS) if name.startswith("uint") else FLOATS
    values = np.minimum(values, 100) if "8" in name else values
    return values.astype(numpy_dtype(name))


@pytest.mark.parametrize("name", TORCH_DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_torch_dtypes(name: str, transposed: bool, tmp_path: Path) -> None:
    expected = of_dtype(name)
    tensor = torch.tensor(expected.astype(np.complex128 if "complex" in name else np.float64))
    tensor = tensor.to(TORCH_DTYPES[name])
    if transposed:
        tensor, expected = tensor.T, np.ascontiguousarray(expected.T)
    layer = given(tensor, tmp_path)
    check(layer, expected)
    assert layer.node.tensors[0].dtype == name
    assert layer.node.tensors[0].device == "cpu"


@pytest.mark.parametrize("name", PADDLE_DTYPES)
def test_paddle_dtypes(name: str, tmp_path: Path) -> None:
    expected = of_dtype(name)
    wide = expected.astype(np.complex128 if "complex" in name else np.float32)
    layer = given(paddle.to_tensor(wide).astype(name), tmp_path)
    check(layer, expected)
    assert layer.node.tensors[0].dtype == name
    assert layer.node.tensors[0].device == "cpu"


VIEWS = {
    "0-d": lambda t: t[0, 1],
    "empty": lambda t: t[:0],
    "transposed": lambda t: t.T,
    "flipped": lambda t: t.flip([0]),
    "every other": lambda t: t[:, ::2],
    "column": lambda t: t[:, 1],
    "expanded": lambda t: t[:1].expand([4, 3]),
}
NUMPY_VIEWS = VIEWS | {
    "flipped": lambda a: a[::-1],
    "expanded": lambda a: np.broadcast_to(a[:1], (4, 3)),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_views(framework: str, view: str, tmp_path: Path) -> None:
    to_tensor = torch.tensor if framework == "torch" else paddle.to_tensor
    check(
        given(VIEWS[view](to_tensor(FLOATS)), tmp_path),
        np.array(NUMPY_VIEWS[view](FLOATS), order="C"),
    )


def test_bits_that_torch_keeps_beside_the_elements(tmp_path: Path) -> None:
    values = np.array([1 + 2j, -3.5j])
    check(given(torch.tensor(values).conj(), tmp_path / "conj"), values.conj())
    negative = torch.tensor(values).conj().imag  # lazily negated
    assert negative.is_neg()
    check(given(negative, tmp_path / "neg"), values.conj().imag.copy())


def test_tensors_that_want_gradients(tmp_path: Path) -> None:
    values = np.abs(FLOATS)
    check(given(torch.tensor(values, requires_grad=True) * 2, tmp_path / "torch"), values * 2)
    tensor = paddle.to_tensor(values, stop_gradient=False)
    check(given(tensor * 2, tmp_path / "paddle"), values * 2)


def test_sparse_tensors_are_stored_dense(tmp_path: Path) -> None:
    dense = np.array([[0, 1, 0], [2, 0, 0]], np.float32)
    check(given(torch.tensor(dense).to_sparse(), tmp_path / "coo"), dense)
    with pytest.warns(UserWarning, match="CSR"):
        csr = torch.tensor(dense).to_sparse_csr()
    check(given(csr, tmp_path / "csr"), dense)
    sparse = paddle.sparse.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], [2, 3])
    check(given(sparse, tmp_path / "paddle"), dense)


def test_a_sparse_tensor_too_large_to_be_dense(tmp_path: Path) -> None:
    size = 2**20
    huge = torch.sparse_coo_tensor(
        torch.tensor([[0], [1]]), torch.tensor([1.0]), (size, size), check_invariants=False
    )
    layer = given(huge, tmp_path / "torch")
    assert "got a sparse" in layer.node.unrecorded[0].reason
    huge = paddle.sparse.sparse_coo_tensor([[0], [1]], [1.0], [size, size])
    layer = given(huge, tmp_path / "paddle")
    assert "got a sparse" in layer.node.unrecorded[0].reason


def test_a_subclass_of_tensor_runs_no_code_of_its_own(tmp_path: Path) -> None:
    ran: list[Any] = []

    class Watching(torch.Tensor):
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            ran.append(func)
            inherited: Any = super().__torch_function__
            return inherited(func, types, args, kwargs or {})

    tensor = torch.tensor(FLOATS).as_subclass(Watching)
    ran.clear()
    layer = given(tensor, tmp_path)
    assert ran == []
    check(layer, FLOATS)


UNREADABLE: dict[str, Any] = {
    "meta": (lambda: torch.empty(3, device="meta"), "on the meta device"),
    "quantised": (
        lambda: torch.ops.aten.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "quantised",
    ),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2)]), "nested"),
    "complex32": (lambda: torch.empty(2, dtype=torch.complex32), "ComplexHalf"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.filterwarnings("ignore:.*(ComplexHalf|nested tensors|quantized)")  # said by torch
def test_what_cannot_be_stored_has_its_reason(kind: str, tmp_path: Path) -> None:
    make, reason = UNREADABLE[kind]
    model = TorchGiver((torch.tensor(FLOATS), make()))
    layer = recorded(model, tmp_path)
    (note,) = layer.node.unrecorded
    assert (note.phase, note.place) == ("forward", "1")
    assert reason in note.reason
    assert list(layer.forward) == ["0"]


def test_fake_tensors(tmp_path: Path) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.empty(3)
    layer = recorded(TorchGiver({"fake": fake}), tmp_path)
    assert layer.node.unrecorded[0].place == "fake"


def test_a_model_under_a_function_transform_still_runs(tmp_path: Path) -> None:
    linear = torch.nn.Linear(3, 2)
    proxy = create_model(linear)
    x = torch.rand(4, 3)
    torch.testing.assert_close(torch.func.vmap(proxy)(x), linear(x))
    proxy.dump_report(tmp_path)
    assert open_dump(tmp_path).report[""].node.unrecorded[0].phase == "input"


@pytest.mark.parametrize("giver", [TorchGiver, PaddleGiver])
def test_numpy_arrays_are_tensors_too(giver: Any, tmp_path: Path) -> None:
    check(recorded(giver(FLOATS), tmp_path / "floats"), FLOATS)
    layer = recorded(giver(np.array([None])), tmp_path / "objects")
    assert "got object" in layer.node.unrecorded[0].reason


@pytest.mark.parametrize("giver", [TorchGiver, PaddleGiver])
def test_an_open_file_is_nothing_that_was_left_out(giver: Any, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        layer = recorded(giver((FLOATS, file)), tmp_path / "run")
    assert len(layer.node.tensors) == 1
    assert layer.node.unrecorded == ()


@pytest.mark.parametrize("giver", [TorchGiver, PaddleGiver])
def test_a_container_that_raises_stops_nobody(giver: Any, tmp_path: Path) -> None:
    class Raising(dict[str, Any]):
        def items(self) -> Any:
            raise LookupError("no items today")

    layer = recorded(giver(Raising()), tmp_path)
    assert layer.node.unrecorded[0].reason == "no items today"


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_a_later_change_does_not_reach_what_was_captured(framework: str, tmp_path: Path) -> None:
    tensor = torch.tensor(FLOATS) if framework == "torch" else paddle.to_tensor(FLOATS)
    proxy = create_model(TorchGiver(tensor) if framework == "torch" else PaddleGiver(tensor))
    proxy()
    tensor.zero_()
    proxy.dump_report(tmp_path)
    check(open_dump(tmp_path).report[""], FLOATS)
