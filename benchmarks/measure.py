"""What the benchmarks share: interleaved timing, scratch space, tables, targets."""

import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padiff.store.format import SectionHeader, array_path
from padiff.store.section_writer import Stored, record_of
from padiff.store.storage import DEFAULT, Storage
from padiff.store.writer import write_section
from padiff.tree import LayerTree, Node, TensorRecord

__all__ = [
    "Candidate",
    "Target",
    "judge",
    "medians",
    "scratch",
    "show",
    "write_report",
    "writing",
]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that was promised; reached when `value` is on the right side of `limit`."""

    name: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is timed, and what must happen after each time, off the clock."""

    run: Callable[[], object]
    after: Callable[[], object] = lambda: None


def medians(candidates: Mapping[str, Candidate], rounds: int) -> dict[str, float]:
    """Median seconds of each candidate, all run in turn, `rounds` times after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate.run()
            seconds[name].append(time.perf_counter() - start)
            candidate.after()
            os.sync()  # what it has left to be written must not slow the next one
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


@contextmanager
def scratch(needed: int) -> Iterator[Path]:
    """An empty directory on this repository's disk with room for `needed` bytes, removed after.

    As much memory, or what is there, is touched once: a virtual machine may have to ask its host
    for each page that it has not used lately, which takes ten times as long as writing to it.
    """
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    free = shutil.disk_usage(results).free
    if free < needed:
        raise SystemExit(f"expected {needed >> 20} MiB free below {results}, found {free >> 20}")
    there = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    np.ones(min(needed, there * 3 // 4) // 8)
    with tempfile.TemporaryDirectory(dir=results) as name:
        yield Path(name)


def write_report(
    location: Path, tensors: Mapping[str, NDArray[np.float32]], *, storage: Storage = DEFAULT
) -> None:
    """A committed report: a layer and output a tensor, the last one being the model's own."""
    with write_section(location, "report", storage=storage) as writer:
        written = [
            (name, writer.begin(array_path(name, 0, "forward.0"), values))
            for name, values in list(tensors.items())[:-1]
        ]
        last = writer.begin(array_path("", 0, "forward.0"), list(tensors.values())[-1])
        nodes = [
            Node("Layer", name, 0, order, tensors=(_output(stored(), order),))
            for order, (name, stored) in enumerate(written, start=1)
        ]
        output = _output(last(), len(tensors))
        root = Node("Model", "", 0, 0, tensors=(output,), children=tuple(nodes))
        writer.finish(
            SectionHeader(
                "report", "Model", "torch", "0", (), LayerTree((root,)), "2026-01-01T00:00:00Z"
            )
        )


def _output(stored: Stored, order: int) -> TensorRecord:
    return record_of(stored, phase="forward", place="0", device="cpu", order=order)


def writing(path: Path, write: Callable[[Path], object], *, keep: bool = False) -> Candidate:
    """A candidate that writes to `path` and removes it, or with `keep` to a new path each time.

    Remove what is large, so that everyone writes to memory that was just in use: a page that the
    system never held before costs many times as much. Keep what is many files: ext4 does not give
    out the inode of a deleted file again for minutes, and looks at each when it makes the next.
    """
    if keep:
        numbers = itertools.count()
        return Candidate(lambda: write(path.with_name(f"{path.name}_{next(numbers)}")))

    def remove() -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return Candidate(lambda: write(path), remove)


def show(title: str, seconds: Mapping[str, float], reference: str, unit: str = "s") -> None:
    """Print medians, in the scale of `unit`, and how many times `reference` each takes."""
    scale = {"s": 1, "ms": 1e3}[unit]
    print(f"\n{title}")
    width = max(map(len, seconds))
    for name, value in seconds.items():
        ratio = value / seconds[reference]
        print(f"  {name:<{width}}  {value * scale:9.3f} {unit}  {ratio:7.2f} x {reference}")


def judge(targets: list[Target]) -> int:
    """Print which targets are reached; 1 when one is not."""
    print()
    for target in targets:
        word = "reached" if target.reached else "MISSED"
        sign = ">=" if target.at_least else "<="
        print(
            f"  {word:<8}{target.name}: {target.value:.3g} {target.unit}"
            f" (target {sign} {target.limit:g})"
        )
    return 0 if all(target.reached for target in targets) else 1
