"""Comparing takes a bounded amount of memory, whatever the size of the tensors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.stores import Layer, write_dump

# Prints the most memory, in bytes, that its process ever held.
COMPARE = """
import sys
import padiff
comparison = padiff.compare(*sys.argv[1:], mode="strict", close_ups=2)
assert len(comparison.close_ups) == comparison.totals.diverged == 2
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


def peak(directory: Path, rows: int) -> int:
    """Bytes that a fresh process needs to compare pairs of `rows` MiB, one of them transposed."""
    base = np.zeros((rows, 2**18), np.float32)
    for side, values in (("base", base), ("raw", base + 1)):
        turned, axes = (values.T, "yx") if side == "raw" else (values, "xy")
        layers = [
            Layer("straight", "Linear", weights={"w": values}, dims={"w": "xy"}),
            Layer("turned", "Linear", weights={"w": turned}, dims={"w": axes}),
        ]
        write_dump(directory / side, Layer("", "Net", children=layers), section="weights")
    command = [sys.executable, "-c", COMPARE, str(directory / "base"), str(directory / "raw")]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory on Linux alone")
def test_large_tensors_are_never_whole_in_memory(tmp_path: Path) -> None:
    small, large = peak(tmp_path / "small", 1), peak(tmp_path / "large", 256)
    assert large - small < 200 * 2**20
