"""Figures of many pairs of tensors on disk, block by block: no tensor is ever whole in memory."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import compress, product
from math import prod
from threading import local
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from padiff.comparing.arithmetic import of_pair
from padiff.comparing.bounds import of_statistics
from padiff.comparing.criterion import Criterion
from padiff.comparing.pieces import array_of
from padiff.comparing.statistics import PairStatistics, merge, with_equal_rest
from padiff.store.array import Array
from padiff.store.chunks import (
    CHUNK_BYTES,
    Selection,
    blocks,
    chunk_grid,
    near_cube,
)
from padiff.store.reader import Section
from padiff.tree import TensorRecord, TensorStats

__all__ = ["Opened", "Progress", "Scratch", "TensorPair", "Work", "axes_of_raw", "opened", "stream"]

# Elements. For what is smaller it takes as long to hand it to a thread as to compare it.
_SMALL = 2**17
# Bytes of a part where axes change places: it is read in runs of a thousand elements and more, and
# does not leave the caches before it is compared.
_TURNED = 2**23

Progress = Callable[[int, int], None]
Part = Callable[[], PairStatistics]


class Scratch(local):
    """Memory of one thread, for what must be put together; used again and again."""

    def __init__(self) -> None:
        self.base, self.raw = (np.empty(_TURNED, np.uint8) for _ in range(2))


class Work(Struct, frozen=True):
    """How pairs are compared: by which rule, in how many threads, and whether by digests first."""

    criterion: Criterion
    jobs: int
    digests: bool = True


class TensorPair(Struct, frozen=True):
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

    @property
    def permuted(self) -> bool:
        """Whether the sides have their axes in another order."""
        return self.axes != tuple(range(len(self.axes)))

    @property
    def by_statistics(self) -> bool:
        """Whether a side has no elements."""
        return bool(self.base_section.header.tensors or self.raw_section.header.tensors)

    def stats(self) -> tuple[TensorStats, TensorStats]:
        """Those of both sides, measured where they were not when they were written."""
        return self.base_section.stats(self.base), self.raw_section.stats(self.raw)

    @property
    def same_digests(self) -> bool:
        """Whether both trees say that the same bytes were written."""
        return bool(self.base.chunks) and self.base.chunks == self.raw.chunks


def axes_of_raw(base: TensorRecord, raw: TensorRecord) -> tuple[int, ...]:
    """The axes of raw in base's order: by their names, where both sides name the same ones."""
    in_order = tuple(range(len(raw.shape)))
    ours, theirs = base.dims, raw.dims
    if ours is None or theirs is None or ours == theirs:
        return in_order
    name_the_same = sorted(ours) == sorted(theirs) and len(set(theirs)) == len(raw.shape)
    return tuple(map(theirs.index, ours)) if name_the_same else in_order


def stream(
    pairs: Sequence[TensorPair],
    work: Work,
    progress: Progress | None = None,
) -> list[PairStatistics]:
    """The figures of every pair, in order and the same whatever the number of threads.

    `progress` is called with the elements compared so far, and all. Raises CorruptError when an
    array is not what its tree says.
    """
    results = [PairStatistics()] * len(pairs)
    total, done = sum(pair.size for pair in pairs), 0
    running: deque[tuple[int, Future[PairStatistics]]] = deque()
    scratch = Scratch()

    def add(index: int, part: PairStatistics) -> None:
        nonlocal done
        results[index] = merge(results[index], part)
        done += part.size
        if progress is not None:
            progress(done, total)

    with ThreadPoolExecutor(work.jobs, "padiff-compare") as pool:
        try:
            for index, pair in enumerate(pairs):
                if pair.by_statistics:
                    known = of_statistics(pair.base, pair.raw, pair.stats(), work.criterion.rtol)
                    add(index, known)
                    continue
                for part in _parts(pair, work, scratch):
                    if pair.size <= _SMALL:
                        add(index, part())
                        continue
                    running.append((index, pool.submit(part)))
                    if len(running) > 2 * work.jobs:  # what waits holds arrays open
                        oldest, future = running.popleft()
                        add(oldest, future.result())
            for index, future in running:
                add(index, future.result())
        finally:
            pool.shutdown(cancel_futures=True)
    if progress is not None:
        progress(total, total)  # what is known to be equal was not counted
    return [
        result if result.size == pair.size else with_equal_rest(result, pair.size, *pair.stats())
        for pair, result in zip(pairs, results, strict=True)
    ]


def _parts(pair: TensorPair, work: Work, scratch: Scratch) -> Iterator[Part]:
    """Open the two arrays, and cut the work into parts; elements that all leave out are equal."""
    found = opened(pair, scratch, digests=work.digests)
    if found.equal:
        yield partial(_check_presence, (found.base, found.raw), found.equal)
    for selection in found.selections():
        yield partial(_compare, found, selection, work.criterion)


class Opened(Struct, frozen=True):
    """The arrays of a pair, and the chunks of them that are known to be equal."""

    pair: TensorPair
    base: Array
    raw: Array
    equal: set[tuple[int, ...]]
    scratch: Scratch

    def selections(self) -> Iterator[Selection]:
        """The parts to read, in the axes of base: its chunks, without those known to be equal.

        Where the axes of raw lie in another order a chunk of base meets all of raw's, each in a
        thin slice: what is cut out there is as long along each axis.
        """
        pair, base = self.pair, self.base
        if pair.size <= _SMALL and not self.equal:
            yield tuple(slice(0, length) for length in base.shape)
            return
        most = _TURNED if pair.permuted else CHUNK_BYTES
        limit = max(1, most // max(base.element.itemsize, self.raw.element.itemsize))
        grid = near_cube(base.shape, limit) if pair.permuted else base.chunk_shape
        for selection in blocks(base.shape, grid, limit):
            chunk = (s.start // length for s, length in zip(selection, grid, strict=True))
            if pair.permuted or tuple(chunk) not in self.equal:
                yield selection

    def read(self, selection: Selection) -> tuple[NDArray[Any], NDArray[Any]]:
        """A part of both sides, in the axes of base."""
        axes, scratch = self.pair.axes, self.scratch
        ours, theirs = (scratch.base, scratch.raw) if self.pair.permuted else (None, None)
        raw = self.raw.read(_of_raw(selection, axes), theirs)
        return self.base.read(selection, ours), raw.transpose(axes)


def opened(pair: TensorPair, scratch: Scratch, *, digests: bool) -> Opened:
    """Open the arrays of a pair; with `digests`, chunks that have the same are known to be equal.

    Raises CorruptError when an array is not what its tree says.
    """
    base = array_of(pair.base_section, pair.base)
    raw = array_of(pair.raw_section, pair.raw)
    return Opened(pair, base, raw, _equal_chunks(pair, base, raw) if digests else set(), scratch)


def _equal_chunks(pair: TensorPair, base: Array, raw: Array) -> set[tuple[int, ...]]:
    """The chunks whose digests say that they hold the same bytes of the same elements."""
    ours, theirs = pair.base.chunks, pair.raw.chunks
    same = [a == b for a, b in zip(ours, theirs, strict=False)]
    alike = (base.element, base.chunk_shape) == (raw.element, raw.chunk_shape)
    if not (any(same) and alike and len(ours) == len(theirs)) or pair.permuted:
        return set()
    indices = list(product(*map(range, chunk_grid(base.shape, base.chunk_shape))))
    if len(indices) != len(same):
        return set()
    # with chunks left to read, the figures of the others come from the statistics of the whole,
    # which do not tell in which chunk a NaN lies
    odd = any(stats.nan or stats.inf for stats in pair.stats())
    return set() if odd and not all(same) else set(compress(indices, same))


def _check_presence(arrays: tuple[Array, ...], chunks: set[tuple[int, ...]]) -> PairStatistics:
    """A chunk that is gone or cut short is not equal to anything, whatever its digest says."""
    for array in arrays:
        for index in chunks:
            array.check_present(index)
    return PairStatistics()


def _compare(found: Opened, selection: Selection, criterion: Criterion) -> PairStatistics:
    origin = tuple(along.start for along in selection)
    return of_pair(*found.read(selection), criterion, origin)


def _of_raw(selection: Selection, axes: tuple[int, ...]) -> Selection:
    """The same elements by the axes of raw."""
    of_raw = [slice(0)] * len(axes)
    for along, axis in zip(selection, axes, strict=True):
        of_raw[axis] = along
    return tuple(of_raw)
