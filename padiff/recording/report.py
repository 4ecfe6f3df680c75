"""What a model's runs have left to be dumped, until it is cleared."""

import itertools
from collections import Counter
from typing import Protocol

from padiff.recording.draft import Draft
from padiff.recording.spool import Spool

__all__ = ["Report"]


class _Awaiting(Protocol):
    saw_gradients: bool

    def release(self) -> None: ...


class Report:
    """The finished calls of the model, in order, and the runs that still await gradients."""

    def __init__(self) -> None:
        self._awaiting: list[_Awaiting] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything recorded; gradients of past runs are no longer waited for."""
        self.release()
        self.roots: list[Draft] = []
        self.spool = Spool()
        self._calls: Counter[str] = Counter()
        self._orders = itertools.count()

    def next_order(self) -> int:
        """The number of the event that happens now."""
        return next(self._orders)

    def add(self, run: _Awaiting, root: Draft) -> None:
        """Take over a call that has succeeded, and number the calls of its layers."""
        for draft in root.walk():
            draft.call = self._calls[draft.route]
            self._calls[draft.route] += 1
        self.roots.append(root)
        self._awaiting.append(run)

    def release(self, *, only_with_gradients: bool = False) -> None:
        """Take the hooks off the tensors of all runs, or of those a backward pass has reached."""
        waiting = []
        for run in self._awaiting:
            if only_with_gradients and not run.saw_gradients:
                waiting.append(run)
            else:
                run.release()
        self._awaiting = waiting
