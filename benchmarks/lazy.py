"""Opening a store of 20,000 tensors and reading one layer of it: `python -m benchmarks.lazy`."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measure import Target, judge, scratch
from padiff.store.format import SectionHeader, array_path
from padiff.store.section_writer import record_of
from padiff.store.storage import Storage
from padiff.store.writer import write_section
from padiff.tree import LayerTree, Node

__all__ = ["main"]

ROUNDS = 5
ROUTE = "layer77"
FAST = Storage(durable=False)

# Prints how long after its first line the layer was there, and how long after padiff was.
READ = f"""
import time
start = time.perf_counter()
import numpy as np
import padiff
imported = time.perf_counter()
report = padiff.open_dump(__import__("sys").argv[1]).report
values = np.asarray(report["{ROUTE}"].forward[0])
assert values.nbytes > 2**20, values.nbytes
end = time.perf_counter()
print(end - start, end - imported)
"""
IDLE = "pass"


def write(location: Path, count: int, size: int) -> int:
    """Layers of one tensor of zeros each, of which the disk keeps nothing; how many bytes it says.

    A file that is cut to nothing and made as long again reads as zeros, whose digests are right.
    """
    values = np.zeros(size // 4, np.float32)
    with write_section(location, "report", storage=FAST) as writer:
        nodes = []
        for order in range(1, count + 1):
            route = f"layer{order}"
            path = array_path(route, 0, "forward.0")
            stored = writer.add(path, values)
            for chunk in location.glob(f".report.*/{path}/c.*"):
                length = chunk.stat().st_size
                os.truncate(chunk, 0)
                os.truncate(chunk, length)
            record = record_of(stored, phase="forward", place="0", device="cpu", order=order)
            nodes.append(Node("Layer", route, 0, order, tensors=(record,)))
        root = Node("Model", "", 0, 0, children=tuple(nodes))
        writer.finish(
            SectionHeader(
                "report", "Model", "torch", "0", (), LayerTree((root,)), "2026-01-01T00:00:00Z"
            )
        )
    return count * values.nbytes


def seconds_of(script: str, *arguments: str | Path) -> tuple[float, list[float]]:
    """Median seconds of a fresh process from start to end, and of what it prints."""
    whole, printed = [], []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        command: list[str | Path] = [sys.executable, "-c", script, *arguments]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        whole.append(time.perf_counter() - start)
        printed.append([float(word) for word in result.stdout.split()])
    columns = zip(*printed[1:], strict=True)
    return median(whole[1:]), [median(column) for column in columns]


def opened(location: Path) -> list[str]:
    """The chunks that a process opens which reads one layer, as strace has it."""
    command: list[str | Path] = ["strace", "-f", "-e", "trace=open,openat", sys.executable, "-c"]
    result = subprocess.run([*command, READ, location], check=True, capture_output=True, text=True)
    return re.findall(rf'"{re.escape(str(location))}/([^"]*/c\.[^"]*)"', result.stderr)


def main() -> int:
    """Write, read, count; 1 when a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20_000, help="tensors")
    parser.add_argument("--mib", type=float, default=2.5, help="MiB of each")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        raise SystemExit("expected strace on the PATH: install strace")
    with scratch(needed=2 << 30) as root:
        location = root / "many.zarr"
        size = write(location, options.count, int(options.mib * 2**20))
        used = sum(file.stat().st_blocks * 512 for file in location.rglob("*"))
        print(f"{options.count} tensors, {size / 1e9:.1f} GB, of which {used >> 20} MiB on disk")
        idle, _ = seconds_of(IDLE)
        whole, (read, after_import) = seconds_of(READ, location)
        chunks = opened(location)
        print(f"  a bare interpreter                        {idle:7.3f} s")
        print(f"  a process that reads one layer            {whole:7.3f} s")
        print(f"    importing NumPy and padiff, and reading {read:7.3f} s")
        print(f"    opening and reading alone               {after_import:7.3f} s")
        print(f"  chunks opened: {', '.join(chunks)}")
        foreign = [name for name in chunks if f"/{ROUTE}/" not in name]
        return judge(
            [
                Target("one layer in a fresh process, import included", whole, 0.5, "s"),
                Target("chunks of other layers that are opened", len(foreign), 0, ""),
            ]
        )


if __name__ == "__main__":
    sys.exit(main())
