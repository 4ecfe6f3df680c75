"""What a model's runs have left to be dumped, until it is cleared."""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.errors import PadiffError
from padiff.recording.draft import Draft
from padiff.recording.gradients import Gradients
from padiff.recording.parameters import Sample
from padiff.recording.spool import Kept, Room, Spool

__all__ = ["Report"]


class Report:
    """The finished calls of the model, in order, and the runs that still await gradients."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._awaiting: list[Gradients] = []
        self.roots: list[Draft] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything recorded; gradients of past runs are no longer waited for."""
        self.release()
        for root in self.roots:
            for draft in root.walk():  # whoever still holds it, nobody needs their memory
                draft.tensors.clear()
        self.roots = []
        self.spool = Spool(self._room)
        self.failure: PadiffError | None = None  # of the first tensor that could not be kept
        self.parameters = Sample(())  # after the last call
        self.ran_backward = False
        self._calls: Counter[str] = Counter()
        self._orders = itertools.count()

    def next_order(self) -> int:
        """The number of the event that happens now."""
        return next(self._orders)

    def keep(self, leaf: str, values: NDArray[Any]) -> Kept | None:
        """Hold on to the elements of a tensor; None when there is no room for them.

        Who dumps the report is told then: the model must run on.
        """
        try:
            return self.spool.keep(leaf, values)
        except PadiffError as error:
            self.failure = self.failure or error
            return None

    def add_up(self, leaf: str, earlier: Kept, later: Kept) -> Kept | None:
        """The same of the sum of two tensors."""
        try:
            with np.errstate(all="ignore"):
                values = earlier.values() + later.values()
        except PadiffError as error:  # one is on the disk
            self.failure = self.failure or error
            return None
        return self.keep(leaf, values)

    def add(self, gradients: Gradients, root: Draft) -> None:
        """Take over a call that has succeeded, and number the calls of its layers."""
        for draft in root.walk():
            draft.call = self._calls[draft.route]
            self._calls[draft.route] += 1
        self.roots.append(root)
        self._awaiting.append(gradients)

    @contextmanager
    def backward_pass(self, *, frees_graph: bool) -> Iterator[None]:
        """A pass through what was recorded, by ProxyModel; when it raises, none is awaited more."""
        for gradients in self._awaiting:
            gradients.begin_pass()
        try:
            yield
        except BaseException:
            self.release()
            raise
        for gradients in self._awaiting:
            gradients.end_pass(frees_graph=frees_graph)
        self.ran_backward = True
        if frees_graph:
            self.release_complete()

    def release_complete(self) -> None:
        """Take the hooks off the tensors of runs that have had all their gradients."""
        self._awaiting = [gradients for gradients in self._awaiting if not gradients.is_over()]

    def release(self) -> None:
        """Take the hooks off the tensors of all runs."""
        for gradients in self._awaiting:
            gradients.release()
        self._awaiting = []
