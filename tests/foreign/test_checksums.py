"""Members of zip files have checksums: what they no longer fit is damage, and no divergence."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.serialization import set_crc32_options

import padiff
from padiff.errors import CorruptError
from tests.foreign.formats import FORMATS

STATE: Mapping[str, torch.Tensor] = {
    "a.weight": torch.randn(200, 300, generator=torch.Generator().manual_seed(0)),
    "b.weight": torch.arange(100.0),
}
ZIPS = ("npz", "npz_packed", "torch_zip", "torch_views", "torch_distributed")


def change_checksum(location: Path) -> None:
    """Another in the directory of a zip file, for the member that is the largest."""
    file = next(location.glob("*.distcp")) if location.is_dir() else location
    data = bytearray(file.read_bytes())
    start = data.index(b"PK\3\4") if location.is_dir() else 0
    with zipfile.ZipFile(file) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    at = data.rindex(b"PK\1\2", start, data.rindex(largest.filename.encode()))
    assert int.from_bytes(data[at + 16 : at + 20], "little") == largest.CRC
    data[at + 16] ^= 1
    file.write_bytes(data)


def change_byte(location: Path) -> None:
    """Another element where these lie as they are."""
    data = bytearray(location.read_bytes())
    at = data.index(np.float32(STATE["a.weight"][100, 100]).tobytes())
    data[at] ^= 1
    location.write_bytes(data)


@pytest.mark.parametrize("name", ZIPS)
def test_what_parted_is_held_against_its_checksum(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    location = FORMATS[name](tmp_path, STATE)
    other = FORMATS["safetensors"](tmp_path / "other", {k: v + 1 for k, v in STATE.items()})
    assert padiff.compare(other, location).totals.diverged == 2
    padiff.convert(location, tmp_path / "made.zarr")
    change_checksum(location)
    words = r"expected the member '.*' of .* to have the checksum that its directory gives"
    for pair in ((location, other), (other, location)):
        with pytest.raises(CorruptError, match=words):
            padiff.compare(*pair)
    assert padiff.compare(location, location).aligned  # equal bytes are not looked at again
    for made in ("new.zarr", "new.npz"):
        with pytest.raises(CorruptError, match=words):
            padiff.convert(location, tmp_path / made)
        assert not (tmp_path / made).exists()


@pytest.mark.parametrize("name", ["npz", "torch_zip"])
def test_a_changed_element_is_damage(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    location = FORMATS[name](tmp_path, STATE)
    other = FORMATS["safetensors"](tmp_path / "other", STATE)
    assert padiff.compare(location, other, mode="strict", atol=0, rtol=0).aligned
    change_byte(location)
    with pytest.raises(CorruptError, match="was changed after it was written"):
        padiff.compare(location, other, mode="strict", atol=0, rtol=0)
    with pytest.raises(CorruptError, match="was changed after it was written"):
        padiff.convert(location, tmp_path / "made.zarr")


def test_the_pickle_of_torch_is_held_against_its_checksum(tmp_path: Path) -> None:
    location = FORMATS["torch_zip"](tmp_path, STATE)
    location.write_bytes(location.read_bytes().replace(b"b.weight", b"c.weight"))
    with pytest.raises(CorruptError, match=r"expected the member 'model/data\.pkl' of"):
        padiff.open_dump(location)


def test_what_torch_wrote_without_checksums_is_read(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    set_crc32_options(False)
    try:
        location = FORMATS["torch_zip"](tmp_path, STATE)
    finally:
        set_crc32_options(True)
    other = FORMATS["npz"](tmp_path / "other", {k: v + 1 for k, v in STATE.items()})
    assert padiff.compare(location, other).totals.diverged == 2
    assert padiff.convert(location, tmp_path / "made.zarr").arrays == 2
