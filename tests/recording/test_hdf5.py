"""Real models of both frameworks record into HDF5 as they do into Zarr."""

from pathlib import Path

import numpy as np
import pytest

import padiff


@pytest.mark.filterwarnings("ignore")
def test_models_of_both_frameworks(tmp_path: Path) -> None:
    import paddle
    import torch

    for name in ("a.h5", "b.zarr"):
        torch.manual_seed(0)
        net = padiff.create_model(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()))
        net(torch.ones(2, 3)).sum().backward()
        net.try_dump(1, tmp_path / name)
    found = padiff.compare(tmp_path / "a.h5", tmp_path / "b.zarr")
    assert found.aligned
    assert found.totals.identical == found.totals.compared > 5
    layer = padiff.create_model(paddle.nn.Linear(3, 4))
    given = layer(paddle.ones([2, 3]))
    given.sum().backward()
    layer.try_dump(1, tmp_path / "p.h5")
    dump = padiff.open_dump(tmp_path / "p.h5/step_0")
    assert dump.sections == ("report", "params")
    np.testing.assert_array_equal(np.asarray(dump.report[""].forward[0]), given.numpy())
