"""h5py reads every tensor of a file, those of types that NumPy lacks as the next wider."""

import json
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from tests.samples.contents import DUMPS, kept_tensors, write_samples
from tests.store.sections import write

WIDER = {
    "bfloat16": "float32",
    "float8_e4m3fn": "float16",
    "float8_e4m3fnuz": "float16",
    "float8_e5m2": "float16",
    "float8_e5m2fnuz": "float32",  # its numbers are smaller than those of float16
}
NUMBERS = np.array([[0.5, -2.0, 1.75], [0.0, 8.0, -0.25]])


def test_it_reads_the_header_and_the_tensors(tmp_path: Path) -> None:
    write_samples(tmp_path / "run.h5")
    seed = list(DUMPS).index((12, None))
    with h5py.File(tmp_path / "run.h5/step_12.h5") as file:
        assert json.loads(file["report"].attrs["padiff"])["model"] == "Net"
        for kept in kept_tensors("report", seed):
            found = file["report"][kept.array][...]
            assert found.shape == kept.shape
            if kept.dtype not in WIDER:
                assert (found.dtype, found.tobytes()) == (kept.dtype, kept.values.tobytes())


@pytest.mark.parametrize(("dtype", "wider"), WIDER.items())
def test_small_floats_come_wider(tmp_path: Path, dtype: str, wider: str) -> None:
    write(tmp_path / "run.h5", {"layer": NUMBERS.astype(getattr(ml_dtypes, dtype))})
    with h5py.File(tmp_path / "run.h5") as file:
        found = file["report/layer/forward.0"][...]
    assert found.dtype == wider
    np.testing.assert_array_equal(found, NUMBERS)
