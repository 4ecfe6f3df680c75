"""From the system's memory to the disk: what a power cut must not take."""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from padiff.store.files import Writing

__all__ = ["flush_directory", "flush_trees"]


def flush_trees(paths: Iterable[Path]) -> None:
    """Have everything in these directories, which lie on one file system, on the disk itself.

    One call for the whole file system where there is one (Linux): for many small files it takes a
    twentieth of what flushing each does, as the journal is written once.
    """
    paths = list(paths)
    with Writing(paths[0], 0):
        if not _flush_file_system(paths[0]):
            for path in paths:
                for folder, _, names in os.walk(path):
                    for name in names:
                        _flush(Path(folder, name), os.O_RDWR)
                    flush_directory(Path(folder))


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


def _flush_file_system(path: Path) -> bool:
    """Flush the file system that holds `path`; False where the system has no such call."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):  # not Linux, or a C library without it
        return False
    file = os.open(path, os.O_RDONLY)
    try:
        if syncfs(file):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(file)
    return True
