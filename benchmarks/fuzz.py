"""Thousands of damaged and hostile stores through padiff-check and padiff verify.

    python -m benchmarks.fuzz --stores 20000

Each is an intact store after a few of the mutations in `benchmarks/mutations.py`. Counted is what
no store may cause: a traceback, more than 10 seconds, an exit code of its own, control characters
in the output, a file outside of it read or changed, more than 512 MiB of memory.
"""

import argparse
import ctypes
import gc
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType

import numpy as np
from click.testing import CliRunner

from benchmarks.mutations import MUTATIONS, mutate
from padiff.cli.commands import group
from padiff.store.storage import Storage
from tests.stores import Layer, write_dump

__all__ = ["Place"]

SECONDS = 10
MEMORY = 512 * 2**20
FORMS: tuple[list[str], ...] = ([], ["--json", "-"], ["--html", "-"], ["--mode", "strict"])


class TooLong(BaseException):
    """A store took longer than it may."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"{seconds} s")

    # of the processor, whatever else the machine does; and for what waits, of the clock
    for number, timer, limit in (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, 6 * seconds),
    ):
        signal.signal(number, stop)
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


class Place:
    """A directory with an intact store, one to damage, and one outside that nobody may touch."""

    def __init__(self, root: Path, kind: str) -> None:
        self._kind = kind
        self.peak = 0
        """Bytes: the most memory that this process had while it ran one of the commands."""
        self.intact, self.store, self.outside = (
            root / f"{name}.{kind}" if name != "outside" else root / name
            for name in ("intact", "store", "outside")
        )
        for path, off in ((self.intact, 1e-3), (self.outside, 0.0)):
            layers = [
                Layer(name, "Linear", out=np.arange(6.0) + off, back=np.ones(2)) for name in "ab"
            ]
            odd = Layer("c", "Odd", out={"x": np.float16(1), "empty": np.zeros((2, 0))})
            net = Layer(
                "", "Net", out=np.arange(40.0) + off, inputs=np.ones(3), children=[*layers, odd]
            )
            storage = Storage("hdf5" if kind == "h5" else "zarr", chunk_bytes=128)
            write_dump(path, net, step=0, storage=storage)

    def renew(self, random: Random) -> str:
        """Another damaged store; what was done to it."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.outside, self.store)
        done = mutate(self.store, self._kind, random)
        for path in self.outside.rglob("*"):
            os.utime(path, (1, 2))  # so that reading it changes the first, on any mount but noatime
        return done

    def problems(self, random: Random) -> list[str]:
        """What no store may cause, and this one does."""
        pair = [str(self.store), str(self.intact)]
        random.shuffle(pair)
        found = []
        for arguments in (
            ["check", *pair, "--jobs", "1", *random.choice(FORMS)],
            ["verify", str(self.store), "--jobs", "1", *random.choice(FORMS[:2])],
        ):
            found += [f"{arguments[0]}: {problem}" for problem in self._run(arguments)]
        for path in self.outside.rglob("*"):
            status = path.stat()
            if path.is_file() and (status.st_atime, status.st_mtime) != (1, 2):
                found.append(f"touched {path}")
        return found

    def _run(self, arguments: list[str]) -> Iterator[str]:
        forget_peak()
        before = peak()
        try:
            with time_limit(SECONDS):
                result = CliRunner().invoke(group, arguments)
        except TooLong as error:
            yield f"hang: {error}"
            return
        finally:
            self.peak = max(self.peak, used := peak())
        if used - before > MEMORY:
            yield f"memory: {(used - before) / 2**20:.0f} MiB"
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            yield "traceback: " + "".join(traceback.format_exception(result.exception)[-3:])
        if result.exit_code not in (0, 1, 2):
            yield f"exit code {result.exit_code}"
        odd = {char for char in result.output if not char.isprintable() and char != "\n"}
        if odd:
            yield f"control characters {odd!r}"
        if result.exit_code == 2 and result.stderr.count("\n") != 1:
            yield f"more than one line: {result.stderr!r}"


def forget_peak() -> None:
    """Give back what is free, so that `peak` tells of what comes now, and not of the mutations."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Bytes: the most memory of this process since then."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def limit_memory() -> None:
    """Let this process have no more than a part of the machine; address space is not all used."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 8 * MEMORY, used + 8 * MEMORY))


def work(kind: str, seed: int, numbers: range) -> tuple[Counter[str], list[str], int]:
    """Counts of problems, what each was, and the most memory that a command had."""
    counts: Counter[str] = Counter()
    told: list[str] = []
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as root:
        place = Place(Path(root), kind)
        for number in numbers:
            random = Random(f"{seed} {number}")
            done = place.renew(random)
            for problem in place.problems(random):
                counts[problem.split(":")[1].split()[0] if ":" in problem else "touched"] += 1
                told.append(f"store {number} ({done}): {problem}")
    return counts, told, place.peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first store")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--format", choices=[*MUTATIONS], default="zarr")
    options = parser.parse_args()
    start = time.monotonic()
    last = options.first + options.stores
    parts = [range(at, min(at + 250, last)) for at in range(options.first, last, 250)]
    counts: Counter[str] = Counter()
    peak = 0
    with multiprocessing.get_context("spawn").Pool(options.jobs, limit_memory) as pool:
        tasks = [pool.apply_async(work, (options.format, options.seed, part)) for part in parts]
        for task in tasks:
            found, told, most = task.get()
            counts += found
            peak = max(peak, most)
            for line in told:
                print(line, flush=True)
    print(
        f"{options.stores} stores, {counts['traceback']} tracebacks, {counts['hang']} hangs, "
        f"{sum(counts.values())} problems in all, peak {peak / 2**20:.0f} MiB, "
        f"{time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
