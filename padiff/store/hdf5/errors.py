"""What the HDF5 library raises becomes one sentence of ours."""

import os
import re
from pathlib import Path

from padiff.errors import CorruptError, PadiffError
from padiff.store.files import Writing

__all__ = ["Reading", "WritingHdf5"]

_RAISED = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError)
_NUMBER = re.compile(r"errno = (\d+)")


class Reading:
    """A CorruptError that names what was read, when the library cannot make sense of it."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, _RAISED) and not isinstance(error, PadiffError):
            words = " ".join(str(error).split()).strip("'\"")
            raise CorruptError(
                f"expected {self._what} to be readable, found what the HDF5 library "
                f"refuses: {words}"
            ) from None


class WritingHdf5:
    """A WriteError that names file and bytes, when the library or the system refuses a write."""

    __slots__ = ("_path", "_size")

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, OSError | RuntimeError) or isinstance(error, PadiffError):
            return
        with Writing(self._path, self._size):
            number = _NUMBER.search(str(error))  # the library tells it in its text alone
            if number:
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            if isinstance(error, OSError):
                raise error
            raise OSError(" ".join(str(error).split())) from error
