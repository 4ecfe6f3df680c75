"""Waiting for the gradients of one run's tensors, and knowing those of another's."""

import itertools
from collections.abc import Callable

from padiff.frameworks.base import Framework, Tensor

__all__ = ["Gradients"]


class Gradients:
    """The hooks of one run on tensors.

    What comes through a tensor that the run made is the run's, whoever started the pass. One that
    the model was `given`, or a parameter, other models and other calls may have too: its gradient
    counts once some tensor that the run made has had one in the same pass, for what is made of an
    input has its gradient before it. In passes that the user runs that is so once the run has
    `settled`, when a pass of ours has freed its graph; until then all that they bring is taken.
    """

    def __init__(self, framework: Framework) -> None:
        self._framework = framework
        self._removers: list[Callable[[], None]] = []
        self._numbers = itertools.count()
        self._told: dict[int, Callable[[Tensor], None]] = {}
        self._pending: set[int] = set()  # tensors that no gradient has reached
        self._made_any = False
        self._settled = False
        self._in_pass = False
        # passes in which a tensor that the run made has had a gradient; None is the present one of
        # ours, with all that it runs within itself, as checkpointing does
        self._touched: set[int | None] = set()
        self.reached = False

    def wait(self, tensor: Tensor, arrived: Callable[[Tensor], None], *, given: bool) -> bool:
        """Have `arrived` see each gradient of the tensor; False when it asks for none."""
        if not self._framework.wants_gradient(tensor):
            return False
        number = next(self._numbers)

        # Where the tensor is gone but its graph is not, the hook cannot be removed: it holds
        # nothing of what was recorded.
        def hook(gradient: Tensor) -> None:
            if number in self._told and self._takes(given=given):
                self.reached = True
                self._pending.discard(number)
                self._told[number](gradient)

        self._removers.append(self._framework.on_gradient(tensor, hook))
        self._told[number] = arrived
        self._pending.add(number)
        self._made_any |= not given
        return True

    def _takes(self, *, given: bool) -> bool:
        if not self._in_pass and not self._settled:
            return True
        started = None if self._in_pass else self._framework.backward_pass()
        if not given:
            self._touched.add(started)
        return started in self._touched or not self._made_any

    def begin_pass(self) -> None:
        """A pass of the proxy's own starts: what it brings is taken."""
        self._in_pass = True
        self._touched.clear()

    def end_pass(self, *, frees_graph: bool) -> None:
        """The pass is over; if it freed the graph, most of what the run waits for has come."""
        self._in_pass = False
        self._settled = self._settled or (frees_graph and self.reached)

    def is_over(self) -> bool:
        """Whether every tensor has had its gradient; if so, no hook is left."""
        if not self._pending:
            self.release()
        return not self._removers

    def release(self) -> None:
        """Wait no more: no hook of this run is left on any tensor."""
        self._told.clear()
        while self._removers:
            self._removers.pop()()
