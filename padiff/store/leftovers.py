"""Who writes what: one writer a name, and what a killed one left is found and removed.

A writer works in a directory of its own beside what it will put in place, and holds a lock on it.
The system lets go of the lock when the process ends, however it ends, so whoever can take it has
found what a killed writer left, and who cannot has found a writer at work. A directory that was
put in place is safe from both: it is removed by its old name, which it no longer has.
"""

import os
import re
import shutil
import sys
import time
import uuid
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import Self

if sys.platform != "win32":  # which has no such locks, and keeps its leftovers
    import fcntl

from padiff.errors import OccupiedError
from padiff.store.files import SHORTAGES, Writing, write_file
from padiff.store.flush import flush_file

__all__ = [
    "PARTIAL",
    "PATIENCE",
    "Lock",
    "Workplace",
    "begin_alone",
    "is_group_begun",
    "make_directory",
    "replace_file",
]

PARTIAL = ".partial"
# Seconds to wait for one who makes or renames something in the same directory at the same moment: a
# file system that is being flushed takes some for the least of these.
PATIENCE = 60.0
_GROUP = f".group{PARTIAL}"


class Lock:
    """The lock of a directory. A context manager, and let go of when nobody has this any more.

    `held` tells whether it was taken, `refused` whether another has it; where neither, there is no
    telling: the directory is gone, or its file system knows no locks.

    Raises OSError when the process may open no more files.
    """

    held = refused = False
    descriptor: int | None = None

    def __init__(self, directory: Path, *, patience: float = 0.0) -> None:
        self._process = os.getpid()
        until = time.monotonic() + patience
        try:
            self._take(directory)
            while self.refused and time.monotonic() < until:
                time.sleep(0.01)
                self._take(directory)
        except BaseException:
            self.release()
            raise

    def _take(self, directory: Path) -> None:
        if sys.platform == "win32":
            return
        self.refused = False
        try:
            if self.descriptor is None:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                self.descriptor = os.open(directory, flags)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.held = True
        except BlockingIOError:
            self.refused = True
        except OSError as error:
            if error.errno in SHORTAGES:
                raise

    def release(self) -> None:
        """Let others have it. Safe to call twice."""
        ours = self.held and self._process == os.getpid()  # a fork has a copy of its parent's
        try:
            if ours and self.descriptor is not None and sys.platform != "win32":
                # a process that was forked meanwhile has the descriptor too, and may keep it long
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        finally:
            descriptor, self.descriptor = self.descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    __del__ = release

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


class Workplace:
    """A directory in which one writer works, until it is removed.

    It is removed as well when nobody has this any more, as after an interrupt at a bad moment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._locks: list[Lock] = []
        self._process = os.getpid()
        # called at the end only where an interrupt kept `remove` from being called, or from its end
        self._end = weakref.finalize(self, _remove, path, self._locks, self._process)

    @property
    def descriptor(self) -> int | None:
        """Of the directory, open since before anything was written in it; not on every system."""
        return self._locks[0].descriptor if self._locks else None

    def make(self, *, what: str) -> None:
        """Make the directory and lock it."""
        self.path.mkdir()
        self._locks.append(Lock(self.path))
        if self._locks[0].refused:
            raise _occupied(what, self.path)

    def remove(self) -> None:
        """Remove what is left of it, and let others begin. Safe to call twice."""
        if self._end.alive:
            _remove(self.path, self._locks, self._process)
            self._end.detach()


def _remove(path: Path, locks: list[Lock], process: int) -> None:
    if os.getpid() != process:  # a fork has a copy of what is its parent's
        return
    try:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        for lock in locks:
            lock.release()


def begin_alone(parent: Path, name: str, *, what: str, among: bool = False) -> Workplace:
    """A new directory `.<name>.<anything>.partial` in `parent`, for this writer alone.

    Those of the same name whose writers are gone are removed. A writer at work is an OccupiedError,
    which calls what it writes `what`, unless this one may be `among` others. Where the file system
    knows no locks there is no telling.
    """
    workplace = Workplace(parent / f".{name}.{uuid.uuid4().hex[:12]}{PARTIAL}")
    try:
        with ExitStack() as locks:
            # as long as this is held nobody takes what is new, not locked yet, for a leftover
            beginning = locks.enter_context(Lock(parent, patience=PATIENCE))
            if beginning.refused:
                raise _occupied(what, parent)
            left = []
            for path in _partial(parent, name):
                lock = locks.enter_context(Lock(path))
                if lock.refused and not among:
                    raise _occupied(what, path)
                if lock.held:
                    left.append(path)
            workplace.make(what=what)
            beginning.release()
            for path in left:  # which may take long, so not while others wait
                shutil.rmtree(path, ignore_errors=True)
    except BaseException:
        workplace.remove()
        raise
    return workplace


def _partial(parent: Path, name: str, ending: str = PARTIAL) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(name)}\.[^.]*{re.escape(ending)}")
    return [path for path in parent.iterdir() if pattern.fullmatch(path.name)]


def _occupied(what: str, path: Path) -> OccupiedError:
    return OccupiedError(
        f"expected to be alone in writing {what}, found another writer at work in {path}: "
        "wait until it is done, or choose another place"
    )


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Put a small file in place of an older one at once, with `durable` on the disk by then.

    What killed writers of the same file left is removed.
    """
    with Writing(path, len(data)), Lock(path.parent, patience=PATIENCE) as alone:
        if alone.held:
            for left in path.parent.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
        try:
            write_file(beside, data)
            if durable:
                flush_file(beside)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def is_group_begun(name: str) -> bool:
    """Whether a directory of that name is one that `make_directory` works in."""
    return name.endswith(_GROUP)


def make_directory(path: Path, name: str, data: bytes) -> None:
    """Make the directory of a group with its document, so that nobody ever sees it without.

    Another may make the same meanwhile: that one stays. What killed ones left is removed.
    """
    with Writing(path, len(data)), Lock(path.parent, patience=PATIENCE) as alone:
        # who makes one holds the same lock, so what is there then is a killed one's
        for left in _partial(path.parent, path.name, _GROUP) if alone.held else ():
            shutil.rmtree(left, ignore_errors=True)
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{_GROUP}")
        try:
            beside.mkdir()
            write_file(beside / name, data)
            beside.rename(path)
        except BaseException as error:
            shutil.rmtree(beside, ignore_errors=True)
            if not (isinstance(error, OSError) and (path / name).exists()):
                raise
