"""Elements that lie in a file as they are: mapped where they are many, and read without detours."""

import mmap
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff._kernel import read_part
from padiff.dtypes import DType
from padiff.errors import CorruptError, FormatError, LocationError
from padiff.store.chunked import ChunkedArray
from padiff.store.chunks import Selection, chunk_selection, chunk_shape_for
from padiff.store.files import unreadable

__all__ = ["OpenFile", "RawArray", "RawFile", "fill_part", "open_file", "strides_of"]

_MAP_FROM = 2**18  # bytes; below, reading is cheaper than mapping
# A pipe in the place of a file must not be waited for.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)


def strides_of(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """How many bytes apart the elements lie along each axis, in C order."""
    strides = [itemsize] * len(shape)
    for axis in range(len(shape) - 1, 0, -1):
        strides[axis - 1] = strides[axis] * shape[axis]
    return tuple(strides)


def fill_part(
    file: int, start: int, strides: tuple[int, ...], selection: Selection, out: NDArray[Any]
) -> bool:
    """Read what is selected of an array that begins at `start`; False where the file ends before.

    Of what several blocks take thin slices of, no more is read than these: a map would bring in,
    and count as memory, all that lies around them.
    """
    start += sum(part.start * step for part, step in zip(selection, strides, strict=True))
    return read_part(file, start, strides, out.view(f"V{out.itemsize}"))


class RawFile:
    """A file that somebody holds open: what it was then, whatever takes its place."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        """`descriptor` is -1 where what it holds must be unpacked to be read."""
        self.path, self.descriptor, self.size = path, descriptor, size

    def part(self, start: int, size: int) -> memoryview:
        """Some bytes of the file, mapped where they are many; fewer where it ends before."""
        if size < _MAP_FROM:
            return memoryview(os.pread(self.descriptor, size, start))
        before = start % mmap.ALLOCATIONGRANULARITY
        try:
            held = mmap.mmap(
                self.descriptor, before + size, access=mmap.ACCESS_READ, offset=start - before
            )
        except ValueError:  # the file was cut short since
            return memoryview(b"")
        return memoryview(held)[before:]


class OpenFile(RawFile):
    """A file that is open as long as this is there.

    Raises LocationError where there is none, FormatError where it is something else.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, *open_file(path))

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


def open_file(path: Path) -> tuple[int, int]:
    """The descriptor of a regular file, and how many bytes it has; raises as `OpenFile` does."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        raise LocationError(f"expected a file at {path}, found none") from None
    except OSError as error:
        raise unreadable(path, error) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FormatError(f"expected a file at {path}, found no regular file")
    return descriptor, status.st_size


class RawArray(ChunkedArray):
    """An array whose elements lie in one file, some bytes apart along each axis.

    A chunk is what the format would make one, along the axes as they lie in the file, and is
    mapped alone: were the file mapped whole, all that was read of it would count as memory of the
    process. With `swapped` the bytes of an element come with the highest first. `check` is what
    `check_intact` does. Other tools put
    elements anywhere: what is read need not be aligned, which the kernel does not ask for.

    Raises CorruptError where the file ends before the last element.
    """

    def __init__(
        self,
        file: RawFile,
        where: str,
        shape: tuple[int, ...],
        element: DType,
        offset: int,
        strides: tuple[int, ...] | None = None,
        *,
        swapped: bool = False,
        check: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.element = shape, element
        self._strides = strides_of(shape, element.itemsize) if strides is None else strides
        self.chunk_shape = _chunks(shape, self._strides, element.itemsize)
        self._file, self._where, self._offset = file, where, offset
        self._swapped = swapped and element.itemsize > 1
        self._check = check
        if offset + self._span(shape) > file.size:
            raise self._cut_short()

    def _span(self, shape: Sequence[int]) -> int:
        """Bytes from the first element of a part to the end of the last."""
        if 0 in shape:
            return 0
        steps = ((length - 1) * step for length, step in zip(shape, self._strides, strict=True))
        return sum(steps) + self.element.itemsize

    def _cut_short(self) -> CorruptError:
        return CorruptError(
            f"expected {self._span(self.shape)} bytes of the array {self._where} from "
            f"{self._offset} on, found the end of the file before: it was cut short or changed, "
            "so make it again"
        )

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._where

    def check_intact(self) -> None:
        if self._check is not None:
            self._check()

    def check_present(self, index: tuple[int, ...]) -> None:
        pass  # the file was long enough when it was opened, and is the one that was

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        selection = chunk_selection(index, self.shape, self.chunk_shape)
        shape = [part.stop - part.start for part in selection]
        start, span = self._offset, self._span(shape)
        for part, step in zip(selection, self._strides, strict=True):
            start += part.start * step
        data = self._file.part(start, span)
        if len(data) < span:
            raise self._cut_short()
        values: NDArray[Any] = np.ndarray(shape, self.dtype, data, 0, self._strides)
        if self._swapped:
            values = values.byteswap()
        values.flags.writeable = False
        return values

    def _fill(self, out: NDArray[Any], index: tuple[int, ...], selection: Selection) -> None:
        if self._swapped or self._file.descriptor < 0:
            super()._fill(out, index, selection)
            return
        try:
            complete = fill_part(self._file.descriptor, self._offset, self._strides, selection, out)
        except OSError as error:
            raise unreadable(f"the array {self._where}", error) from None
        if not complete:
            raise self._cut_short()


def _chunks(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """What the format would make a chunk, were the axes in the order in which they lie."""
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    lengths = chunk_shape_for(tuple(shape[axis] for axis in order), itemsize)
    chunk = list(shape)
    for axis, length in zip(order, lengths, strict=True):
        chunk[axis] = length
    return tuple(chunk)
