"""Reading an array of which a chunk is the least that can be opened."""

import itertools
from abc import abstractmethod
from typing import Any

from numpy.typing import NDArray

from padiff.store.array import Array
from padiff.store.chunks import Selection, chunk_selection, empty

__all__ = ["ChunkedArray"]


class ChunkedArray(Array):
    """Puts together what is selected from chunks, of which the last one stays open."""

    def __init__(self) -> None:
        self._last: tuple[tuple[int, ...], NDArray[Any]] | None = None

    @abstractmethod
    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        """One whole chunk, padding included; CorruptError when it is missing or cut short."""

    def check_present(self, index: tuple[int, ...]) -> None:
        self._chunk(index)

    def read(self, selection: Selection, into: NDArray[Any] | None = None) -> NDArray[Any]:
        if self.chunk_shape == self.shape:
            part: Any = (*selection, ...)  # the dots keep a 0-d array an array
            whole: NDArray[Any] = self._chunk((0,) * len(self.shape))[part]
            return whole
        ranges = [
            range(part.start // chunk, -(-part.stop // chunk))
            for part, chunk in zip(selection, self.chunk_shape, strict=True)
        ]
        if all(len(indices) == 1 for indices in ranges):
            return self._part(tuple(indices[0] for indices in ranges), selection)
        out = empty([part.stop - part.start for part in selection], self.dtype, into)
        for index in itertools.product(*ranges):
            held = chunk_selection(index, self.shape, self.chunk_shape)
            common = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(selection, held, strict=True)
            )
            target = tuple(
                slice(a.start - b.start, a.stop - b.start)
                for a, b in zip(common, selection, strict=True)
            )
            self._fill(out[target], index, common)
        out.flags.writeable = False
        return out

    def _fill(self, out: NDArray[Any], index: tuple[int, ...], selection: Selection) -> None:
        """Put what is selected of one chunk into `out`, by indices of the whole array."""
        out[...] = self._part(index, selection)

    def _part(self, index: tuple[int, ...], selection: Selection) -> NDArray[Any]:
        """What lies in one chunk, by indices of the whole array."""
        return self._chunk(index)[self._inside(index, selection)]

    def _inside(self, index: tuple[int, ...], selection: Selection) -> Selection:
        """What lies in one chunk, by indices of the chunk."""
        return tuple(
            slice(part.start - i * chunk, part.stop - i * chunk)
            for part, i, chunk in zip(selection, index, self.chunk_shape, strict=True)
        )

    def _chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        # Neighbouring blocks lie in one chunk: opening it once for all of them is most of the
        # speed of small blocks. One assignment, so threads at worst open a chunk twice.
        last = self._last
        if last is None or last[0] != index:
            last = (index, self._open_chunk(index))
            self.check_current()  # or it may be of a section that took the place of ours
            self._last = last
        return last[1]
