"""Who writes what: one writer a name, and what a killed one left is found and removed.

A writer works in a directory of its own beside what it will put in place, and holds a lock on it.
The system lets go of the lock when the process ends, however it ends, so whoever can take it has
found what a killed writer left, and who cannot has found a writer at work.
"""

import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":  # which has no such locks, and keeps its leftovers
    import fcntl

from padiff.errors import OccupiedError

__all__ = ["PARTIAL", "Workplace", "begin_alone", "locked"]

PARTIAL = ".partial"
_PATIENCE = 2.0  # seconds to wait for one who begins at the same moment


class Workplace:
    """A directory in which one writer works, until it is removed."""

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self._lock = lock

    def remove(self) -> None:
        """Remove what is left of it, and let others begin. Safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            _release(self._lock)
            self._lock = None


def begin_alone(parent: Path, name: str, *, what: str) -> Workplace:
    """A new directory `.<name>.<anything>.partial` in `parent`, for this writer alone.

    Those of the same name whose writers are gone are removed. A writer at work is an OccupiedError,
    which calls what it writes `what`. Where the file system knows no locks there is no telling.
    """
    left: list[Workplace] = []
    try:
        # as long as this lock is held nobody takes what is new, not locked yet, for a leftover
        with locked(parent, patience=_PATIENCE):
            for path in parent.glob(f".{name}.*{PARTIAL}"):
                lock, held = _lock(path)
                if held:
                    raise OccupiedError(
                        f"expected to be alone in writing {what}, found another writer at work in "
                        f"{path}: wait until it is done, or choose another place"
                    )
                if lock is not None:
                    left.append(Workplace(path, lock))
            path = parent / f".{name}.{uuid.uuid4().hex[:12]}{PARTIAL}"
            path.mkdir()
            return Workplace(path, _lock(path)[0])
    finally:
        for workplace in left:  # which may take long, so not while others wait
            workplace.remove()


@contextmanager
def locked(directory: Path, *, patience: float) -> Iterator[bool]:
    """Hold the lock of a directory that stays, where there are locks and nobody else holds it.

    Gives whether it does, after `patience` seconds at most.
    """
    until = time.monotonic() + patience
    lock, held = _lock(directory)
    while held and time.monotonic() < until:
        time.sleep(0.01)
        lock, held = _lock(directory)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            _release(lock)


def _lock(path: Path) -> tuple[int | None, bool]:
    """A descriptor that holds the lock of a directory, if it can be had; whether another has it."""
    if sys.platform == "win32":
        return None, False
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(directory)
            if isinstance(error, BlockingIOError):
                return None, True
            raise
        return directory, False
    return None, False


def _release(lock: int) -> None:
    if sys.platform != "win32":
        # a process that was forked meanwhile has the descriptor too, and closes it who knows when
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)
