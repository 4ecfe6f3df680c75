"""Equal digests spare reading; without them all is read, and the outcome is the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from padiff.cli.check_command import command
from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.errors import CorruptError
from padiff.store.storage import Storage
from tests.stores import Layer, write_dump

SMALL_CHUNKS = Storage(chunk_bytes=2**10, durable=False)
VALUES = np.random.default_rng(7).standard_normal((64, 16))  # 4 chunks of float32
LAST = -1  # the byte that holds an element's sign and most of its exponent


def dump(location: Path, values: NDArray[Any]) -> Path:
    model = Layer("", "Net", out=VALUES[:1], children=[Layer("a", "L", out=values)])
    return write_dump(location, model, storage=SMALL_CHUNKS)


def flip(path: Path, values: NDArray[Any], at: int) -> None:
    """Change one byte of an element in the third chunk, wherever it lies in the store."""
    element = values[40].tobytes()
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    (file,) = (f for f in files if element in f.read_bytes())
    data = bytearray(file.read_bytes())
    data[data.index(element) + values.itemsize + at] ^= 1
    file.write_bytes(data)


def told(comparison: Comparison) -> list[str]:
    """What is found of each pair, but for figures that come of sums; as text, for NaN."""
    sums = {"mean_abs": None, "rel_l2": None, "cosine": None, "required_atol": None}
    return [str({**record.to_json(), **sums}) for record in comparison.records]


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
@pytest.mark.parametrize("mode", ["mean", "strict"])
@pytest.mark.parametrize("change", ["nothing", "an element", "not a number", "all"])
def test_the_outcome_is_the_same(tmp_path: Path, suffix: str, mode: str, change: str) -> None:
    base = VALUES.astype(np.float32)
    raw = base.copy()
    if change == "all":
        raw += np.float32(0.5)
    elif change != "nothing":
        raw[40, 3] = 9 if change == "an element" else np.nan
    locations = [
        dump(tmp_path / f"{name}.{suffix}", values) for name, values in (("b", base), ("r", raw))
    ]
    by_digest, read = (compare(*locations, mode=mode, digests=digests) for digests in (True, False))
    assert told(read) == told(by_digest)
    assert read.aligned == by_digest.aligned == (change == "nothing")
    for one, other in zip(read.records, by_digest.records, strict=True):
        assert one.figures is not None
        assert other.figures is not None
        for name in ("mean_abs", "rel_l2", "cosine", "required_atol"):
            found, expected = (getattr(figures, name) for figures in (one.figures, other.figures))
            assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
@pytest.mark.parametrize("byte", [0, LAST])
def test_a_byte_that_changed_in_one_of_two_equal_stores(
    tmp_path: Path, suffix: str, byte: int
) -> None:
    values = VALUES.astype(np.float32)
    base, raw = (dump(tmp_path / f"{name}.{suffix}", values) for name in ("base", "raw"))
    assert compare(base, raw, digests=False).aligned
    flip(raw, values, byte)
    assert compare(base, raw).aligned  # as the digests have it
    with pytest.raises(CorruptError, match=r"chunk .* of the array a/forward\.0 of .*raw"):
        compare(base, raw, digests=False)
    arguments = [str(base), str(raw), "--atol", "1e9"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    result = CliRunner().invoke(command, [*arguments, "--no-digest"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "it was changed after it was written" in result.stderr
