"""A tensor on disk: what is read of it, and how it is asked for."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.showing import Shown
from padiff.store.chunks import Selection, chunk_selection

__all__ = ["Array", "StoredArray"]


class Array(Shown, ABC):
    """A tensor on disk with `shape`, `dtype`, slicing and `numpy.asarray`; reads only when asked.

    Selections are given one slice an axis, with step 1 and bounds inside the shape; `__getitem__`
    takes what NumPy's basic indexing takes.
    """

    shape: tuple[int, ...]
    element: DType
    chunk_shape: tuple[int, ...]
    check_current: Callable[[], None] = staticmethod(lambda: None)
    """Raises CorruptError when the array is no longer that of the section that was opened."""

    @abstractmethod
    def read(self, selection: Selection, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """The selected elements, read-only; a view of the file where they lie in one raw chunk.

        Such a view need not be aligned.
        What must be put together is put at the start of `into`, bytes that are enough for it, so
        that the system need not find new memory each time.
        Raises CorruptError when a chunk is missing or cut short.
        """

    @abstractmethod
    def file_of(self, index: tuple[int, ...] | None) -> str:
        """Where one chunk lies, for messages; where the array's metadata lies, for None."""

    def check_present(self, index: tuple[int, ...]) -> None:
        """CorruptError when a chunk is missing or cut short, which may take less than reading."""
        selection = chunk_selection(index, self.shape, self.chunk_shape)
        self.read(selection)

    def check_intact(self) -> None:
        """CorruptError when what holds the elements has a checksum, and it is not of these bytes.

        All of them are read for it.
        """
        return

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.element.numpy

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for length in self.shape:
            size *= length
        return size

    @property
    def chunk_count(self) -> int:
        """Chunks of the whole grid; none where an axis is empty."""
        count = 1
        for length, chunk in zip(self.shape, self.chunk_shape, strict=True):
            count *= -(-length // chunk)
        return count

    @property
    def nbytes(self) -> int:
        return self.size * self.element.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any] | np.generic:
        selection, steps = _basic_index(key, self.shape)
        block = self.read(selection)
        if not block.flags.aligned:  # as it lies in a file, which not all who get it can cope with
            block = block.copy()
            block.flags.writeable = False
        return cast("NDArray[Any] | np.generic", block[steps])

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("expected a copy to be allowed: the array lies on disk")
        whole = self.read(tuple(slice(0, length) for length in self.shape))
        return np.array(whole, dtype=dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} shape={self.shape} dtype={self.element.name}>"


class StoredArray(Array):
    """An array in a padiff store, of whose bytes there are digests."""

    @abstractmethod
    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        """The decoded bytes of one chunk, padding of an edge chunk included: what digests cover."""

    @abstractmethod
    def metadata_digest(self) -> str:
        """The digest of the array's own metadata as it lies on disk."""


def _basic_index(key: Any, shape: tuple[int, ...]) -> tuple[Selection, tuple[Any, ...]]:
    """Split NumPy basic indexing into what is read, and what is then taken of that block."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if keys.count(Ellipsis) > 1:
        raise IndexError("expected at most one ellipsis")
    missing = len(shape) - (len(keys) - keys.count(Ellipsis))
    if missing < 0:
        raise IndexError(f"expected at most {len(shape)} indices, got {len(keys)}")
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * missing
    else:
        keys += [slice(None)] * missing
    selection: list[slice] = []
    then: list[Any] = []
    for axis, (item, length) in enumerate(zip(keys, shape, strict=True)):
        if isinstance(item, slice):
            indices = range(*item.indices(length))
            low, high = (min(indices), max(indices) + 1) if indices else (0, 0)
            selection.append(slice(low, high))
            then.append(slice(None, None, indices.step))
        else:
            try:
                number = operator.index(item)
            except TypeError:
                raise IndexError(
                    f"expected an integer, a slice or ..., got {type(item).__name__}"
                ) from None
            if not -length <= number < length:
                raise IndexError(f"index {number} is out of bounds for axis {axis} of {length}")
            selection.append(slice(number % length, number % length + 1))
            then.append(0)
    return tuple(selection), tuple(then)
