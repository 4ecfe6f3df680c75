"""Packed chunks of HDF5 files are what the library makes of them, and no larger."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import padiff
from benchmarks.fuzz import peak
from padiff.errors import CorruptError
from padiff.store.chunks import blocks
from padiff.store.hdf5.seal import append_seal
from padiff.store.hdf5.unpacking import read_packed
from padiff.store.reader import open_dump
from padiff.store.storage import Storage
from tests.foreign.attacks.hdf5 import bomb
from tests.store.sections import write

VALUES = np.random.default_rng(0).integers(0, 9, (37, 22)).astype(np.float32)
PACKED = Storage(compression="gzip", chunk_bytes=2**16)
DEFLATED: dict[str, dict[str, Any]] = {
    "deflated": {"compression": "gzip"},
    "shuffled": {"compression": "gzip", "shuffle": True},
    "with a checksum": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "of bytes": {"compression": "gzip", "shuffle": True, "dtype": "u1"},
    "of doubles": {"compression": "gzip", "shuffle": True, "dtype": "f8"},
    "in another order": {"compression": "gzip", "shuffle": True, "dtype": ">f4"},
    "scaled": {"compression": "gzip", "scaleoffset": 0, "dtype": "i4"},
    "lzf": {"compression": "lzf", "shuffle": True},
    "shuffled alone": {"shuffle": True},
    "partly there": {"compression": "gzip", "fillvalue": 7},
    "partly packed": {"compression": "gzip"},
    "not there": {"compression": "gzip", "fillvalue": 7},
}


@pytest.mark.parametrize("name", DEFLATED)
def test_it_is_what_the_library_makes_of_it(name: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        options = {"dtype": "f4", **DEFLATED[name]}
        made = file.create_dataset("fc/weight", VALUES.shape, chunks=(8, 5), **options)
        rows = {"partly there": 20, "not there": 0}.get(name, len(VALUES))
        made[:rows] = VALUES[:rows]
        if name == "partly packed":  # the mask tells of filters that were left out
            made.id.write_direct_chunk((8, 5), VALUES[8:16, 5:10].tobytes(), 1)
    with h5py.File(tmp_path / "weights.h5") as file:
        made = file["fc/weight"]
        expected = made[...].astype(made.dtype.newbyteorder("="))
        kind = h5py.h5t.py_create(expected.dtype)
        whole = np.empty_like(expected)
        ours = read_packed(made.id, tuple(map(slice, (0, 0), VALUES.shape)), whole, kind)
        library = (
            "with a checksum",
            "in another order",
            "scaled",
            "lzf",
            "shuffled alone",
            "partly there",
            "not there",
        )
        assert ours == (name not in library)
        assert not ours or np.array_equal(whole, expected)
    array = padiff.open_dump(tmp_path / "weights.h5").weights["fc"].weight["weight"]
    for selection in blocks(VALUES.shape, (13, 9), 10**6):
        assert np.array_equal(array.read(selection), expected[selection])


SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.parametrize("name", ["shuffled", "deflated", "both"])
def test_chunks_at_the_edge_may_lie_as_they_are(name: str) -> None:
    """As the library leaves them where it is told to, by what h5py has no function for."""
    array = padiff.open_dump(SAMPLES / "edges_unpacked.h5").weights[""].weight[name]
    assert np.array_equal(np.asarray(array), np.arange(114, dtype=np.float32).reshape(19, 6))


def test_a_store_is_no_bomb_either(tmp_path: Path) -> None:
    """Whoever makes one may give it a seal as well."""
    store = tmp_path / "run.h5"
    write(store, {"layer": np.ones(2**15, np.float32)}, storage=PACKED)
    with h5py.File(store, "r+") as file:
        del file["report/layer/forward.0"]
        bomb()(file["report/layer"])
        file["report/layer"].move("a", "forward.0")
    append_seal(store, ())
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    with pytest.raises(CorruptError, match=r"\(0,\) of .*forward.0 to have 65536 bytes, found"):
        np.asarray(open_dump(store).report["layer"].forward[0])
    assert peak() - before < 2**26
