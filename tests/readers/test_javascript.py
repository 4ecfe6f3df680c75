"""Readers in JavaScript find the header, and every tensor of a type that they know."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff.store.reader import open_dumps
from padiff.store.section import Section
from padiff.tree import TensorRecord
from tests.readers.javascript import run_node
from tests.samples.contents import write_samples

UNKNOWN_TO_ZARRITA = ("float16", "bfloat16", "float8", "complex")


def elements(section: Section, record: TensorRecord) -> list[Any]:
    """What JavaScript's text of each element is to be."""
    values = np.asarray(section.array(record))
    if record.dtype == "bool":
        return [str(value).lower() for value in values.ravel().tolist()]
    return [str(value) for value in values.ravel().tolist()]


def as_read(texts: list[str], dtype: str) -> list[Any]:
    """Python's words for the same, to the last bit of a float."""
    if not dtype.startswith("float"):
        return texts
    known = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}
    return [str(float(known.get(text, text))) for text in texts]


@pytest.mark.parametrize(
    ("step", "path"), [(12, "step_12/report"), (12, "step_12/params"), (13, "step_13/grads")]
)
def test_zarrita_reads_a_store(tmp_path: Path, step: int, path: str) -> None:
    write_samples(tmp_path / "run.zarr")
    name = path.rpartition("/")[2]
    section = open_dumps(tmp_path / "run.zarr").dumps[step, None].section(name)  # type: ignore[arg-type]
    printed = run_node("read_zarr.mjs", tmp_path / "run.zarr", path)
    assert printed["header"]["model"] == section.header.model
    records = [record for node in section.tree.walk() for record in node.tensors]
    assert sorted(printed["read"]) == sorted(record.array for record in records)
    for record in records:
        read = printed["read"][record.array]
        if record.dtype.startswith(UNKNOWN_TO_ZARRITA):
            assert "unsupported dataType" in read["error"]
            continue
        assert (read["shape"], read["dtype"]) == (list(record.shape), record.dtype)
        assert as_read(read["values"], record.dtype) == elements(section, record)
