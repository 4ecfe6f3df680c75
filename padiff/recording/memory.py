"""Memory for captured tensors: bounded, and used again from one step to the next.

What the system gives out afresh it clears page by page when it is first written to, which takes
longer than copying a tensor into memory that was in use a moment ago.
"""

import mmap
import re
import sys
import weakref
from collections import defaultdict, deque
from contextlib import suppress
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.errors import UsageError

__all__ = ["MEMORY_LIMIT", "Memory", "bytes_in"]

MEMORY_LIMIT = "1GiB"

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)
_SHARES = 8  # into so many parts a power of two is cut: at most a ninth of a buffer goes unused
_LEAST = 64  # bytes of a buffer

_MAPPED = 2**20  # bytes from which on a buffer is pages of its own, not part of the heap

Bytes = NDArray[np.uint8]
Buffer = bytearray | mmap.mmap


def bytes_in(size: str | int) -> int:
    """Bytes that a size such as `256MiB`, `1.5GB` or a whole number means.

    Raises UsageError for anything else.
    """
    if type(size) is int and size >= 0:
        return size
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if match is None or match[2].upper() not in _UNITS:
        raise UsageError(
            "expected memory_limit to be a number of bytes or a size such as '256MiB' or '1GiB', "
            f"got {size!r}"
        )
    return int(float(match[1]) * _UNITS[match[2].upper()])


class Memory:
    """Lends buffers, of at most `limit` bytes together.

    A buffer is lent for as long as an array lives that looks into it. What came back is kept for
    who asks for as much again, up to what was once lent at the same time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lent = self._idle = self._most = 0  # bytes
        # those that are idle, by their size
        self._buffers: defaultdict[int, list[Buffer]] = defaultdict(list)
        self._loans: dict[int, weakref.ref[Bytes]] = {}
        # from whatever thread an array dies in, which may be one that is inside `take`
        self._returned: deque[Buffer] = deque()
        self._lock = Lock()

    def take(self, size: int) -> Bytes | None:
        """A buffer of `size` bytes that hold anything; None where that is more than is left."""
        room = _rounded(size)
        with self._lock:
            self._take_back()
            if self._lent + room > self._limit:
                return None
            if held := self._buffers[room]:
                buffer = held.pop()
                self._idle -= room
            else:
                self._let_go(room)
                try:
                    buffer = _new(room)
                except (OSError, MemoryError):  # the system has less than the limit
                    return None
            self._lent += room
            self._most = max(self._most, self._lent)
            return self._lend(buffer, size)

    def copy(self, values: NDArray[Any]) -> NDArray[Any] | None:
        """The elements in a buffer, C-contiguous; None where there is no room for them."""
        buffer = self.take(values.nbytes)
        if buffer is None:
            return None
        copied: NDArray[Any] = buffer.view(values.dtype).reshape(values.shape)
        if values.dtype.isbuiltin == 2:  # a type that is not NumPy's own, which it copies slowly
            plain = np.dtype(f"u{values.itemsize}")
            np.copyto(copied.view(plain), values.view(plain))
        else:
            np.copyto(copied, values)
        return copied

    def _lend(self, buffer: Buffer, size: int) -> Bytes:
        # it lives as long as any view of it does: the buffer is no array that they would hold
        lent: Bytes = np.frombuffer(buffer, np.uint8, size)
        returned = self._returned

        def ended(_: object) -> None:
            returned.append(buffer)

        self._loans[id(buffer)] = weakref.ref(lent, ended)
        return lent

    def _take_back(self) -> None:
        while self._returned:
            buffer = self._returned.popleft()
            room = len(buffer)
            del self._loans[id(buffer)]
            self._lent -= room
            self._idle += room
            self._buffers[room].append(buffer)

    def _let_go(self, room: int) -> None:
        """Give idle buffers of other sizes back to the system, so that a new one may be made."""
        most = max(self._most, self._lent + room)
        for size, held in list(self._buffers.items()):
            while held and self._lent + self._idle + room > most:
                held.pop()
                self._idle -= size
            if not held:
                del self._buffers[size]


def _new(room: int) -> Buffer:
    """A buffer of the system's own making: in the heap, what is large lies in others' way."""
    if room < _MAPPED:
        return bytearray(room)
    if sys.platform == "win32":
        return mmap.mmap(-1, room)
    pages = mmap.mmap(-1, room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # where the system has such pages it clears them faster
        with suppress(OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def _rounded(size: int) -> int:
    """The size of the buffer for `size` bytes: few sizes, so that one fits the next step too."""
    size = max(size, _LEAST)
    step = max(_LEAST, 1 << (size.bit_length() - 1) >> (_SHARES.bit_length() - 1))
    return -(-size // step) * step
