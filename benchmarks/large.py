"""Comparing two large stores, warm, cold, transposed and equal: `python -m benchmarks.large`."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median

import ml_dtypes
import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

import padiff
from benchmarks.compare import ATOL, Tensors, peak, process, write_hdf5
from benchmarks.measure import Candidate, Target, judge, medians, scratch, show, write_report
from padiff.store.format import SectionHeader, array_path
from padiff.store.section_writer import record_of
from padiff.store.storage import Storage
from padiff.store.writer import write_section
from padiff.tree import LayerTree, Node

__all__ = ["main"]

DTYPES: dict[str, DTypeLike] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
ROUNDS = 3
TENSOR = 64 << 20  # bytes of each
FAST = Storage(durable=False)


def pair(dtype: DTypeLike, size: int) -> tuple[Tensors, Tensors]:
    """Tensors of which nearly every element differs; they share memory, and not on disk."""
    random = np.random.default_rng(0)
    shape = (TENSOR // 4096 // np.dtype(dtype).itemsize, 4096)
    base = random.standard_normal(shape, dtype=np.float32)
    share = ATOL / 10 if np.dtype(dtype).itemsize > 2 else 2**-7
    raw = base + (base if share > ATOL else 1) * share * random.choice([-1, 1], shape)
    names = [f"layer{number}" for number in range(max(1, size // TENSOR))]
    left, right = base.astype(dtype), raw.astype(dtype)
    return dict.fromkeys(names, left), dict.fromkeys(names, right)


def warm(root: Path, name: str, size: int) -> list[Target]:
    """One element type, in both formats and modes, beside cmp and h5diff; and what it holds."""
    sides = dict(zip(("base", "raw"), pair(DTYPES[name], size), strict=True))
    targets = []
    for suffix in ("zarr", "h5"):
        stores = tuple(root / f"{side}.{suffix}" for side in sides)
        plain = tuple(root / f"{side}.plain" for side in sides)
        for side, tensors in sides.items():
            write_report(root / f"{side}.{suffix}", tensors, storage=FAST)
            if name != "bfloat16":  # which h5diff does not know
                write_hdf5(root / f"{side}.plain", tensors)
        candidates = {
            f"{mode}, jobs={jobs}": Candidate(
                partial(padiff.compare, *stores, mode=mode, atol=1, jobs=jobs)
            )
            for mode in ("strict", "mean")
            for jobs in (1, 2)
        }
        if name != "bfloat16":
            candidates["h5diff -d"] = process("h5diff", "-d", "1", *plain)
            twins = root / "raw.plain", root / "twin"
            shutil.copy(*twins)
            candidates["cmp"] = process("cmp", *twins)
        seconds = medians(candidates, ROUNDS)
        title = f"2 x {size / 2**30:g} GiB of {name}, {suffix}"
        show(title, seconds, "strict, jobs=2")
        for mode in ("strict", "mean"):
            ours, label = seconds[f"{mode}, jobs=2"], f"{name} {suffix} {mode}"
            alone = seconds[f"{mode}, jobs=1"]
            if name == "float32":
                cmp = ours / seconds["cmp"]
                targets.append(Target(f"{label}: padiff / cmp", cmp, 1.5, "times the time"))
            if "h5diff -d" in seconds:
                h5diff = seconds["h5diff -d"] / ours
                targets.append(Target(f"{label}: h5diff / padiff", h5diff, 6, "", at_least=True))
            scaling = alone / ours
            targets.append(Target(f"{label}: one thread / two", scaling, 1.6, "", at_least=True))
        held = peak(*stores) if name == "float32" else 0
        if held:
            targets.append(Target(f"{suffix}: peak memory", held - bare(root), 200, "MiB"))
            targets += cold(stores) + equal(stores[0])
        remove(root)
    return targets


def bare(root: Path) -> float:
    """MiB of a process that compares next to nothing."""
    tiny = {"layer0": np.ones(4, np.float32)}
    places = root / "tiny_base", root / "tiny_raw"
    for place in places:
        write_report(place, tiny, storage=FAST)
    return peak(*places)


def remove(root: Path) -> None:
    for entry in root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def files_of(stores: Sequence[Path]) -> list[Path]:
    return [f for s in stores for f in ([s] if s.is_file() else s.rglob("c.*")) if f.is_file()]


def forget(stores: Sequence[Path]) -> None:
    """Let the system drop what it holds of the stores in memory."""
    os.sync()
    for path in files_of(stores):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_plainly(path: Path) -> None:
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while file.readinto(buffer):
            pass


@contextmanager
def busy() -> Iterator[None]:
    """While one processor has other work: of a virtual machine the disk may need it too."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield
        process.kill()


def cold(stores: Sequence[Path]) -> list[Target]:
    """Beside reading the same files in order, by as many threads as reads them fastest."""
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for threads, beside in ((1, nullcontext), (2, nullcontext), (2, busy)):
            forget(stores)
            with beside(), ThreadPoolExecutor(threads) as pool:
                start = time.perf_counter()
                list(pool.map(read_plainly, files_of(stores)))
                taken = time.perf_counter() - start
            name = f"read, {threads}{', one processor busy' if beside is busy else ''}"
            seconds.setdefault(name, []).append(taken)
        forget(stores)
        start = time.perf_counter()
        padiff.compare(*stores, mode="strict", atol=1)
        seconds.setdefault("padiff", []).append(time.perf_counter() - start)
    found = {name: median(values) for name, values in seconds.items()}
    show(f"cold, {stores[0].suffix}", found, "padiff")
    best = min(found["read, 1"], found["read, 2"]) / found["padiff"]
    name = f"{stores[0].suffix} cold: of the disk's speed"
    return [Target(name, best, 0.9, "", at_least=True)]


def equal(store: Path) -> list[Target]:
    """A store beside its copy."""
    copy = store.with_name(f"copy{store.suffix}")
    (shutil.copytree if store.is_dir() else shutil.copy)(store, copy)
    seconds = medians({"a copy": Candidate(lambda: padiff.compare(store, copy))}, ROUNDS)
    show(f"equal, {store.suffix}", seconds, "a copy")
    return [Target(f"{store.suffix}: a copy", seconds["a copy"], 0.5, "s")]


def write_linear(location: Path, values: NDArray[np.float32], dims: tuple[str, str]) -> None:
    """The weight of one layer, whose axes have names."""
    with write_section(location, "weights", storage=FAST) as writer:
        stored = writer.add(array_path("", 0, "weight"), values, dims)
        record = record_of(stored, phase=None, place="weight", device="cpu", order=1)
        tree = LayerTree((Node("Linear", "", 0, 0, tensors=(record,)),))
        now = "2026-01-01T00:00:00Z"
        writer.finish(SectionHeader("weights", "Linear", "torch", "0", (), tree, now))


def in_memory(base: NDArray[np.float32]) -> dict[str, Candidate]:
    """The same weight, which nobody has to read: putting it in order alone, and a mean error."""
    turned = np.ascontiguousarray(base.T)
    out = torch.empty(base.shape)
    return {
        "torch, a copy in order": Candidate(lambda: out.copy_(torch.from_numpy(turned).t())),
        "numpy, a copy in order": Candidate(lambda: np.copyto(out.numpy(), turned.T)),
        "numpy, the mean error": Candidate(lambda: np.abs(base - turned.T).mean()),
    }


def transposed(root: Path, side: int) -> list[Target]:
    """One weight beside itself with an error, in the same and in the other layout."""
    base = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    targets = []
    for suffix in ("zarr", "h5"):
        places = [root / f"{name}.{suffix}" for name in ("base", "straight", "turned")]
        write_linear(places[0], base, ("out", "in"))
        write_linear(places[1], base + np.float32(ATOL / 10), ("out", "in"))
        write_linear(places[2], (base + np.float32(ATOL / 10)).T, ("in", "out"))
        candidates = {
            place.stem: Candidate(partial(padiff.compare, places[0], place)) for place in places[1:]
        }
        seconds = medians(candidates | in_memory(base), ROUNDS)
        show(f"float32 of {side} x {side}, {suffix}", seconds, "straight")
        ratio = seconds["turned"] / seconds["straight"]
        targets.append(Target(f"{suffix}: transposed / straight", ratio, 2, "times the time"))
        remove(root)
    return targets


def main() -> int:
    """Run all; 1 when a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=float, default=4, help="GiB of each side")
    parser.add_argument("--dtype", choices=[*DTYPES, "transposed"], help="only this")
    options = parser.parse_args()
    if shutil.which("h5diff") is None:
        raise SystemExit("expected h5diff on the PATH: install hdf5-tools")
    size = int(options.size * 2**30)
    targets = []
    with scratch(needed=5 * size) as root:
        for name in DTYPES:
            if options.dtype in (None, name):
                targets += warm(root, name, size)
        if options.dtype in (None, "transposed"):
            targets += transposed(root, 16384 if options.size >= 1 else 4096)
    return judge(targets)


if __name__ == "__main__":
    sys.exit(main())
