"""Converting takes a bounded amount of memory, whatever the size of the tensors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from padiff.store.storage import Storage
from tests.stores import Layer, write_dump

# Prints the most memory, in bytes, that its process ever held.
CONVERT = """
import sys
import padiff
base, *made = sys.argv[1:]
for location in made:
    padiff.convert(base, location)
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""
SUFFIXES = ("zarr", "h5", "zarr.zip", "safetensors", "npz")


def peak(*locations: Path) -> int:
    command = [sys.executable, "-c", CONVERT, *map(str, locations)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peaks(directory: Path, rows: int) -> tuple[int, int]:
    """What fresh processes need for a tensor of `rows` MiB, from a store and from named tensors."""
    values = np.zeros((rows, 2**18), np.float32)
    layer = Layer("", "Net", weights={"w": values})
    fast = Storage(durable=False)
    base = write_dump(directory / "base.zarr", layer, section="weights", storage=fast)
    made = [directory / f"made.{suffix}" for suffix in SUFFIXES]
    return peak(base, *made), peak(made[3], directory / "x.h5", directory / "x.npz")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory on Linux alone")
def test_large_tensors_are_never_whole_in_memory(tmp_path: Path) -> None:
    small, large = peaks(tmp_path / "small", 1), peaks(tmp_path / "large", 128)
    assert large[0] - small[0] < 100 * 2**20
    assert large[1] - small[1] < 100 * 2**20
