"""Writing files: a refusal of the file system becomes one sentence with its cure."""

import errno
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from padiff.errors import CorruptError, PadiffError, UnreadableError, WriteError

__all__ = [
    "SHORTAGES",
    "Writing",
    "link_directory",
    "unreadable",
    "write_at",
    "write_file",
    "write_pieces",
]

_RESERVE_FROM = 2**20  # bytes; below, asking for room costs more than it gains
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # which say nothing of what is there
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CURES = {
    errno.ENOSPC: "free space or choose another place",
    errno.EDQUOT: "free space, ask for more, or choose another place",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f) or choose another place",
    errno.EROFS: "have it mounted for writing or choose another place",
    errno.ENAMETOOLONG: "choose a shorter path",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "ask for permission or choose another place"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close files or raise their limit (ulimit -n)"),
}


class Writing:
    """Tells what was to be written where, when the file system refuses.

    `size` is in bytes, 0 where it is a name that is made or changed.
    """

    __slots__ = ("_path", "_size")

    def __init__(self, path: str | Path, size: int) -> None:
        self._path = path
        self._size = size

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, PadiffError):
            return
        number = error.errno or 0
        what = f"write {self._size} bytes" if self._size else "write"
        reason = error.strerror or str(error)
        cure = _CURES.get(number, "choose another place")
        if number in _FULL and (room := _room(Path(self._path))) is not None:
            space, files = room
            reason += f", {space} bytes are free" if files else ", no inodes are left for files"
            cure = cure if files else "remove files or choose another place"
        raise WriteError(
            f"expected to {what} to {self._path}, but the file system refused: "
            f"{reason}; {cure}, what was dumped before is intact"
        ) from error


def _room(path: Path) -> tuple[int, bool] | None:
    """Bytes that are free where `path` lies or is to lie, and whether more files may be made."""
    if sys.platform == "win32":
        return None
    for place in (path, *path.parents):
        try:
            status = os.statvfs(place)
        except OSError:  # not there yet
            continue
        return status.f_bavail * status.f_frsize, bool(status.f_favail or not status.f_files)
    return None


def _reserve(file: int, size: int, offset: int = 0) -> None:
    """Ask for room: copying is a third faster then, and a full disk says so before it begins."""
    try:
        os.posix_fallocate(file, offset, size)
    except AttributeError:  # not every system has it,
        return
    except OSError as error:  # nor every file system
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def unreadable(what: object, error: OSError) -> PadiffError:
    """What to raise where the system refuses to read: UnreadableError, or CorruptError."""
    reason = f"expected {what} to be readable: {error.strerror or error}"
    if error.errno in SHORTAGES:
        return UnreadableError(f"{reason}; close files or raise their limit (ulimit -n)")
    if isinstance(error, PermissionError):
        return UnreadableError(
            f"{reason}; nothing is known of what it holds, so ask for permission"
        )
    return CorruptError(reason)


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


def link_directory(source: Path, target: Path) -> None:
    """Make a directory with the files of another: the same bytes under a second name.

    They are copied where the file system has no second names, or is another.
    """
    with Writing(target, 0):
        target.mkdir()
        for file in source.iterdir():
            try:
                (target / file.name).hardlink_to(file)
            except OSError:
                with Writing(target / file.name, file.stat().st_size):
                    shutil.copyfile(file, target / file.name)


def write_at(file: int, offset: int, pieces: Iterable[memoryview], size: int) -> None:
    """Write the first `size` bytes of what the pieces hold at an offset; the rest is passed over.

    Raises OSError when the file system refuses.
    """
    if size >= _RESERVE_FROM:
        _reserve(file, size, offset)
    end = offset + size
    for piece in pieces:
        piece = piece[: end - offset]
        while piece:
            written = os.pwrite(file, piece, offset)
            offset, piece = offset + written, piece[written:]
