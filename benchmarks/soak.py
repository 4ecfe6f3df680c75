"""Kills a recorder at random instants, and looks what is lost: `python -m benchmarks.soak`.

A recorder dumps one position after another, each a new step, an older step again, or one that is
replaced all the time, and reports it when it is dumped. What it writes follows from the position
and the attempt, so that a checker knows every bit of it.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.errors import IncompleteError, PadiffError
from padiff.store.format import SectionHeader, SectionName, array_path, digest
from padiff.store.reader import Dump, Section, open_dump
from padiff.store.section_writer import record_of
from padiff.store.storage import Format, Storage
from padiff.store.writer import DumpWriter
from padiff.tree import LayerTree, Node

__all__ = ["Outcome", "Soak", "main"]

_SHAPES = {"scalar": (), "vector": (1000,), "matrix": (64, 1024), "again": (64, 1024)}
_CHUNK_BYTES = 2**15  # the matrices have eight chunks
_DUMPS_A_LIFE = 4  # a kill comes within the time that so many take


@dataclass(frozen=True, slots=True)
class Place:
    """Where a position goes: a dump in the store, and its sections."""

    name: str
    sections: tuple[SectionName, ...]

    @classmethod
    def of(cls, position: int) -> "Place":
        if position % 4 == 3:
            return cls("latest", ("weights",))
        step = position - 1 if position % 4 == 2 else position  # the last one once more
        return cls(f"step_{step}", ("report", "params"))

    def location(self, root: Path, backend: Format) -> Path:
        return root / (f"{self.name}.h5" if backend == "hdf5" else self.name)


@dataclass(slots=True)
class Outcome:
    """What was seen; `wrong` says each time what a reader was given and should not have been."""

    kills: int = 0
    reported: int = 0  # sections
    lost: int = 0  # of those
    in_progress: int = 0  # kills that came while a dump was written
    unreported: int = 0  # sections that were in place when the kill came before the report
    left: int = 0  # hidden files and directories that a kill left
    removed: int = 0  # of those, by the next writer
    wrong: list[str] = field(default_factory=list)


def values_of(label: str, section: str, layer: str) -> NDArray[np.float32]:
    """The tensor that a layer has in a section that was written under `label`."""
    seed = list(f"{label} {section} {layer}".encode())
    return np.random.default_rng(seed).standard_normal(_SHAPES[layer], np.float32)


def record(root: Path, backend: Format, position: int, attempt: int, count: int) -> None:
    """Dump `count` positions from `position` on, and report each."""
    print("ready", flush=True)
    storage = Storage(format=backend, chunk_bytes=_CHUNK_BYTES, durable=bool(attempt % 2))
    for number in range(position, position + count):
        place = Place.of(number)
        with DumpWriter(place.location(root, backend), *place.sections, storage=storage) as dump:
            for name in place.sections:
                _write_section(dump, name, f"{number} {attempt}")
        print(f"dumped {number}", flush=True)


def _write_section(dump: DumpWriter, name: SectionName, label: str) -> None:
    writer = dump.section(name)
    nodes = []
    for order, layer in enumerate(_SHAPES, start=1):
        stored = writer.add(array_path(layer, 0, "forward.0"), values_of(label, name, layer))
        tensor = record_of(stored, phase="forward", place="0", device="cpu", order=order)
        nodes.append(Node("Layer", layer, 0, order, tensors=(tensor,)))
    tree = LayerTree((Node("Net", "", 0, 0, children=tuple(nodes)),))
    created = "2026-01-01T00:00:00+00:00"
    writer.finish(SectionHeader(name, "Net", "torch", "0", (), tree, created, run=label))


def intact(section: Section) -> str:
    """The label of a section of which every bit is as it was written; ValueError for another."""
    label = section.header.run or ""
    for layer in _SHAPES:
        (tensor,) = section[layer].node.tensors
        array = section.stored(tensor)
        found: NDArray[Any] = np.asarray(array)
        if found.tobytes() != values_of(label, section.header.section, layer).tobytes():
            raise ValueError(f"{layer} of {section.location} is not what {label} wrote")
        grid = np.ndindex(
            *(-(-n // c) for n, c in zip(array.shape, array.chunk_shape, strict=True))
        )
        digests = tuple(digest(array.chunk_bytes(index)) for index in grid)
        if (digests, array.metadata_digest()) != (tensor.chunks, tensor.metadata):
            raise ValueError(f"{layer} of {section.location} has other digests than its tree says")
    section.check_present()
    return label


class Soak:
    """One store, and recorders that are killed while they write to it."""

    def __init__(self, root: Path, backend: Format, seed: int = 0) -> None:
        self.outcome = Outcome()
        self._root = root
        self._backend: Format = backend
        self._random = random.Random(seed)
        self._position = 0  # that is to be dumped next
        self._held: dict[tuple[str, SectionName], str] = {}  # labels of what is in place for sure
        self._left: set[Path] = set()
        self._seconds = 0.05  # that a dump takes, about

    def kill_one(self) -> None:
        """Start a recorder, kill it, and check what there is then."""
        attempt = self.outcome.kills
        with self._recorder(attempt, 10**6) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            start = time.perf_counter()
            time.sleep(self._random.uniform(0, _DUMPS_A_LIFE * self._seconds))
            process.send_signal(signal.SIGKILL)
            lived = time.perf_counter() - start
            reports = process.stdout.readlines()
        self.outcome.kills += 1
        if reports:
            self._seconds = 0.8 * self._seconds + 0.2 * lived / len(reports)
        self._check(reports, attempt)

    def finish(self) -> Outcome:
        """Let a last recorder dump what was interrupted, and check the whole store."""
        with self._recorder(attempt=self.outcome.kills, count=1) as process:
            assert process.stdout is not None
            reports = process.stdout.readlines()[1:]
        self._check(reports, self.outcome.kills)
        for name, _ in list(self._held):
            self._check_held(Place(name, ("report", "params", "weights")))
        return self.outcome

    def _recorder(self, attempt: int, count: int) -> "subprocess.Popen[str]":
        task = json.dumps([str(self._root), self._backend, self._position, attempt, count])
        command = [sys.executable, "-m", "benchmarks.soak", "--record", task]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def _check(self, reports: list[str], attempt: int) -> None:
        places = []
        for line in reports:
            place = Place.of(self._position)
            if line != f"dumped {self._position}\n":
                raise ValueError(f"expected the report of {self._position}, got {line!r}")
            for section in place.sections:
                self._held[place.name, section] = f"{self._position} {attempt}"
                self.outcome.reported += 1
            places.append(place)
            self._position += 1
        left = {path for path in self._root.rglob(".*") if not self._inside_hidden(path)}
        self.outcome.left += len(left - self._left)
        self.outcome.removed += len(self._left - left)
        self._left = left
        begun = self._check_interrupted(Place.of(self._position), f"{self._position} {attempt}")
        self.outcome.in_progress += begun or bool(left)
        for place in places:
            self._check_held(place)

    def _inside_hidden(self, path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(self._root).parts[:-1])

    def _check_interrupted(self, place: Place, label: str) -> bool:
        """The place that was written when the kill came: note what was in place nevertheless."""
        dump = self._open(place)
        newer = False
        for name in place.sections if dump else ():
            assert dump is not None
            if name in dump.sections:
                if dump.section(name).header.run == label:
                    self._held[place.name, name] = label
                    self.outcome.unreported += 1
                    newer = True
            elif name in dump.unfinished:
                self._check_incomplete(dump, name)
        self._check_held(place)
        return newer

    def _check_incomplete(self, dump: Dump, name: SectionName) -> None:
        try:
            dump.section(name)
        except IncompleteError:
            return
        self.outcome.wrong.append(f"{name} in {dump.location} was taken for a dump")

    def _check_held(self, place: Place) -> None:
        """Each section that is held must be there, whole, and the one that was written last."""
        dump = self._open(place)
        for name in place.sections:
            expected = self._held.get((place.name, name))
            if dump is None or name not in dump.sections:
                if expected is not None:
                    self._lost(f"{name} of {place.name} is gone")
                continue
            try:
                found = intact(dump.section(name))
            except (PadiffError, ValueError, LookupError) as error:
                self._lost(str(error))
            else:
                if found != expected:
                    self._lost(f"{name} of {place.name} is that of {found}, not {expected}")

    def _lost(self, what: str) -> None:
        self.outcome.lost += 1
        self.outcome.wrong.append(what)

    def _open(self, place: Place) -> Dump | None:
        """The dump at a place, where a reader finds one."""
        try:
            return open_dump(place.location(self._root, self._backend))
        except PadiffError:
            return None


def _rows(outcome: Outcome) -> Iterator[tuple[str, int]]:
    yield "kills", outcome.kills
    yield "  while a dump was written", outcome.in_progress
    yield "sections reported as dumped", outcome.reported
    yield "  lost", outcome.lost
    yield "sections in place, killed before the report", outcome.unreported
    yield "leftovers found", outcome.left
    yield "  removed by the next writer", outcome.removed
    yield "wrong in any way", len(outcome.wrong)


def main() -> int:
    """Soak the backends that were asked for; 1 when anything was lost, wrong or left."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--backend", choices=["zarr", "hdf5", "both"], default="both")
    parser.add_argument("--record", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        root, backend, position, attempt, count = json.loads(options.record)
        record(Path(root), backend, position, attempt, count)
        return 0
    backends: list[Format] = ["zarr", "hdf5"] if options.backend == "both" else [options.backend]
    failed = False
    for backend in backends:
        with tempfile.TemporaryDirectory() as name:
            soak = Soak(Path(name, "run.zarr" if backend == "zarr" else "run"), backend)
            for kill in range(options.kills):
                soak.kill_one()
                print(f"\r{backend}: {kill + 1} of {options.kills} kills", end="", file=sys.stderr)
            outcome = soak.finish()
        print(file=sys.stderr)
        print(f"\n{backend}")
        for row, figure in _rows(outcome):
            print(f"  {row:<45}{figure:8}")
        print("".join(f"  {line}\n" for line in outcome.wrong[:20]), end="")
        failed |= bool(outcome.wrong) or outcome.left != outcome.removed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
