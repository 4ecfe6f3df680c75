"""What recording costs: many small tensors, and a large one: `python -m benchmarks.record`."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import padiff
from benchmarks.measure import (
    Candidate,
    Target,
    judge,
    medians,
    scratch,
    show,
    write_report,
    writing,
)
from padiff.store.storage import Storage

__all__ = ["main"]

COUNT = 2000
ROUNDS = 9
FAST = Storage(durable=False)


def small(seed: int, scale: float) -> dict[str, NDArray[np.float32]]:
    """2,000 tensors of 1 to 32 KiB; another `scale` moves every element by that much at most."""
    sizes = np.random.default_rng(0).integers(256, 8192, COUNT, endpoint=True)
    values = np.random.default_rng(1).standard_normal(8192).astype(np.float32)
    noise = np.random.default_rng(seed).uniform(-scale, scale, 8192).astype(np.float32)
    return {f"layer{n}": values[:size] + noise[:size] for n, size in enumerate(sizes)}


def write_files(directory: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """A directory and a file a tensor: the least that one chunk a tensor can cost."""
    for name, values in tensors.items():
        (directory / name).mkdir(parents=True)
        with (directory / name / "0").open("wb") as file:
            file.write(values.data)


def write_hierarchy(directory: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """As many directories and files as a Zarr hierarchy has, with nothing worked out."""
    document = b"0" * 400
    for name, values in tensors.items():
        array = f"{directory}/{name}/forward.0"
        os.makedirs(array)  # noqa: PTH103  # a text is faster
        for path, data in (
            (f"{directory}/{name}/zarr.json", document),
            (f"{array}/zarr.json", document),
            (f"{array}/c.0", values.data),
        ):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(file, data)
            os.close(file)


def many_small(root: Path) -> list[Target]:
    """Write, then read and compare, the 2,000 tensors."""
    base, raw = small(2, 0.0), small(3, 1e-5)
    write_report(root / "base.zarr", base)
    write_report(root / "raw.zarr", raw)
    comparison = padiff.compare(root / "base.zarr", root / "raw.zarr", mode="strict")
    assert comparison.aligned
    assert len(comparison.records) == COUNT
    seconds = medians(
        {
            "write": writing(
                root / "new.zarr", lambda path: write_report(path, base, storage=FAST), keep=True
            ),
            "write, flushed": writing(
                root / "flushed.zarr", lambda path: write_report(path, base), keep=True
            ),
            "write the same files": writing(
                root / "same", lambda path: write_hierarchy(path, base), keep=True
            ),
            "write plain files": writing(
                root / "plain", lambda path: write_files(path, base), keep=True
            ),
            "read and compare": Candidate(
                lambda: padiff.compare(root / "base.zarr", root / "raw.zarr", mode="strict")
            ),
        },
        ROUNDS,
    )
    each = {name: value / COUNT for name, value in seconds.items()}
    show(f"A tensor of 1 to 32 KiB, of {COUNT}", each, "write plain files", "ms")
    return [
        Target("write a small tensor", each["write"] * 1e3, 0.25, "ms"),
        Target("read and compare a small tensor", each["read and compare"] * 1e3, 0.2, "ms"),
    ]


def one_large(root: Path) -> list[Target]:
    """Write one tensor of 1 GiB."""
    values = np.random.default_rng(0).standard_normal(1 << 20, dtype=np.float32)
    large = np.tile(values, 256).reshape(256, 1024, 1024)
    elsewhere = np.empty_like(large)
    seconds = medians(
        {
            "copy in memory": Candidate(lambda: np.copyto(elsewhere, large)),
            "plain write": writing(root / "large.bin", lambda path: large.tofile(path)),
            "numpy.save": writing(root / "large.npy", lambda path: np.save(path, large)),
            "numpy.save, flushed": writing(root / "large.npy", lambda path: save(path, large)),
            "padiff": writing(
                root / "large.zarr",
                lambda path: write_report(path, {"a": large}, storage=FAST),
            ),
            "padiff, flushed": writing(
                root / "large.zarr", lambda path: write_report(path, {"a": large})
            ),
        },
        ROUNDS,
    )
    show("One tensor of 1 GiB", seconds, "numpy.save")
    return [
        Target(
            f"write 1 GiB{how}",
            seconds[f"padiff{how}"] / seconds[f"numpy.save{how}"],
            1.25,
            "x numpy.save",
        )
        for how in ("", ", flushed")
    ]


def save(path: Path, values: NDArray[np.float32]) -> None:
    """numpy.save, and on the disk."""
    with path.open("wb") as file:
        np.save(file, values)
        file.flush()
        os.fsync(file.fileno())


def main() -> int:
    """Run both; 1 when a target is missed."""
    with scratch(needed=5 << 30) as root:
        # the large one first: many files leave the system work that slows whatever comes next
        large = one_large(root)
        return judge(many_small(root) + large)


if __name__ == "__main__":
    sys.exit(main())
