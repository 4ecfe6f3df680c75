"""xarray opens what was recorded of real models as a tree of data sets."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import paddle
import pytest
import torch
import xarray
from numpy.typing import ArrayLike

import padiff
from padiff.store.reader import open_dumps
from tests.store.sections import write
from tests.stores import Layer, write_dump

TOKENS = np.random.default_rng(0).integers(0, 10, (2, 5))
OPTIONS: dict[str, Any] = {"engine": "zarr", "consolidated": False}


def torch_model() -> torch.nn.Module:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(10, 8)
            self.linear = torch.nn.Linear(8, 8)
            self.conv = torch.nn.Conv1d(8, 4, 3, padding=1)
            self.norm = torch.nn.BatchNorm1d(4)
            self.lstm = torch.nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True)
            self.attn = torch.nn.MultiheadAttention(12, 3, batch_first=True)
            self.head = torch.nn.Bilinear(12, 12, 5)

        def forward(self, tokens: torch.Tensor) -> Any:
            h = self.linear(self.embed(tokens)).transpose(1, 2)
            h, _ = self.lstm(self.norm(self.conv(h)).transpose(1, 2))
            h, _ = self.attn(h, h, h)
            return self.head(h, h)

    return Net()


def paddle_model() -> paddle.nn.Layer:
    class Net(paddle.nn.Layer):  # type: ignore[misc]  # paddle ships no types
        def __init__(self) -> None:
            super().__init__()
            self.embed = paddle.nn.Embedding(10, 8)
            self.linear = paddle.nn.Linear(8, 8)
            self.conv = paddle.nn.Conv1D(8, 4, 3, padding=1)
            self.norm = paddle.nn.BatchNorm1D(4)
            self.lstm = paddle.nn.LSTM(4, 6, 2, direction="bidirect")
            self.attn = paddle.nn.MultiHeadAttention(12, 3)
            self.head = paddle.nn.Linear(12, 5)

        def forward(self, tokens: Any) -> Any:
            h = self.linear(self.embed(tokens)).transpose([0, 2, 1])
            h, _ = self.lstm(self.norm(self.conv(h)).transpose([0, 2, 1]))
            return self.head(self.attn(h, h, h))

    return Net()


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_a_recorded_run_is_a_datatree(tmp_path: Path, framework: str) -> None:
    tokens = torch.tensor(TOKENS) if framework == "torch" else paddle.to_tensor(TOKENS)
    model = torch_model() if framework == "torch" else paddle_model()
    proxy = padiff.create_model(model, inputs=True)
    for step in range(2):
        proxy.backward(proxy(tokens).sum())
        proxy.dump_weights(tmp_path / "run.zarr", step=step)
        proxy.dump_grads(tmp_path / "run.zarr", step=step)
        proxy.try_dump(1, tmp_path / "run.zarr")
    tree = xarray.open_datatree(tmp_path / "run.zarr", **OPTIONS)
    named: set[str] = set()
    for (number, _), dump in open_dumps(tmp_path / "run.zarr").dumps.items():
        for section in (dump.report, dump.params, dump.weights, dump.grads):
            group = tree[f"step_{number}"][section.header.section]
            assert group.attrs["padiff"]["model"] == "Net"
            records = [record for node in section.tree.walk() for record in node.tensors]
            assert len(records) > 8
            for record in records:
                layer, name = record.array.split("/")
                found = group[layer][name]
                np.testing.assert_array_equal(found.values, np.asarray(section.array(record)))
                unknown = tuple(f"{name}_{axis}" for axis in range(found.ndim))
                assert found.dims == (record.dims or unknown)
                named |= set(record.dims or ())
    assert len(tree.children) == 2
    assert {"in_features", "out_features"} <= named


def test_tensors_without_axes_and_of_shared_names_are_variables_too(tmp_path: Path) -> None:
    """A scalar, an empty tensor, and parameters that are named like each other's axes."""
    weights: dict[str, ArrayLike] = {
        "bias": [1.0, 2.0, 3.0],
        "bias_0": [4.0, 5.0],
        "in_features": [6.0],
        "scale": 7.0,
        "weight": np.ones((2, 0)),
    }
    layer = Layer("", "Net", weights=weights, dims={"weight": ("out_features", "in_features")})
    write_dump(tmp_path / "run.zarr", layer, section="weights")
    found = xarray.open_datatree(tmp_path / "run.zarr", **OPTIONS)["weights/~0"]
    for name, values in weights.items():
        np.testing.assert_array_equal(found[name].values, values)
    assert found["scale"].dims == ()


@pytest.mark.usefixtures("entries")
@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_small_floats_are_variables_to_be_widened(tmp_path: Path, dtype: str) -> None:
    """As `docs/reading.md` says: what xarray does with such elements, and what it does not."""
    values = np.arange(6.0).reshape(2, 3).astype(getattr(ml_dtypes, dtype))
    write(tmp_path / "run.zarr", {"small": values, "full": np.arange(6.0)})
    tree = xarray.open_datatree(tmp_path / "run.zarr", **OPTIONS)
    found: Any = tree["report/small"]["forward.0"]
    assert found.dtype == values.dtype
    assert found.values.tobytes() == values.tobytes()
    assert (found + found).isel({"forward.0_0": 1}).values.tolist() == [6, 8, 10]
    assert found.astype("float32").mean() == 2.5
    with pytest.raises(TypeError, match="must be a NumPy dtype"):
        found.mean()
