"""Dumps that are written while the model goes on."""

import os
import signal
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial

from padiff.errors import PadiffWarning

__all__ = ["Background"]

_Pending = deque[Future[None]]
_SILENT = 1.0  # seconds


class Background:
    """Does one job after another in a thread of its own.

    The process does not end before all are done, but for what an interrupt leaves out then. An
    error that nobody asked for by then is a PadiffWarning.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._thread = ThreadPoolExecutor(1, "padiff-dump")
        self._pending: _Pending = deque()
        # before the interpreter begins to end, when no thread can be given work any more: there is
        # no public name for that moment
        end = partial(_finish, self._process, self._pending)
        threading._register_atexit(end)  # type: ignore[attr-defined]
        weakref.finalize(self, _tell, self._process, self._pending)

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job done once those before it are."""
        if os.getpid() != self._process:  # a fork has none of its parent's threads
            self._begin()
        self._pending.append(self._thread.submit(job))

    def error(self) -> BaseException | None:
        """What the first job that failed raised, of those that have ended, until it is told."""
        if os.getpid() != self._process:
            return None
        while self._pending and self._pending[0].done():
            error = self._pending[0].exception()
            if error is not None:
                return error
            self._pending.popleft()
        return None

    def told(self) -> None:
        """Somebody has heard of that error."""
        self._pending.popleft()

    def flush(self) -> None:
        """Wait for all jobs."""
        if os.getpid() == self._process:  # a fork would wait for its parent's for ever
            wait(list(self._pending))


def _finish(process: int, pending: _Pending) -> None:
    """Wait for all jobs at the end of the process.

    It must not end while a thread writes: what is removed at the end would go from under it. So an
    interrupt keeps jobs from being begun, and what is being written is finished.
    """
    if os.getpid() != process:
        return
    try:
        if wait(list(pending), _SILENT).not_done:
            left = sum(not job.done() for job in pending)
            _say(
                f"{left} dumps are still to be written before the process ends; Ctrl-C leaves out "
                "those that have not begun"
            )
            wait(list(pending))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        left = sum(job.cancel() for job in list(pending))
        _say(f"{left} dumps are left out, the one that was begun is finished")
        wait(list(pending))


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"padiff: {text}\n")
        sys.stderr.flush()


def _tell(process: int, pending: _Pending) -> None:
    """Warn of errors nobody will ask for, as soon as they are known."""
    for future in list(pending) if os.getpid() == process else ():
        future.add_done_callback(partial(_warn, pending))


def _warn(pending: _Pending, future: Future[None]) -> None:
    with suppress(ValueError):  # it holds on to all that was to be written
        pending.remove(future)
    error = None if future.cancelled() else future.exception()
    if error is not None:
        warnings.warn(f"a dump in the background failed: {error}", PadiffWarning, stacklevel=2)
