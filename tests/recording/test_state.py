"""What is recorded of a layer beside its tensors: its mode, and the buffers that it keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import create_model, open_dump
from tests.zoo import SIDES

both = pytest.mark.parametrize("framework", SIDES)
X = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
STATISTICS = {
    "torch": ["running_mean", "running_var", "num_batches_tracked"],
    "paddle": ["_mean", "_variance"],
}


def net(framework: str) -> Any:
    """A linear layer, a batch norm, and buffers of the model's own: one of them is not kept."""
    if framework == "torch":
        model: Any = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
        model.register_buffer("scale", torch.ones(2))
        model.register_buffer("cache", torch.ones(2), persistent=False)
    else:
        model = paddle.nn.Sequential(paddle.nn.Linear(3, 3), paddle.nn.BatchNorm1D(3))
        model.register_buffer("scale", paddle.ones([2]))
        model.register_buffer("cache", paddle.ones([2]), persistable=False)
    model.register_buffer("absent", None)
    return model


@both
def test_the_mode_is_that_of_each_call(framework: str, tmp_path: Path) -> None:
    model = net(framework)
    proxy = create_model(model)
    proxy(SIDES[framework].tensor(X))
    model[1].eval()
    proxy(SIDES[framework].tensor(X))
    proxy.dump_report(tmp_path)
    model[0].eval()
    proxy.dump_params(tmp_path)
    dump = open_dump(tmp_path)
    modes = [(node.route, node.training) for node in dump.report.tree.walk()]
    assert modes == [("", True), ("0", True), ("1", True), ("", True), ("0", True), ("1", False)]
    modes = [(node.route, node.training) for node in dump.params.tree.walk()]
    assert modes == [("", True), ("0", False), ("1", False)]


@both
@pytest.mark.parametrize("section", ["params", "weights", "grads"])
def test_buffers_are_recorded_after_the_parameters(
    framework: str, section: str, tmp_path: Path
) -> None:
    side = SIDES[framework]
    model = net(framework)
    proxy = create_model(model)
    proxy.backward(side.loss(proxy(side.tensor(X))))
    getattr(proxy, f"dump_{section}")(tmp_path)
    found = getattr(open_dump(tmp_path), section)
    if section == "grads":
        assert not any(tensor.buffer for node in found.tree.walk() for tensor in node.tensors)
        return
    assert list(found[""].buffer) == ["scale"]
    assert not found["0"].buffer
    assert list(found["1"].buffer) == STATISTICS[framework]
    assert list(found["1"].weight) == ["weight", "bias"]
    for name, array in found["1"].buffer.items():
        np.testing.assert_array_equal(np.asarray(array), side.numpy(getattr(model[1], name)))
    values = [t for t in found["1"].node.tensors if t.phase is None]
    assert [t.buffer for t in values] == [False, False] + [True] * len(STATISTICS[framework])
    assert {t.array.rpartition(".")[2] for t in values} == (
        {"weight", "buffer"} if section == "params" else {t.array for t in values}
    )


@both
def test_lists_leave_buffers_out_as_they_do_parameters(framework: str, tmp_path: Path) -> None:
    proxy = create_model(net(framework))
    proxy.update_black_list(proxy.model[1])
    proxy.dump_params(tmp_path)
    params = open_dump(tmp_path).params
    names = [tensor.place for node in params.tree.walk() for tensor in node.tensors]
    assert names == ["scale", "weight", "bias"]
