"""Weights of Keras, whose names and layouts are its own, against a padiff store of torch's."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import padiff
from padiff.naming.suggest import suggest_map
from padiff.naming.table import table_text

SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
import keras, numpy
held = numpy.load(sys.argv[1])
model = keras.Sequential([
    keras.layers.Input((4,)),
    keras.layers.Dense(24),
    keras.layers.BatchNormalization(),
    keras.layers.Dense(20),
])
model.set_weights([held[name] for name in held])
model.save_weights(sys.argv[2])
"""
NAMES = (
    *("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"),
    *("2.weight", "2.bias"),
)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A padiff store of torch's, and the same weights as Keras writes them."""
    path = tmp_path_factory.mktemp("keras")
    torch.manual_seed(0)
    layers = torch.nn.Linear(4, 24), torch.nn.BatchNorm1d(24), torch.nn.Linear(24, 20)
    net = torch.nn.Sequential(*layers)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    padiff.create_model(net).dump_weights(path / "torch.zarr")
    state = net.state_dict()
    values = {name: state[name].numpy() for name in NAMES}
    np.savez(path / "values.npz", **{n: v.T for n, v in values.items()})
    subprocess.run(
        [sys.executable, "-c", SCRIPT, path / "values.npz", path / "keras.weights.h5"],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        check=True,
    )
    return path / "torch.zarr", path / "keras.weights.h5"


def test_weights_of_keras(sides: tuple[Path, Path], tmp_path: Path) -> None:
    rows = suggest_map(*sides)
    assert {row.base for row in rows if row.certainty == "certain"} == set(NAMES)
    assert [str(row.layout) for row in rows if row.base in ("0.weight", "2.weight")] == [
        "transposed",
        "transposed",
    ]
    table = tmp_path / "names.csv"
    table.write_text(table_text(rows))
    found = padiff.compare(*sides, name_map=table, mode="strict", atol=0, rtol=0)
    assert found.aligned
    assert found.totals.identical == len(NAMES)
