"""dask.array reads a tensor chunk by chunk, each when it is asked for."""

from pathlib import Path
from typing import Any

import dask.array
import ml_dtypes
import numpy as np
import pytest
import zarr

from padiff.store.storage import Storage
from tests.store.sections import write

ROWS = np.arange(60.0, dtype=np.float32).reshape(15, 4)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Arrays of three chunks of five rows."""
    arrays = {"full": ROWS, "half": ROWS.astype(ml_dtypes.bfloat16).repeat(2, axis=1)}
    write(tmp_path / "run.zarr", arrays, step=0, storage=Storage(chunk_bytes=80))
    return tmp_path / "run.zarr"


def opened(*arguments: object, **options: str) -> Any:
    return dask.array.from_zarr(*arguments, **options)  # type: ignore[no-untyped-call]


def test_a_block_is_a_chunk_that_is_read_when_it_is_computed(run: Path) -> None:
    array = opened(str(run), component="step_0/report/full/forward.0")
    assert array.chunks == ((5, 5, 5), (4,))
    chunks = run / "step_0/report/full/forward.0"
    (chunks / "c.0.0").unlink()
    changed = np.full((5, 4), 7, np.float32)
    (chunks / "c.1.0").write_bytes(changed.tobytes())
    np.testing.assert_array_equal(array[10:].compute(), ROWS[10:])
    assert array.blocks[1].mean().compute() == 7


def test_what_is_computed_is_what_numpy_makes_of_the_tensor(run: Path) -> None:
    array = opened(str(run), component="step_0/report/full/forward.0")
    np.testing.assert_array_equal(array.std(axis=0).compute(), ROWS.std(axis=0))
    np.testing.assert_array_equal((array @ array.T).compute(), ROWS @ ROWS.T)


@pytest.mark.usefixtures("entries")
def test_bfloat16_is_read_and_widened(run: Path) -> None:
    report = zarr.open_group(run / "step_0/report", mode="r")
    array = opened(report["half/forward.0"])
    assert (array.dtype, array.numblocks) == (ml_dtypes.bfloat16, (3, 1))
    assert array[:2].compute().dtype == ml_dtypes.bfloat16
    expected = ROWS.repeat(2, axis=1).mean()
    assert array.astype("float32").mean().compute() == expected
    assert array.max().compute() == 59
