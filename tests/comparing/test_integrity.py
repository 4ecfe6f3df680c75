"""No byte that changed after it was written is told as a fault of a model."""

import json
from pathlib import Path

import numpy as np
import pytest

from padiff.comparing.engine import compare
from padiff.errors import CorruptError
from tests.stores import Layer, write_dump

RANDOM = np.random.default_rng(5)
SMALL = RANDOM.standard_normal((8, 8), dtype=np.float32)
LARGE = RANDOM.standard_normal((3 * 1024, 4096), dtype=np.float32)  # 48 MiB: several chunks


def stores(
    tmp_path: Path, off: float, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = SMALL
) -> tuple[Path, Path]:
    """Two that agree, but for the last layer, which is `off`."""
    base, raw = (
        write_dump(
            tmp_path / name,
            Layer(
                "",
                "Net",
                out=SMALL,
                children=[Layer("a", "L", out=SMALL * scale), Layer("b", "L", out=values + by)],
            ),
        )
        for name, scale, by in (("base", 1, 0), ("raw", 1 + 1e-6, off))
    )
    return base, raw


def flip(chunk: Path, at: int = 0) -> None:
    """One bit, the highest of an exponent."""
    with chunk.open("r+b") as file:
        file.seek(at + 3)
        byte = file.read(1)[0]
        file.seek(at + 3)
        file.write(bytes([byte ^ 0x40]))


@pytest.mark.parametrize("side", ["base", "raw"])
@pytest.mark.parametrize("mode", ["mean", "strict"])
def test_a_flipped_bit_is_no_divergence(tmp_path: Path, side: str, mode: str) -> None:
    base, raw = stores(tmp_path, 0)
    assert compare(base, raw, mode=mode).aligned
    flip(tmp_path / side / "report/a/forward.0/c.0.0")
    with pytest.raises(
        CorruptError, match=rf"chunk \(0, 0\) of the array a/forward\.0 of .*{side}"
    ):
        compare(base, raw, mode=mode)


def test_no_divergence_is_told_of_an_array_that_is_damaged_anywhere(tmp_path: Path) -> None:
    base, raw = stores(tmp_path, 0.5, LARGE)
    assert compare(base, raw).first_divergence is not None
    chunks = sorted((raw / "report/b").rglob("c.*"))
    assert len(chunks) > 2
    flip(chunks[-1], 4000)
    with pytest.raises(
        CorruptError, match=rf"chunk \({len(chunks) - 1}, 0\) of the array b/forward"
    ):
        compare(base, raw)


def test_a_changed_document_of_an_array_that_diverges(tmp_path: Path) -> None:
    base, raw = stores(tmp_path, 0.5)
    document = base / "report/b/forward.0/zarr.json"
    data = json.loads(document.read_text())
    document.write_text(json.dumps({**data, "dimension_names": ["x", "y"]}))
    with pytest.raises(CorruptError, match="expected the metadata of the array b/forward"):
        compare(base, raw)


def test_what_was_written_diverges_as_ever(tmp_path: Path) -> None:
    first = compare(*stores(tmp_path, 0.5)).first_divergence
    assert first is not None
    assert first.base.route == "b"
