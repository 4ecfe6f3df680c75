"""Directories being written: which of them nobody writes any more, and removing those.

A writer holds a lock on its directory. The system lets go of it when the process ends, however it
ends, so whoever can take the lock of a directory has found what a killed writer left.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":  # which has no such locks, and keeps its leftovers
    import fcntl

__all__ = ["begin_directory", "remove_leftovers"]


def begin_directory(path: Path) -> int | None:
    """Make `path`, locked until the descriptor that is returned is closed; None without locks."""
    # as long as this lock is held nobody takes the new directory, not locked yet, for a leftover
    with _lock_held(path.parent, wait=True):
        path.mkdir()
        return _lock(path, wait=False)


def remove_leftovers(parent: Path, pattern: str) -> None:
    """Remove the directories in `parent` that fit `pattern` and whose writers are gone."""
    with _lock_held(parent, wait=True) as alone:
        for path in parent.glob(pattern) if alone else ():
            with _lock_held(path, wait=False) as held:
                if held:
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _lock_held(path: Path, *, wait: bool) -> Iterator[bool]:
    lock = _lock(path, wait=wait)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _lock(path: Path, *, wait: bool) -> int | None:
    """A descriptor that holds the lock of a directory; None where another does, or none can.

    To wait is to wait for two seconds: a process that was forked meanwhile may hold the lock for as
    long as it lives.
    """
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            until = time.monotonic() + (2 if wait else 0)
            while True:
                try:
                    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise
                    time.sleep(0.01)
        except BaseException:
            os.close(directory)
            raise
        return directory
    return None
