"""Figures of many pairs of tensors on disk, block by block: no tensor is ever whole in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from itertools import product
from math import prod
from queue import SimpleQueue

from padiff.comparing.criterion import Criterion
from padiff.comparing.statistics import PairStatistics, Scratch, merge, of_pair, with_equal_rest
from padiff.store.base import Array, Selection
from padiff.store.chunks import CHUNK_BYTES, blocks, chunk_grid
from padiff.store.reader import Section
from padiff.tree import TensorRecord

__all__ = ["Progress", "TensorPair", "axes_of_raw", "stream"]

# Tensors below this are handed to a thread many at a time, since handing over costs as much.
_SMALL = 2**20
_BATCH = 64

Progress = Callable[[int, int], None]
Part = Callable[[Scratch], PairStatistics]
Figures = list[tuple[int, PairStatistics]]


@dataclass(frozen=True, slots=True)
class TensorPair:
    """Two tensors of one shape, once raw's axes are put in the order `axes`."""

    base_section: Section
    base: TensorRecord
    raw_section: Section
    raw: TensorRecord
    axes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements on either side."""
        return prod(self.base.shape)


def axes_of_raw(base: TensorRecord, raw: TensorRecord) -> tuple[int, ...]:
    """The axes of raw in base's order: by their names, where both sides name the same ones."""
    ours, theirs = base.dims or (), raw.dims or ()
    if sorted(ours) == sorted(theirs) and len(set(theirs)) == len(raw.shape):
        return tuple(map(theirs.index, ours))
    return tuple(range(len(raw.shape)))


def stream(
    pairs: Sequence[TensorPair],
    criterion: Criterion,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[PairStatistics]:
    """The figures of every pair, in order, whatever the number of threads.

    `progress` is called with the elements compared so far, and all. Raises CorruptError when an
    array is not what its tree says.
    """
    jobs = jobs or os.cpu_count() or 1
    scratches: SimpleQueue[Scratch] = SimpleQueue()
    for _ in range(jobs):
        scratches.put(Scratch())
    results = [PairStatistics()] * len(pairs)
    total, done = sum(pair.size for pair in pairs), 0
    running: deque[Future[Figures]] = deque()

    def collect() -> None:
        nonlocal done
        for index, part in running.popleft().result():
            results[index] = merge(results[index], part)
            done += part.size
        if progress is not None:
            progress(done, total)

    with ThreadPoolExecutor(jobs, "padiff-compare") as pool:
        try:
            for unit in _units(pairs, criterion):
                running.append(pool.submit(_run, unit, scratches))
                if len(running) > 2 * jobs:  # what waits holds arrays open
                    collect()
            while running:
                collect()
        finally:
            pool.shutdown(cancel_futures=True)
    return [
        with_equal_rest(result, pair.size, pair.base.stats)
        for pair, result in zip(pairs, results, strict=True)
    ]


def _run(unit: Sequence[tuple[int, Part]], scratches: "SimpleQueue[Scratch]") -> Figures:
    scratch = scratches.get()
    try:
        return [(index, part(scratch)) for index, part in unit]
    finally:
        scratches.put(scratch)


def _units(
    pairs: Sequence[TensorPair], criterion: Criterion
) -> Iterator[Sequence[tuple[int, Part]]]:
    """What is handed to a thread at once: several small pairs, or one block of a large one."""
    batch: list[tuple[int, Part]] = []
    for index, pair in enumerate(pairs):
        if pair.size <= _SMALL:
            batch.append((index, partial(_whole, pair, criterion)))
            if len(batch) == _BATCH:
                yield batch
                batch = []
        else:
            for part in _parts(pair, criterion):
                yield [(index, part)]
    if batch:
        yield batch


def _whole(pair: TensorPair, criterion: Criterion, scratch: Scratch) -> PairStatistics:
    return reduce(merge, (part(scratch) for part in _parts(pair, criterion)), PairStatistics())


def _parts(pair: TensorPair, criterion: Criterion) -> Iterator[Part]:
    """Open the two arrays, and cut the work into chunks of base.

    Chunks known to be equal are not read; the elements that all parts leave out are those.
    """
    base = pair.base_section.array(pair.base)
    raw = pair.raw_section.array(pair.raw)
    equal = _equal_chunks(pair, base, raw)
    if equal:
        yield partial(_check_presence, (base, raw), equal)
    limit = max(1, CHUNK_BYTES // max(base.element.itemsize, raw.element.itemsize))
    for selection in blocks(base.shape, base.chunk_shape, limit):
        chunk = tuple(
            along.start // length for along, length in zip(selection, base.chunk_shape, strict=True)
        )
        if chunk not in equal:
            yield partial(_compare, base, raw, pair.axes, selection, criterion)


def _equal_chunks(pair: TensorPair, base: Array, raw: Array) -> set[tuple[int, ...]]:
    """The chunks whose digests say that they hold the same bytes of the same elements."""
    left, right = pair.base, pair.raw
    straight = pair.axes == tuple(range(len(pair.axes)))
    grid = chunk_grid(base.shape, base.chunk_shape)
    if (
        not straight
        or (base.element, base.chunk_shape) != (raw.element, raw.chunk_shape)
        or not len(left.chunks) == len(right.chunks) == prod(grid)
    ):
        return set()
    indices = product(*map(range, grid))
    equal = {i for i, a, b in zip(indices, left.chunks, right.chunks, strict=True) if a == b}
    # with chunks left to read, the figures of the others come from the statistics of the whole,
    # which do not tell in which chunk a NaN lies
    odd = any(side.stats.nan or side.stats.inf for side in (left, right))
    return set() if odd and len(equal) < prod(grid) else equal


def _check_presence(
    arrays: tuple[Array, ...], chunks: set[tuple[int, ...]], _: Scratch
) -> PairStatistics:
    """A chunk that is gone or cut short is not equal to anything, whatever its digest says."""
    for array in arrays:
        for index in chunks:
            array.chunk_bytes(index)
    return PairStatistics()


def _compare(
    base: Array,
    raw: Array,
    axes: tuple[int, ...],
    selection: Selection,
    criterion: Criterion,
    scratch: Scratch,
) -> PairStatistics:
    of_raw = [slice(0)] * len(axes)
    for along, axis in zip(selection, axes, strict=True):
        of_raw[axis] = along
    return of_pair(
        base.read(selection),
        raw.read(tuple(of_raw)).transpose(axes),
        criterion,
        scratch,
        tuple(along.start for along in selection),
    )
