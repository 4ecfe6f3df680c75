"""How times grow with the number and the size of tensors: `python -m benchmarks.growth`."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
import numpy as np

import padiff
from benchmarks.measure import Target, judge, scratch, write_report
from padiff.store.storage import Storage

mpl.use("svg")
from matplotlib import pyplot  # the one line before it says how it draws

__all__ = ["main"]

COUNTS = 10, 100, 1_000, 10_000  # tensors of 16 KiB
SIZES = 10**7, 10**8, 10**9, 10**10  # bytes, in tensors of 10 MB
TENSOR = 10**7
FAST = Storage(durable=False)
MOST = 1.5  # times the least for a tensor, or a byte, among the two largest
CHART = Path(__file__).with_name("growth.svg")


def once(root: Path, count: int, size: int, suffix: str) -> tuple[float, float, float]:
    """Seconds to dump `count` tensors of `size` bytes, to compare all, and to save them plainly.

    A store is compared with itself, every chunk read on both sides: 10 GB are then as many in the
    page cache.
    """
    place = root / f"{count}_{size}{suffix}"
    values = np.random.default_rng(0).standard_normal(size // 4, dtype=np.float32)
    tensors = {f"layer{number}": values for number in range(count)}
    plain = root / "plain"
    start = time.perf_counter()
    with plain.open("wb") as file:
        for tensor in tensors.values():
            np.save(file, tensor)
    saved = time.perf_counter() - start
    os.truncate(plain, 0)
    start = time.perf_counter()
    write_report(place, tensors, storage=FAST)
    dumped = time.perf_counter() - start
    start = time.perf_counter()
    found = padiff.compare(place, place, digests=False)
    compared = time.perf_counter() - start
    assert found.totals.identical == count
    for path in (place, *place.rglob("*")):
        if path.is_file():
            os.truncate(path, 0)  # names stay: ext4 is slow where many were removed lately
    os.sync()
    return dumped, compared, saved


def series(
    root: Path, points: Sequence[tuple[int, int]], suffix: str, rounds: int
) -> list[tuple[float, ...]]:
    """The medians of each point."""
    found = []
    for number, (count, size) in enumerate(points):
        times = []
        for attempt in range(rounds):
            place = root / f"{suffix}{number}_{attempt}_{size}"
            place.mkdir()
            times.append(once(place, count, size, suffix))
        found.append(tuple(median(column) for column in zip(*times, strict=True)))
        shown = "  ".join(f"{value:9.4f}" for value in found[-1])
        print(f"  {count:6} tensors of {size:9} bytes, {suffix:5}  {shown}")
    return found


def main() -> int:
    """Measure, draw and judge; 1 when times grow faster than what is dumped and compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--largest", type=float, default=SIZES[-1], help="bytes of the largest store"
    )
    largest = parser.parse_args().largest
    by_count = [(count, 16384) for count in COUNTS]
    by_size = [(size // TENSOR, TENSOR) for size in SIZES if size <= largest]
    targets = []
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    print("  seconds to dump, to compare, and for numpy.save")
    with scratch(needed=3 * int(largest)) as root:
        once(root, 10, TENSOR, ".zarr")  # what is loaded and warmed up once
        for ax, points, unit in zip(axes, (by_count, by_size), ("tensors", "bytes"), strict=True):
            amounts = [count if unit == "tensors" else count * size for count, size in points]
            for suffix in (".zarr", ".h5"):
                found = series(root, points, suffix, 3 if unit == "tensors" else 2)
                for at, name in enumerate(("dump", "compare")):
                    each = [
                        times[at] / amount for times, amount in zip(found, amounts, strict=True)
                    ]
                    share = each[-1] / each[-2]
                    if name == "dump":  # the system holds back so much, and then the disk is heard
                        alone = [times[2] for times in found]
                        share /= max(1.0, alone[-1] / alone[-2] * amounts[-2] / amounts[-1])
                    what = f"{name} {suffix}: a share of the {unit} at most / one before"
                    targets.append(Target(what, share, MOST, ""))
                    ax.loglog(
                        amounts, [times[at] for times in found], "o-", label=f"{name} {suffix}"
                    )
            ax.loglog(amounts, [times[2] for times in found], "k:", label="numpy.save, one file")
            ax.set_xlabel(unit if unit == "bytes" else "tensors of 16 KiB")
            ax.set_ylabel("seconds")
            ax.grid(alpha=0.3)
        axes[0].legend(fontsize=8)
        shutil.rmtree(root)
        root.mkdir()
    mpl.rcParams["svg.hashsalt"] = "padiff"  # the same figures make the same file
    figure.savefig(CHART, metadata={"Date": None})
    print(f"  drawn in {CHART.name}")
    return judge(targets)


if __name__ == "__main__":
    sys.exit(main())
