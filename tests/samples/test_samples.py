"""Stores that were written when format 1 was: read as they are by every version that comes."""

from pathlib import Path

import numpy as np
import pytest

from padiff import compare
from padiff.store.chunks import chunk_grid, chunk_selection
from padiff.store.format import SectionName, digest
from padiff.store.reader import open_dumps
from padiff.store.section import Section
from padiff.tree import Node
from tests.samples.contents import DUMPS, Kept, kept_tensors, write_samples

HERE = Path(__file__).parent
SAMPLES = sorted(path.name for path in HERE.glob("format_*"))
SECTIONS = [(dump, section) for dump, held in DUMPS.items() for section in held]


@pytest.mark.parametrize("sample", SAMPLES)
def test_it_has_the_dumps_it_was_given(sample: str) -> None:
    found = open_dumps(HERE / sample).dumps
    assert {key: dump.sections for key, dump in found.items()} == DUMPS


@pytest.mark.parametrize(("dump", "section"), SECTIONS, ids=str)
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_bit_is_as_it_was_written(
    sample: str, dump: tuple[int | None, int | None], section: SectionName
) -> None:
    held = open_dumps(HERE / sample).dumps[dump].section(section)
    expected = list(kept_tensors(section, list(DUMPS).index(dump)))
    records = {t.array: (node, t) for node in held.tree.walk() for t in node.tensors}
    assert len(records) == len(expected)
    for order, kept in enumerate(expected, 1):
        node, record = records[kept.array]
        assert (node.route, node.call) == (kept.route, kept.call)
        assert (record.phase, record.place, record.order) == (kept.phase, kept.place, order)
        assert (record.shape, record.dtype, record.dims) == (kept.shape, kept.dtype, kept.dims)
        assert (record.buffer, record.device) == (kept.buffer, "cpu")
        array = held.stored(record)
        assert np.asarray(array).tobytes() == kept.values.tobytes()
        assert record.chunks == chunk_digests(kept, array.chunk_shape)
        assert array.metadata_digest() == record.metadata


def chunk_digests(kept: Kept, chunk_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Of the chunks' bytes, padding included, as the specification says."""
    digests = []
    for index in np.ndindex(chunk_grid(kept.shape, chunk_shape)):
        part = kept.values[chunk_selection(index, kept.shape, chunk_shape)]
        padded = np.zeros(chunk_shape, part.dtype)
        padded[tuple(map(slice, part.shape))] = part
        digests.append(digest(padded.tobytes()))
    return tuple(digests)


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_key_of_a_header_is_read(sample: str) -> None:
    dumps = open_dumps(HERE / sample).dumps
    report, params = dumps[12, None].report, dumps[12, None].params
    header = report.header
    assert (header.section, header.model, header.framework) == ("report", "Net", "torch")
    assert (header.framework_version, header.run) == ("2.13.0", "a run")
    assert header.created == "2026-11-26T00:00:00+00:00"
    assert header.layer_map == ("blocks.1.mlp.fc1",)
    assert (header.backward, header.updated) == (True, None)
    assert (params.header.backward, params.header.updated) == (None, False)
    root, layer = model_of(report), model_of(report).children[0]
    assert (root.name, root.training, root.awaits, root.origins) == (
        "Net",
        False,
        {"x": True},
        {"x": ("x",)},
    )
    assert [
        tuple(getattr(u, k) for k in ("phase", "place", "reason")) for u in root.unrecorded
    ] == [("forward", "cache", "it is no dense tensor")]
    assert (layer.name, layer.repr, layer.training) == ("Layer", "Layer(in_features=2)", True)
    (frame,) = layer.stack
    assert (frame.file, frame.line, frame.function, frame.code) == (
        *("model.py", 12, "forward"),
        "return self.fc(x)",
    )


def model_of(section: Section) -> Node:
    (root,) = section.tree.roots
    return root


@pytest.mark.parametrize("sample", SAMPLES)
def test_it_compares_with_what_this_version_writes(sample: str, tmp_path: Path) -> None:
    write_samples(tmp_path / "now.zarr")
    comparison = compare(HERE / sample, tmp_path / "now.zarr", mode="strict", atol=0, rtol=0)
    assert comparison.aligned
    count = sum(
        len(list(kept_tensors(section, seed)))
        for seed, sections in enumerate(DUMPS.values())
        for section in sections
    )
    assert comparison.totals.compared == count
