"""Writing one section, array by array: in chunks, each measured on its way to the disk."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, reduce
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from padiff.dtypes import DType, dtype_of
from padiff.errors import FormatError
from padiff.store.array import Array
from padiff.store.base import PartialSection
from padiff.store.chunks import chunk_grid, chunk_selection, chunk_shape_for, padded
from padiff.store.format import (
    LONGEST_HEADER,
    SectionHeader,
    SectionName,
    beside,
    check_array_path,
    header_to_json,
    running_digest,
)
from padiff.store.stats import PartialStats, finish, merge, of_contiguous
from padiff.store.storage import Storage
from padiff.tree import Phase, TensorRecord, TensorStats

__all__ = ["Later", "SectionWriter", "Stored", "measured", "record_of"]

_Figures = tuple[str, PartialStats]  # of a chunk: its digest, and those of its elements

_HANDED_ON = 2**16  # bytes; to write fewer takes no longer than to hand them to a thread
_AHEAD = 16  # chunks that wait to be written, at most

_PIECE = 2**20  # bytes; smaller ones make threads meet more often at the lock of the interpreter


class Stored(Struct, frozen=True, gc=False):
    """What the layer tree keeps of an array once it is written."""

    array: str
    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...] | None
    stats: TensorStats
    chunks: tuple[str, ...]
    metadata: str


# Waits until a tensor is written, and tells what was.
Later = Callable[[], Stored]


def record_of(
    stored: Stored,
    *,
    phase: Phase | None,
    place: str,
    device: str,
    order: int,
    tied: str | None = None,
    buffer: bool = False,
) -> TensorRecord:
    """What the store says of an array, joined with what the recording knows of the tensor.

    `tied` is what `array_path` gives for the first place.
    """
    return TensorRecord(
        array=stored.array,
        phase=phase,
        place=place,
        shape=stored.shape,
        dtype=stored.dtype,
        device=device,
        order=order,
        stats=stored.stats,
        chunks=stored.chunks,
        metadata=stored.metadata,
        dims=stored.dims,
        tied=tied and beside(stored.array, tied),
        buffer=buffer,
    )


class SectionWriter:
    """Write one section: `add` each tensor, then `finish` with the header that has the tree."""

    def __init__(self, partial: PartialSection, name: SectionName, storage: Storage) -> None:
        self._partial = partial
        self._storage = storage
        self._pool: ThreadPoolExecutor | None = None
        self._written: deque[Future[_Figures]] = deque()  # what was handed on last
        self.name = name
        self.finished = False

    def close(self) -> None:
        """Let go of threads; what they have not begun is left."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def add(self, path: str, values: NDArray[Any], dims: Sequence[str] | None = None) -> Stored:
        """Write one tensor of any strides now; `values` is not kept and may change afterwards.

        `path` comes from `array_path`, `dims` names the axes where their meaning is known.
        """
        try:
            return self.begin(path, values, dims)()
        except BaseException:
            self._written.clear()  # whoever comes next is not to hear of it
            raise

    def begin(
        self, path: str, values: NDArray[Any] | Array, dims: Sequence[str] | None = None
    ) -> Later:
        """The same while the caller goes on, who leaves `values` as they are until it has ended."""
        path = self._own(path)
        cut = _Cut(values, self._storage)
        leaf = path.rpartition("/")[2]
        names = dims if dims is not None else [f"{leaf}_{axis}" for axis in range(values.ndim)]
        metadata = self._partial.create_array(
            path, cut.values.shape, cut.element, cut.chunk_shape, names
        )

        # which does not hold on to the elements
        told = partial(_stored, path, values.shape, cut.element, metadata=metadata, dims=dims)

        def write(index: tuple[int, ...]) -> _Figures:
            chunk = cut.chunk(index)
            self._partial.write_chunk(path, index, chunk, chunk.nbytes)
            return chunk.figures()

        if len(cut.indices) < 2 and values.nbytes < _HANDED_ON:
            stored = told([write(index) for index in cut.indices])
            return lambda: stored
        chunks = [self._hand_on(write, index) for index in cut.indices]
        return lambda: told([chunk.result() for chunk in chunks])

    def _hand_on(
        self, write: Callable[[tuple[int, ...]], _Figures], index: tuple[int, ...]
    ) -> Future[_Figures]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(os.cpu_count(), "padiff-write")
        if len(self._written) > _AHEAD:
            self._written.popleft().result()
        self._written.append(self._pool.submit(write, index))
        return self._written[-1]

    def note(self, path: str, stored: Stored) -> Later:
        """What the layer tree keeps of an array that is measured alone, and not written."""
        noted = replace(stored, array=self._own(path))
        return lambda: noted

    def adopt(self, path: str, spilled: Stored, source: PartialSection) -> Later:
        """Have an array that was written to a section which is never finished in this one.

        It is moved where that can be, else read and written again.
        """
        if self._partial.adopt(self._own(path), source, spilled.array):
            return self.note(path, spilled)
        return self.begin(path, source.written(spilled.array), spilled.dims)

    def _own(self, path: str) -> str:
        check_array_path(path, self.name)
        return f"{self._partial.prefix}{path}"

    def finish(self, header: SectionHeader) -> None:
        """Write the section's header with its tree: no more arrays will come."""
        while self._written:
            self._written.popleft().result()
        if header.section != self.name:
            raise ValueError(f"expected the header of {self.name}, got {header.section}")
        text = header_to_json(header)
        if len(text) > LONGEST_HEADER:
            raise FormatError(
                f"expected a layer tree of at most {LONGEST_HEADER} bytes in {self.name}, got one "
                f"of {len(text)}: record fewer layers, or fewer calls at once"
            )
        self._partial.finish(text)
        self.finished = True


def measured(values: NDArray[Any], storage: Storage, dims: Sequence[str] | None) -> Stored:
    """What the layer tree would keep of an array, had it been written; but for its metadata."""
    cut = _Cut(values, storage)

    def measure(index: tuple[int, ...]) -> _Figures:
        chunk = cut.chunk(index)
        deque(chunk, maxlen=0)
        return chunk.figures()

    found = [measure(index) for index in cut.indices]
    return _stored("", values.shape, cut.element, found, "", dims)


class _Cut:
    """A tensor of any strides, cut into the chunks that it is written in."""

    def __init__(self, values: NDArray[Any] | Array, storage: Storage) -> None:
        self.element = dtype_of(values.dtype)
        self.values = values
        if isinstance(values, np.ndarray):
            self.values = values.astype(self.element.numpy, copy=False)  # in native byte order
        self.chunk_shape = chunk_shape_for(values.shape, self.element.itemsize, storage.chunk_bytes)
        grid = chunk_grid(values.shape, self.chunk_shape)
        self.indices = list(itertools.product(*map(range, grid)))

    def chunk(self, index: tuple[int, ...]) -> "_Chunk":
        """One of the chunks, contiguous."""
        selection: Any = (*chunk_selection(index, self.values.shape, self.chunk_shape), ...)
        part: Any = self.values[selection]  # the dots keep a 0-d array an array
        # unlike ascontiguousarray, which makes a 0-d array 1-d
        return _Chunk(part if part.flags.c_contiguous else part.copy(), self.chunk_shape)


def _stored(
    path: str,
    shape: tuple[int, ...],
    element: DType,
    found: Sequence[_Figures],
    metadata: str,
    dims: Sequence[str] | None,
) -> Stored:
    """What the layer tree keeps; `found` are the figures of all chunks."""
    return Stored(
        array=path,
        shape=shape,
        dtype=element.name,
        dims=None if dims is None else tuple(dims),
        stats=finish(reduce(merge, (stats for _, stats in found), PartialStats())),
        chunks=tuple(digest for digest, _ in found),
        metadata=metadata,
    )


class _Chunk:
    """The bytes of a chunk, piece by piece; each is measured just before it is written.

    So it comes from memory once, and the figures are known when all pieces were taken.
    """

    def __init__(self, chunk: NDArray[Any], chunk_shape: tuple[int, ...]) -> None:
        self._digest = running_digest()
        self._stats = PartialStats()
        self._is_padded = chunk.shape != chunk_shape
        if self._is_padded:
            self._stats = of_contiguous(chunk)  # without the padding, which has no end of its own
            chunk = padded(chunk, chunk_shape)
        self._elements = chunk.reshape(-1)
        self.nbytes = chunk.nbytes

    def __iter__(self) -> Iterator[memoryview]:
        step = _PIECE // self._elements.itemsize
        for start in range(0, self._elements.size, step):
            piece = self._elements[start : start + step]
            if not self._is_padded:
                part = of_contiguous(piece)
                self._stats = merge(self._stats, part) if start else part
            data = piece.view(np.uint8).data
            self._digest.update(data)
            yield data

    def figures(self) -> _Figures:
        """The digest and the statistics, once all pieces were taken."""
        return self._digest.hexdigest(), self._stats
