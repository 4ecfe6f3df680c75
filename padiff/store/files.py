"""Writing files: a refusal of the file system becomes one sentence with its cure."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from padiff.errors import PadiffError, WriteError

__all__ = ["Writing", "write_file", "write_pieces"]

_RESERVE_FROM = 2**20  # bytes; below, asking for room costs more than it gains
_CURES = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free space or choose another place"
    ),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "ask for permission or choose another place"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close files or raise their limit (ulimit -n)"),
}


class Writing:
    """Tells what was to be written where, when the file system refuses."""

    __slots__ = ("_path", "_size")

    def __init__(self, path: str | Path, size: int) -> None:
        self._path = path
        self._size = size

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, PadiffError):
            return
        cure = _CURES.get(error.errno or 0, "choose another place")
        raise WriteError(
            f"expected to write {self._size} bytes to {self._path}, but the file system refused: "
            f"{error.strerror or error}; {cure}, what was dumped before is intact"
        ) from error


def _reserve(file: int, size: int) -> None:
    """Ask for room: copying is a third faster then, and a full disk says so before it begins."""
    try:
        os.posix_fallocate(file, 0, size)
    except AttributeError:  # not every system has it,
        return
    except OSError as error:  # nor every file system
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def write_file(path: str | Path, data: bytes) -> None:
    """Make a new file that holds `data`; WriteError when the file system refuses."""
    write_pieces(path, [memoryview(data)], len(data))


def write_pieces(path: str | Path, pieces: Iterable[memoryview], size: int) -> None:
    """The same of `size` bytes in all, each piece written before the next is asked for."""
    with Writing(path, size):
        # a file object would cost as much again as writing a small tensor does
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if size >= _RESERVE_FROM:
                _reserve(file, size)
            for piece in pieces:
                while piece:  # one call writes at most 2 GiB, less on a full disk before it fails
                    piece = piece[os.write(file, piece) :]
        finally:
            os.close(file)
