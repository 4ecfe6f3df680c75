"""Readers in JavaScript find the header, and every tensor of a type that they know.

Of `bfloat16`, which zarrita does not know, it reads the bits, as `docs/reading.md` shows.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff.store.format import SectionName
from padiff.store.reader import open_dumps
from padiff.store.section import Section
from padiff.tree import TensorRecord
from tests.readers.javascript import run_node
from tests.samples.contents import write_samples

SECTIONS: list[tuple[int, SectionName]] = [(12, "report"), (12, "params"), (13, "grads")]
SMALL_FLOATS = ("float16", "float8")


@pytest.mark.parametrize(("step", "name"), SECTIONS)
def test_zarrita_reads_a_store(tmp_path: Path, step: int, name: SectionName) -> None:
    write_samples(tmp_path / "run.zarr")
    section = open_dumps(tmp_path / "run.zarr").dumps[step, None].section(name)
    printed = run_node("read_zarr.mjs", tmp_path / "run.zarr", f"step_{step}/{name}")
    check(section, printed, unknown=(*SMALL_FLOATS, "complex"), refusal="unsupported dataType")


@pytest.mark.parametrize(("step", "name"), SECTIONS)
def test_h5wasm_reads_a_file(tmp_path: Path, step: int, name: SectionName) -> None:
    write_samples(tmp_path / "run.h5")
    section = open_dumps(tmp_path / "run.h5").dumps[step, None].section(name)
    printed = run_node("read_hdf5.mjs", tmp_path / "run.h5" / f"step_{step}.h5", name)
    check(section, printed, unknown=(*SMALL_FLOATS, "bfloat16"), refusal="not supported")


def check(
    section: Section, printed: dict[str, Any], *, unknown: tuple[str, ...], refusal: str
) -> None:
    """What was printed is what lies there; of types that the library lacks, that it says so."""
    assert printed["header"]["model"] == section.header.model
    records = [record for node in section.tree.walk() for record in node.tensors]
    assert sorted(printed["read"]) == sorted(record.array for record in records)
    for record in records:
        read = printed["read"][record.array]
        if record.dtype.startswith(unknown):
            assert refusal in read["error"]
            continue
        assert read["shape"] == list(record.shape)
        assert as_read(read["values"], record.dtype) == elements(section, record)


def elements(section: Section, record: TensorRecord) -> list[str]:
    """The elements as Python's texts; those of complex numbers one part after the other."""
    values = np.asarray(section.array(record)).ravel()
    if record.dtype.startswith("complex"):
        values = values.view(f"f{values.itemsize // 2}")
    return [str(value).lower() for value in values.tolist()]


def as_read(texts: list[str], dtype: str) -> list[str]:
    """Python's words for JavaScript's, to the last bit of a float."""
    texts = [part for text in texts for part in text.split(",")]
    if dtype == "bool":
        return [{"1": "true", "0": "false"}.get(text, text) for text in texts]
    if dtype.startswith(("float", "bfloat16", "complex")):
        words = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}
        return [str(float(words.get(text, text))) for text in texts]
    return texts
