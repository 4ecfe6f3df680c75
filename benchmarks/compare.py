"""What comparing costs beside other tools, and its peak memory: `python -m benchmarks.compare`."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

import padiff
from benchmarks.measure import Candidate, Target, judge, medians, scratch, show, write_report

__all__ = ["main"]

COUNT, SIDE = 32, 2048
ATOL = 1e-4
ROUNDS = 5

# Prints the most memory its process ever held, in MiB, after comparing the two stores.
PEAK = """
import sys
import padiff
assert padiff.compare(*sys.argv[1:], mode="strict").aligned
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""

Tensors = dict[str, NDArray[np.float32]]


def pair(shape: tuple[int, ...], count: int, error: float = ATOL / 10) -> tuple[Tensors, Tensors]:
    """Tensors that differ by `error` at most, but in nearly every element: none is equal."""
    random = np.random.default_rng(0)
    base = {f"layer{n}": random.standard_normal(shape, dtype=np.float32) for n in range(count)}
    noise = random.uniform(-error, error, shape).astype(np.float32)
    return base, {name: values + noise for name, values in base.items()}


def write_hdf5(path: Path, tensors: Tensors) -> None:
    """The same tensors as contiguous datasets, h5diff's fastest case."""
    with h5py.File(path, "w") as file:
        for name, values in tensors.items():
            file[name] = values


def write_bytes(path: Path, tensors: Tensors) -> None:
    """Nothing but the elements, one tensor after another."""
    with path.open("wb") as file:
        for values in tensors.values():
            file.write(values.data)


def assert_allclose(base: Tensors, raw: Tensors, *, passes: bool) -> None:
    """What a test does with arrays in memory; reading them is not on the clock.

    Only for those that do not pass does it work out what padiff always does: how many elements
    are out of tolerance, and the greatest errors.
    """
    for name, values in base.items():
        try:
            np.testing.assert_allclose(raw[name], values, rtol=1e-7, atol=ATOL)
        except AssertionError:
            assert not passes
        else:
            assert passes


def process(*command: str | Path) -> Candidate:
    """A candidate: the command run to its end, which must find no difference."""
    return Candidate(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def speed(root: Path) -> list[Target]:
    """32 pairs of 2048 x 2048, strict, all in the page cache."""
    base, raw = pair((SIDE, SIDE), COUNT)
    stores = (root / "base.zarr", root / "raw.zarr")
    for name, tensors in (("base", base), ("raw", raw)):
        write_report(root / f"{name}.zarr", tensors)
        write_hdf5(root / f"{name}.h5", tensors)
    # cmp stops at the first difference, so it gets the same bytes twice
    for name in ("base.bin", "copy.bin"):
        write_bytes(root / name, base)
    _, wrong = pair((SIDE, SIDE), COUNT, error=ATOL * 10)
    write_report(root / "wrong.zarr", wrong)
    check = Path(sys.executable).with_name("padiff-check")
    comparison = padiff.compare(*stores, mode="strict")
    assert comparison.aligned
    diverged = padiff.compare(stores[0], root / "wrong.zarr", mode="strict")
    assert comparison.totals.compared == diverged.totals.diverged == COUNT
    seconds = medians(
        {
            "cmp": process("cmp", root / "base.bin", root / "copy.bin"),
            "padiff.compare": Candidate(lambda: padiff.compare(*stores, mode="strict")),
            "padiff.compare, jobs=1": Candidate(
                lambda: padiff.compare(*stores, mode="strict", jobs=1)
            ),
            "padiff.compare, diverged": Candidate(
                lambda: padiff.compare(stores[0], root / "wrong.zarr", mode="strict")
            ),
            "padiff-check": process(check, *stores, "--mode", "strict", "-q"),
            "h5diff -d": process("h5diff", "-d", str(ATOL), root / "base.h5", root / "raw.h5"),
            "assert_allclose": Candidate(lambda: assert_allclose(base, raw, passes=True)),
            "assert_allclose, diverged": Candidate(
                lambda: assert_allclose(base, wrong, passes=False)
            ),
        },
        ROUNDS,
    )
    show(f"{COUNT} float32 tensors of {SIDE} x {SIDE}, strict", seconds, "padiff.compare")
    ours = seconds["padiff.compare"]
    return [
        Target("h5diff / padiff", seconds["h5diff -d"] / ours, 4, "times as fast", at_least=True),
        Target(
            "assert_allclose / padiff, diverged",
            seconds["assert_allclose, diverged"] / seconds["padiff.compare, diverged"],
            20,
            "times as fast",
            at_least=True,
        ),
        Target("padiff / cmp", ours / seconds["cmp"], 2.5, "times the time"),
    ]


def peak(base: Path, raw: Path) -> float:
    """MiB that a fresh process needs at most to compare two stores."""
    command: list[str | Path] = [sys.executable, "-c", PEAK, base, raw]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(root: Path) -> list[Target]:
    """One pair of 2 GiB in a fresh process, above one pair of 1 MiB."""
    mebibytes = {}
    for name, repeats in (("1 MiB", 1), ("2 GiB", 2048)):
        base, raw = pair((512, 512), 1)
        for side, tensors in (("base", base), ("raw", raw)):
            values = np.tile(tensors["layer0"], (repeats, 1))
            write_report(root / f"{side}.zarr", {"layer0": values})
        mebibytes[name] = peak(root / "base.zarr", root / "raw.zarr")
    print("\nPeak memory of a fresh process that compares one pair")
    for name, value in mebibytes.items():
        print(f"  {name}  {value:7.1f} MiB")
    return [Target("2 GiB above 1 MiB", mebibytes["2 GiB"] - mebibytes["1 MiB"], 200, "MiB")]


def main() -> int:
    """Run both; 1 when a target is missed."""
    if shutil.which("h5diff") is None:
        raise SystemExit("expected h5diff on the PATH: install hdf5-tools")
    with scratch(needed=8 << 30) as root:
        return judge(speed(root) + memory(root))


if __name__ == "__main__":
    sys.exit(main())
