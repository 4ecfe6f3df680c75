"""Dumps that are written while the model goes on."""

import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from padiff.errors import PadiffWarning

__all__ = ["Background"]

_Pending = deque[Future[None]]


class Background:
    """Does one job after another in a thread of its own.

    The process does not end before all are done. An error that nobody asked for by then is a
    PadiffWarning.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._thread = ThreadPoolExecutor(1, "padiff-dump")
        self._pending: _Pending = deque()
        # before the interpreter begins to end, when no thread can be given work any more: there is
        # no public name for that moment
        end = partial(_wait, self._process, self._pending)
        threading._register_atexit(end)  # type: ignore[attr-defined]
        weakref.finalize(self, _tell, self._process, self._pending)

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job done once those before it are."""
        if os.getpid() != self._process:  # a fork has none of its parent's threads
            self._begin()
        self._pending.append(self._thread.submit(job))

    def take_error(self) -> BaseException | None:
        """What the first job that failed raised, of those that have ended; each is told once."""
        if os.getpid() != self._process:
            return None
        while self._pending and self._pending[0].done():
            error = self._pending.popleft().exception()
            if error is not None:
                return error
        return None

    def flush(self) -> None:
        """Wait for all jobs."""
        _wait(self._process, self._pending)


def _wait(process: int, pending: _Pending) -> None:
    """Wait for all jobs of this process: a fork would wait for its parent's for ever."""
    if os.getpid() == process:
        wait(pending)


def _tell(process: int, pending: _Pending) -> None:
    """Warn of errors nobody will ask for, as soon as they are known."""
    for future in pending if os.getpid() == process else ():
        future.add_done_callback(_warn)


def _warn(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        warnings.warn(f"a dump in the background failed: {error}", PadiffWarning, stacklevel=2)
