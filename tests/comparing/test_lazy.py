"""Only what is asked for is read: the chunks of all other layers may be gone."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from padiff.cli.check_command import command
from padiff.errors import CorruptError
from padiff.store.reader import open_dump
from tests.stores import Layer, write_dump

VALUES = np.random.default_rng(3).standard_normal((300, 300), dtype=np.float32)  # more than a page


def model(off: float) -> Layer:
    values = VALUES + np.float32(off)
    blocks = [
        Layer(str(n), "Block", out=values, children=[Layer("a", "L", out=values + n)])
        for n in range(6, 9)
    ]
    blocks[1] = Layer("7", "Block", out=values, children=[Layer(n, "L", out=values) for n in "ab"])
    return Layer("", "Net", out=values, children=[Layer("blocks", "List", children=blocks)])


def without_others(store: Path) -> None:
    """Remove the chunks of all layers but those below the seventh block."""
    for chunk in store.rglob("c.*"):
        if not chunk.parent.parent.name.startswith("blocks.7."):
            chunk.unlink()


@pytest.mark.parametrize("off", [0, 1])
@pytest.mark.parametrize("arguments", [[], ["--no-digest"]])
def test_layer_reads_no_chunk_of_another(tmp_path: Path, off: int, arguments: list[str]) -> None:
    base, raw = (write_dump(tmp_path / n, model(by)) for n, by in (("base", 0), ("raw", off)))
    for store in (base, raw):
        without_others(store)
    chosen = [str(base), str(raw), "--layer", "blocks.7.*", *arguments]
    result = CliRunner().invoke(command, chosen)
    assert result.exit_code == off, result.output
    assert "2 tensors of report" in result.output
    everything = CliRunner().invoke(command, [str(base), str(raw), *arguments])
    assert everything.exit_code == 2  # so that the chunks are known to be gone


def test_a_layer_is_read_without_the_others(tmp_path: Path) -> None:
    store = write_dump(tmp_path / "run", model(0))
    without_others(store)
    report = open_dump(store).report
    assert np.array_equal(np.asarray(report["blocks.7.a"].forward[0]), VALUES)
    with pytest.raises(CorruptError):
        np.asarray(report["blocks.6.a"].forward[0])
