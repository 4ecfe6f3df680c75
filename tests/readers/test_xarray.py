"""xarray opens what was recorded of real models as a tree of data sets."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import paddle
import pytest
import torch
import xarray
import zarr

import padiff
from tests.store.sections import write

TOKENS = np.random.default_rng(0).integers(0, 10, (2, 5))


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
    proxy.backward(proxy(tokens).sum())
    proxy.dump_weights(tmp_path / "run.zarr", step=0)
    proxy.dump_grads(tmp_path / "run.zarr", step=0)
    proxy.try_dump(1, tmp_path / "run.zarr")
    tree = xarray.open_datatree(tmp_path / "run.zarr", engine="zarr", consolidated=False)
    dump = padiff.open_dump(tmp_path / "run.zarr/step_0")
    for section in (dump.report, dump.params, dump.weights, dump.grads):
        group = tree["step_0"][section.header.section]
        assert group.attrs["padiff"]["model"] == "Net"
        records = [record for node in section.tree.walk() for record in node.tensors]
        assert len(records) > 8
        for record in records:
            layer, name = record.array.split("/")
            found = group[layer][name]
            np.testing.assert_array_equal(found.values, np.asarray(section.array(record)))
            if record.dims is not None:
                assert found.dims == record.dims


def test_what_zarr_python_lacks_hides_nothing_else(tmp_path: Path) -> None:
    """As `docs/reading.md` says of bfloat16: what fails, and what opens all the same."""
    values = np.arange(6.0).reshape(2, 3)
    write(tmp_path / "run.zarr", {"half": values.astype(ml_dtypes.bfloat16), "full": values})
    write(tmp_path / "run.zarr", {"full": values}, "weights")
    report = zarr.open_group(tmp_path / "run.zarr/report", mode="r")
    np.testing.assert_array_equal(report["full/forward.0"][...], values)  # type: ignore[index]
    with pytest.raises(ValueError, match="bfloat16"):
        report["half/forward.0"]
    options: dict[str, Any] = {"engine": "zarr", "consolidated": False}
    with pytest.raises(ValueError, match="bfloat16"):
        xarray.open_datatree(tmp_path / "run.zarr", **options)
    for part in ("weights", "report/full"):
        tree = xarray.open_datatree(tmp_path / "run.zarr", group=part, **options)
        np.testing.assert_array_equal(tree.leaves[0]["forward.0"].values, values)
