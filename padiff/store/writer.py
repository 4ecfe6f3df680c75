"""What the recorder calls: one section, array by array, visible only when committed."""

import itertools
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from padiff.dtypes import dtype_of
from padiff.errors import FormatError, LocationError, PadiffError
from padiff.store.base import PartialSection
from padiff.store.chunks import chunk_grid, chunk_selection, chunk_shape_for, padded
from padiff.store.files import Writing
from padiff.store.format import (
    ATTRIBUTE,
    LONGEST_HEADER,
    SectionHeader,
    SectionName,
    check_array_path,
    header_to_json,
    running_digest,
    safe_name,
)
from padiff.store.location import Location, locate_for_writing, store_in
from padiff.store.stats import PartialStats, finish, merge, of_contiguous
from padiff.store.storage import DEFAULT, Format, Storage
from padiff.tree import Phase, TensorRecord, TensorStats

__all__ = ["DumpWriter", "SectionWriter", "Stored", "claim_store", "record_of", "write_section"]

_PIECE = 2**20  # bytes; smaller ones make threads meet more often at the lock of the interpreter

# Tells this process from one that wrote a store earlier; forks differ by their number.
_PROCESS = uuid.uuid4().hex
# The runs of this process by the directory they hold: others overwrite the claims in these.
_HELD: dict[tuple[int, Path], str] = {}


class Stored(Struct, frozen=True, gc=False):
    """What the layer tree keeps of an array once it is written."""

    array: str
    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...] | None
    stats: TensorStats
    chunks: tuple[str, ...]
    metadata: str


def record_of(
    stored: Stored, *, phase: Phase | None, place: str, device: str, order: int
) -> TensorRecord:
    """What the store says of an array, joined with what the recording knows of the tensor."""
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
    )


class DumpWriter:
    """Write sections of one dump, which become visible together when all are finished.

    A context manager: leaving it before every section is finished, by an error or by Ctrl-C,
    removes what was written and leaves older sections of those names as they were.

    Raises OccupiedError when something else lies at the location, or another writer is at work on
    one of the sections, and WriteError when the file system refuses (full, read-only, no
    permission).
    """

    def __init__(
        self,
        location: Location,
        *sections: SectionName,
        step: int | None = None,
        rank: int | None = None,
        storage: Storage = DEFAULT,
    ) -> None:
        self._handled = sys.exception()  # by the caller, who dumps what there is
        store, path = locate_for_writing(location, step=step, rank=rank, backend=storage.format)
        with Writing(f"{store.location}/{path}".rstrip("/"), 0):
            self._partial = store.begin_dump(path, sections, storage)
        self._storage = storage
        self._writers: list[SectionWriter] = []
        self._expected = sections

    def section(self, name: SectionName) -> "SectionWriter":
        """What takes the arrays of one of the sections, and its header at the end."""
        writer = SectionWriter(self._partial.section(name), name, self._storage)
        self._writers.append(writer)
        return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for writer in self._writers:
                writer.close()
            if kind is None and {w.name for w in self._writers if w.finished} == {*self._expected}:
                self._partial.commit()
        except Exception as failure:
            self._raise_interrupt(failure)
            raise
        finally:
            self._partial.discard()
        self._raise_interrupt(error)

    def _raise_interrupt(self, error: BaseException | None) -> None:
        """Raise the interrupt on whose way up an error came, as of a lock that it kept half taken.

        The interrupt is what the user is to hear of.
        """
        while error is not None and error is not self._handled:
            if isinstance(error, KeyboardInterrupt):
                raise error from None
            error = error.__context__


@contextmanager
def write_section(
    location: Location,
    section: SectionName,
    *,
    step: int | None = None,
    rank: int | None = None,
    storage: Storage = DEFAULT,
) -> Iterator["SectionWriter"]:
    """The same for a single section, visible when this is left."""
    with DumpWriter(location, section, step=step, rank=rank, storage=storage) as dump:
        yield dump.section(section)


class SectionWriter:
    """Write one section: `add` each tensor, then `finish` with the header that has the tree."""

    def __init__(self, partial: PartialSection, name: SectionName, storage: Storage) -> None:
        self._partial = partial
        self._storage = storage
        self._pool: ThreadPoolExecutor | None = None
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
        check_array_path(path, self.name)
        path = f"{self._partial.prefix}{path}"
        element = dtype_of(values.dtype)
        values = values.astype(element.numpy, copy=False)  # native byte order, no copy if it is
        shape = values.shape
        chunk_shape = chunk_shape_for(shape, element.itemsize, self._storage.chunk_bytes)
        leaf = path.rpartition("/")[2]
        names = dims if dims is not None else [f"{leaf}_{axis}" for axis in range(len(shape))]
        metadata = self._partial.create_array(path, shape, element, chunk_shape, names)

        def write(index: tuple[int, ...]) -> tuple[str, PartialStats]:
            chunk = values[chunk_selection(index, shape, chunk_shape)]
            # unlike ascontiguousarray, which makes a 0-d array 1-d
            chunk = chunk if chunk.flags.c_contiguous else chunk.copy()
            measured = _Measured(chunk, chunk_shape)
            self._partial.write_chunk(path, index, measured, measured.nbytes)
            return measured.digest.hexdigest(), measured.stats

        indices = list(itertools.product(*map(range, chunk_grid(shape, chunk_shape))))
        # a single chunk costs less to write than to hand to a thread
        written = list(map(write, indices) if len(indices) < 2 else self._map(write, indices))
        stats = [part for _, part in written] or [PartialStats()]
        return Stored(
            array=path,
            shape=shape,
            dtype=element.name,
            dims=None if dims is None else tuple(dims),
            stats=finish(reduce(merge, stats)),
            chunks=tuple(chunk_digest for chunk_digest, _ in written),
            metadata=metadata,
        )

    def _map(
        self,
        write: Callable[[tuple[int, ...]], tuple[str, PartialStats]],
        indices: Sequence[tuple[int, ...]],
    ) -> Iterator[tuple[str, PartialStats]]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(os.cpu_count(), "padiff-write")
        return self._pool.map(write, indices)

    def finish(self, header: SectionHeader) -> None:
        """Write the section's header with its tree: no more arrays will come."""
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


class _Measured:
    """The bytes of a chunk, piece by piece; each is measured just before it is written.

    So it comes from memory once, and `stats` and `digest` are complete when all pieces were taken.
    """

    def __init__(self, chunk: NDArray[Any], chunk_shape: tuple[int, ...]) -> None:
        self.digest = running_digest()
        self.stats = PartialStats()
        self._is_padded = chunk.shape != chunk_shape
        if self._is_padded:
            self.stats = of_contiguous(chunk)  # without the padding, which has no end of its own
            chunk = padded(chunk, chunk_shape)
        self._elements = chunk.reshape(-1)
        self.nbytes = chunk.nbytes

    def __iter__(self) -> Iterator[memoryview]:
        step = _PIECE // self._elements.itemsize
        for start in range(0, self._elements.size, step):
            piece = self._elements[start : start + step]
            if not self._is_padded:
                part = of_contiguous(piece)
                self.stats = merge(self.stats, part) if start else part
            data = piece.view(np.uint8).data
            self.digest.update(data)
            yield data


def claim_store(
    root: Path, name: str, *, framework: str, run: str, backend: Format | None = None
) -> Path:
    """The directory `<root>/<name>` for the run `run`, with a number where that is another's.

    It is another's while a run of this process holds it (two models of one name), or when it was
    written with another framework. The same script run again gets the same directory again.
    """
    mine = {"process": f"{_PROCESS}-{os.getpid()}", "run": run, "framework": framework}
    for attempt in itertools.count():
        path = root / (safe_name(name) + (f"_{attempt}" if attempt else ""))
        held = os.getpid(), path.absolute()  # a fork has runs of its own
        if _HELD.get(held, run) != run:
            continue
        _check_reachable(path)
        store = store_in(path.absolute(), backend)
        try:
            found = store.attributes("").get(ATTRIBUTE, {}).get("claim", {})
        except LocationError:
            if path.exists():  # not ours to write to
                continue
            found = {}
        except (PadiffError, AttributeError):
            continue
        this_process = found.get("process") == mine["process"]
        other_framework = found.get("framework") not in (None, framework)
        if found != mine and (this_process or other_framework):
            continue
        store.create(mine)
        _HELD[held] = run
        return path
    raise AssertionError("unreachable: itertools.count does not end")


def _check_reachable(path: Path) -> None:
    """WriteError where the system cannot tell what lies at `path`, whatever its number."""
    with Writing(path, 0), suppress(FileNotFoundError, NotADirectoryError):
        os.close(os.open(path.parent, os.O_RDONLY))
        path.stat()
