"""Damage to stores that are few files is found, and is never told as a divergence of tensors."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

import padiff
from padiff.errors import PadiffError
from padiff.store.storage import Storage
from tests.store.backends import Backend, on
from tests.stores import Layer, write_dump

EDGE = 60  # bytes at the begin and the end of a file that are all tried
SAMPLE = 40  # bytes between them
VALUES: dict[str, ArrayLike] = {
    "b": np.arange(6, dtype=np.int16),
    "empty": np.zeros((3, 0), np.float32),
    "scalar": np.float64(3),
}
LARGE = np.arange(60.0).reshape(12, 5)
RAW = Storage(chunk_bytes=160)

each_kind = on("hdf5", "zip")  # of a Zarr hierarchy each file is tried, in test_verify.py


def make(run: Path, scale: float = 1, storage: Storage = RAW) -> Path:
    layers = [Layer(name, "L", out=values) for name, values in VALUES.items()]
    net = Layer("", "Net", out=LARGE * scale, weights={"w": LARGE * scale}, children=layers)
    write_dump(run, net, storage=storage)
    return write_dump(run, net, section="params", storage=storage)


class Stores:
    """One that is to be damaged, an intact copy of it, and one that is equal within tolerance."""

    def __init__(self, directory: Path, backend: Backend, storage: Storage) -> None:
        self.run = make(directory / f"run{backend.suffix}", storage=storage)
        self.data = self.run.read_bytes()
        self.others = [
            Path(shutil.copy(self.run, directory / f"intact{backend.suffix}")),
            make(directory / f"near{backend.suffix}", 1 + 1e-6, storage),
        ]

    def check_found(self, change: str) -> None:
        try:
            assert not padiff.verify(self.run, jobs=1).intact, change
        except PadiffError as error:
            assert_one_sentence(error)
        for other in self.others:
            for pair in ((self.run, other), (other, self.run)):
                try:  # what it need not read it may not notice
                    assert padiff.compare(*pair, jobs=1).aligned, change
                except PadiffError as error:
                    assert_one_sentence(error)

    def check_intact(self) -> None:
        self.run.write_bytes(self.data)
        assert padiff.verify(self.run).intact
        assert all(padiff.compare(self.run, other).aligned for other in self.others)


def assert_one_sentence(error: PadiffError) -> None:
    assert str(error).startswith("expected")
    assert "\n" not in str(error)


@pytest.fixture(params=[None, "gzip"], ids=["raw", "gzip"])
def stores(request: pytest.FixtureRequest, tmp_path: Path, backend: Backend) -> Iterator[Stores]:
    found = Stores(tmp_path, backend, Storage(chunk_bytes=160, compression=request.param))
    found.check_intact()
    yield found
    found.check_intact()


@each_kind
def test_a_flipped_bit(stores: Stores) -> None:
    choice, size = random.Random(7), len(stores.data)
    places = {*range(EDGE), *range(size - EDGE, size), *choice.sample(range(size), SAMPLE)}
    for place in sorted(places):
        changed = bytearray(stores.data)
        changed[place] ^= 1 << choice.randrange(8)
        stores.run.write_bytes(changed)
        stores.check_found(f"byte {place} of {size}, now {changed[place]}")


@each_kind
def test_an_end_that_is_cut_off(stores: Stores) -> None:
    size = len(stores.data)
    for length in {*range(0, size, size // 20), *range(size - 60, size, 3), size - 1}:
        stores.run.write_bytes(stores.data[:length])
        stores.check_found(f"{length} bytes of {size}")


@each_kind
def test_a_file_that_is_gone(stores: Stores) -> None:
    stores.run.unlink()
    with pytest.raises(PadiffError):
        padiff.verify(stores.run)
    with pytest.raises(PadiffError):
        padiff.compare(stores.run, stores.others[0])
