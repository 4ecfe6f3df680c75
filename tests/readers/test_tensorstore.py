"""TensorStore reads every tensor of what was recorded of a model, those in bfloat16 among them."""

from pathlib import Path

import numpy as np
import pytest
import tensorstore

from padiff.store.reader import open_dump
from tests.recording.runs import record
from tests.zoo import SIDES, ZOO


@pytest.mark.parametrize("framework", SIDES)
def test_it_reads_a_recorded_model(tmp_path: Path, framework: str) -> None:
    proxy = record(ZOO["bfloat16"], framework, tmp_path / "run.zarr").proxy
    proxy.dump_params(tmp_path / "run.zarr")
    dump = open_dump(tmp_path / "run.zarr")
    dtypes = set()
    for section in (dump.report, dump.params):
        for node in section.tree.walk():
            for tensor in node.tensors:
                path = tmp_path / "run.zarr" / section.header.section / tensor.array
                spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
                array = tensorstore.open(spec, open=True).result()
                values = np.asarray(section.array(tensor))
                assert (array.dtype.name, array.shape) == (tensor.dtype, values.shape)
                assert array.read().result().tobytes() == values.tobytes()
                assert tensor.dims is None or array.domain.labels == tensor.dims
                dtypes.add(tensor.dtype)
    assert dtypes >= {"bfloat16", "float32"}
