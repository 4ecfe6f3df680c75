"""Dumps that are written while the model goes on."""

import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from padiff.errors import PadiffWarning

__all__ = ["Background"]

_Pending = deque[Future[None]]


class Background:
    """Does one job after another in a thread of its own.

    The process does not end before all are done. An error that nobody asked for by then is a
    PadiffWarning.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "padiff-dump")
        self._pending: _Pending = deque()
        # before the interpreter begins to end, when no thread can be given work any more: there is
        # no public name for that moment
        threading._register_atexit(wait, self._pending)  # type: ignore[attr-defined]
        weakref.finalize(self, _tell, self._pending)

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job done once those before it are."""
        self._pending.append(self._thread.submit(job))

    def check(self) -> None:
        """Raise what a job that has ended raised, once."""
        while self._pending and self._pending[0].done():
            self._pending.popleft().result()

    def flush(self) -> None:
        """Wait for all jobs; raise what the first of them that failed raised."""
        wait(self._pending)
        self.check()


def _tell(pending: _Pending) -> None:
    """Warn of errors nobody will ask for, as soon as they are known."""
    for future in pending:
        future.add_done_callback(_warn)


def _warn(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        warnings.warn(f"a dump in the background failed: {error}", PadiffWarning, stacklevel=2)
