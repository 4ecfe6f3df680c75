"""From the system's memory to the disk: what a power cut must not take."""

import ctypes
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from padiff.store.files import Writing

__all__ = ["flush_directory", "flush_file", "flush_trees"]


def flush_trees(paths: Sequence[Path], opened: int | None = None) -> None:
    """Have everything in these directories, which lie on one file system, on the disk itself.

    And the names that lead there. With a descriptor of a directory on that file system, `opened`
    before the first write, no failure since can go unnoticed because another process was told.

    One call for the whole file system where there is one (Linux): for many small files it takes a
    twentieth of what flushing each does, as the journal is written once.
    """
    try:
        if not _flush_file_system(paths[0], opened):
            _flush_each(paths)
    except OSError:
        with Writing(paths[0], _bytes_in(paths)):
            raise


def _flush_each(paths: Sequence[Path]) -> None:
    for path in paths:
        for folder, _, names in os.walk(path):
            for name in names:
                _flush(Path(folder, name), os.O_RDWR)
            flush_directory(Path(folder))
    if os.name == "posix":
        for above in paths[0].parents:
            with suppress(PermissionError):  # not made by this process then
                _flush(above, os.O_RDONLY)


def _bytes_in(paths: Iterable[Path]) -> int:
    files = (file for path in paths for file in path.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)


def flush_file(path: Path) -> None:
    """Have one file on the disk."""
    with Writing(path, path.stat().st_size):
        _flush(path, os.O_RDWR)


def flush_directory(path: Path) -> None:
    """Have the names in a directory on the disk."""
    if os.name == "posix":  # elsewhere a directory cannot be opened
        with Writing(path, 0):
            _flush(path, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    file = os.open(path, flags)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _flush_file_system(path: Path, opened: int | None) -> bool:
    """Flush the file system that holds `path`; False where the system has no such call."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):  # not Linux, or a C library without it
        return False
    file = os.open(path, os.O_RDONLY) if opened is None else opened
    try:
        if syncfs(file):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        if opened is None:
            os.close(file)
    return True
