"""HDF5 dumps beside h5py by hand and h5diff: `python -m benchmarks.hdf5`."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

import padiff
from benchmarks.compare import ATOL, pair, process
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
from benchmarks.record import small
from padiff.store.storage import Storage

__all__ = ["main"]

ROUNDS = 5
FAST = Storage(durable=False)
Tensors = Mapping[str, NDArray[np.float32]]


def by_hand(path: Path, tensors: Tensors, *, durable: bool = False) -> None:
    """A group and a dataset a tensor, as padiff has them, with nothing measured."""
    with h5py.File(path, "w", libver="v110") as file:
        for name, values in tensors.items():
            file[f"report/{name}/forward.0"] = values
    if durable:
        descriptor = os.open(path, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)


def write(root: Path, title: str, tensors: Tensors, *, durable: bool) -> list[Target]:
    """Both write the same tensors."""
    storage = Storage(durable=durable)
    seconds = medians(
        {
            "h5py": writing(root / "h", lambda path: by_hand(path, tensors, durable=durable)),
            "padiff": writing(
                root / "p.h5", lambda path: write_report(path, tensors, storage=storage)
            ),
        },
        ROUNDS,
    )
    show(title, seconds, "h5py")
    targets = [Target(title, seconds["padiff"] / seconds["h5py"], 1.3, "x h5py")]
    if len(tensors) > 1000 and not durable:
        targets.append(Target(f"{title}, each", seconds["padiff"] / len(tensors) * 1e3, 0.15, "ms"))
    return targets


def compare(root: Path) -> Target:
    """Two files of 1 GiB, of which nearly every element differs within the tolerance."""
    base, raw = pair((2048, 2048), 64)
    files = root / "base.h5", root / "raw.h5"
    plain = root / "base", root / "raw"  # without trees, which differ and are no tensors
    for file, other, tensors in zip(files, plain, (base, raw), strict=True):
        write_report(file, tensors, storage=FAST)
        by_hand(other, tensors)
    assert padiff.compare(*files, mode="strict").aligned
    seconds = medians(
        {
            "padiff.compare": Candidate(lambda: padiff.compare(*files, mode="strict")),
            "h5diff -d": process("h5diff", "-d", str(ATOL), *plain),
        },
        ROUNDS,
    )
    show("2 x 1 GiB, strict", seconds, "padiff.compare")
    ratio = seconds["h5diff -d"] / seconds["padiff.compare"]
    return Target("h5diff / padiff", ratio, 4, "times as fast", at_least=True)


def main() -> int:
    """Run all; 1 when a target is missed."""
    if shutil.which("h5diff") is None:
        raise SystemExit("expected h5diff on the PATH: install hdf5-tools")
    with scratch(needed=8 << 30) as root:
        targets = [compare(root)]
        many, (big, _) = small(2, 0.0), pair((2048, 2048), 64)
        for durable in (False, True):
            words = "durable" if durable else "not durable"
            targets += write(root, f"write {len(many)} small, {words}", many, durable=durable)
            targets += write(root, f"write 1 GiB, {words}", big, durable=durable)
        return judge(targets)


if __name__ == "__main__":
    sys.exit(main())
