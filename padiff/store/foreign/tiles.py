"""Small chunks of a file, of which several that lie beside each other are read as one."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.errors import CorruptError
from padiff.store.chunks import chunk_grid
from padiff.store.raw import RawFile

__all__ = ["Tiles"]

_WINDOW = 2**24  # bytes of the file that are mapped at once
_OF_ROWS = 2**22  # bytes: elements lie as they are asked for, unless something lies between
_TOGETHER = 2**20  # bytes; they are copied, and are still in the caches when they are compared


class Tiles:
    """The chunks of a file, here tiles, and how many of them along each axis make a chunk.

    Along an axis there are several only where there are all along those after it.
    """

    def __init__(self, shape: tuple[int, ...], tile: tuple[int, ...], element: DType) -> None:
        self._tile, self._dtype = tile, element.numpy
        self._grid = chunk_grid(shape, tile)
        self.nbytes = prod(tile) * element.itemsize
        self._are_rows = all(n == 1 for n in self._grid[1:])  # of which several need no copy
        left = max(1, (_OF_ROWS if self._are_rows else _TOGETHER) // self.nbytes)
        together = [1] * len(tile)
        for axis in reversed(range(len(tile))):
            together[axis] = max(1, min(self._grid[axis], left))
            left //= together[axis]
            if together[axis] < self._grid[axis]:
                break
        self._together = tuple(together)
        self._window: tuple[int, memoryview] = (0, memoryview(b""))
        self.chunk_shape = tuple(n * size for n, size in zip(together, tile, strict=True))

    def nowhere(self) -> NDArray[np.int64]:
        """Of each tile where it begins in the file, before that is known."""
        return np.full(self._grid, -1, np.int64)

    def index_of(self, corner: tuple[int, ...]) -> tuple[int, ...]:
        """The index of a tile by its first element."""
        return tuple(at // size for at, size in zip(corner, self._tile, strict=True))

    def read(
        self, file: RawFile, places: NDArray[np.int64], index: tuple[int, ...]
    ) -> NDArray[Any] | None:
        """The chunk `index`, as far as it has tiles; None where one of them is nowhere.

        Raises CorruptError where the file ends before.
        """
        there = places[
            tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, self._together, strict=True))
        ]
        starts = there.ravel()
        if (starts < 0).any():
            return None
        if len(starts) == 1:
            values: NDArray[Any] = self._part(file, int(starts[0]), 1)[0]
            return values
        whole = [n * size for n, size in zip(there.shape, self._tile, strict=True)]
        in_a_row = bool((np.diff(starts) == self.nbytes).all())
        if self._are_rows and in_a_row:
            return self._part(file, int(starts[0]), len(starts)).reshape(whole)
        axes = range(len(self._tile))
        sizes = [n for axis in axes for n in (there.shape[axis], self._tile[axis])]
        out: NDArray[Any] = np.empty(sizes, self._dtype)
        by_tile = out.transpose([2 * axis for axis in axes] + [2 * axis + 1 for axis in axes])
        if in_a_row:
            held = self._part(file, int(starts[0]), len(starts))
            by_tile[...] = held.reshape(by_tile.shape)
        else:
            for at, start in zip(np.ndindex(there.shape), starts, strict=True):
                by_tile[at] = self._part(file, int(start), 1)[0]
        return out.reshape(whole)

    def _bytes(self, file: RawFile, start: int, size: int) -> memoryview:
        """A part of the file, from what was mapped for the one before as far as that goes.

        To map each part by itself takes as long as to read it.
        """
        begin, held = self._window
        if not begin <= start <= start + size <= begin + len(held):
            begin, held = start, file.part(start, max(size, min(_WINDOW, file.size - start)))
            self._window = begin, held  # at once, so threads at worst map it twice
        return held[start - begin : start - begin + size]

    def _part(self, file: RawFile, start: int, count: int) -> NDArray[Any]:
        """Tiles that lie one after the other."""
        data = self._bytes(file, start, count * self.nbytes)
        if len(data) < count * self.nbytes:
            raise CorruptError(
                f"expected {count * self.nbytes} bytes of a chunk in {file.path} from {start} on, "
                "found the end of the file before: it was cut short, so make it again"
            )
        return np.frombuffer(data, self._dtype).reshape(count, *self._tile)
