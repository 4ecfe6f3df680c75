"""One model's recording: its report, and the sections that are dumped of it and the parameters."""

import threading
import uuid
import weakref
from typing import Any

import numpy as np

from padiff.frameworks.base import Framework, Tensor
from padiff.frameworks.interception import Args, Kwargs
from padiff.recording.boundary import Boundary
from padiff.recording.capture import host_tensor
from padiff.recording.draft import Captured, Draft
from padiff.recording.dump import Dumper
from padiff.recording.recorder import Run
from padiff.recording.report import Report
from padiff.recording.selection import Selection
from padiff.store.format import SectionName
from padiff.store.location import Location
from padiff.store.storage import DEFAULT, Storage

__all__ = ["Recording"]


class Recording:
    """What a model did while it was recorded, until it is cleared; all that it dumps is of one run.

    `roots` are the model's calls.
    """

    def __init__(
        self,
        name: str,
        framework: Framework,
        selection: Selection,
        storage: Storage = DEFAULT,
    ) -> None:
        self._framework = framework
        self._selection = selection
        self._dumper = Dumper(name, framework, selection, uuid.uuid4().hex, storage)
        self._report = Report()
        weakref.finalize(self, self._report.release).atexit = False
        self._inside: set[int] = set()  # threads that are inside a recorded call

    @property
    def roots(self) -> list[Draft]:
        return self._report.roots

    def call(
        self, args: Args, kwargs: Kwargs, *, inputs: bool, boundary: Boundary | None = None
    ) -> Any:
        """Call the model and record it; a call from inside of another is that one's."""
        watched = self._selection.watched()
        thread = threading.get_ident()
        if thread in self._inside:
            return watched[""](*args, **kwargs)
        self._inside.add(thread)
        try:
            run = Run(self._framework, self._report, inputs=inputs, boundary=boundary)
            return run.call(watched, args, kwargs)
        finally:
            self._inside.discard(thread)

    def backward(self, loss: Tensor, *, retain_graph: bool) -> None:
        """Run the backward pass from `loss`, which is recorded with the model's last call."""
        if not self._framework.is_tensor(loss):
            raise TypeError(
                f"expected a {self._framework.name} tensor as loss, got {type(loss)}: give what "
                "the loss function returned"
            )
        self.note_loss(loss)
        with self._report.backward_pass(frees_graph=not retain_graph):
            self._framework.backward(loss, retain_graph=retain_graph)

    def replay_backward(self, boundary: Boundary) -> None:
        """Run the backward passes that a boundary has cut off from the loss."""
        with self._report.backward_pass(frees_graph=True):
            boundary.backward()

    def note_loss(self, loss: Tensor) -> None:
        """Record a loss with the model's last call."""
        host = host_tensor(self._framework, loss)
        if isinstance(host, str) or not self._report.roots:
            return
        root = self._report.roots[-1]
        # a scalar, which one framework's losses are and the other's have an axis for
        values = np.array(host.values.reshape(()) if host.values.size == 1 else host.values)
        place = str(sum(captured.phase == "loss" for captured in root.tensors))
        kept = self._report.spool.keep(values)
        root.tensors.append(Captured("loss", place, kept, host.device, self._report.next_order()))

    def clear(self) -> None:
        """Forget everything recorded so far."""
        self._report.clear()

    def dump_step(self, location: Location, *, step: int) -> None:
        """Write what was recorded and the parameters as one step, visible together."""
        self._report.release_complete()
        self._dumper.step(self._report, location, step=step, sample=self._report.parameters)

    def dump_report(self, location: Location, *, step: int | None) -> None:
        """Write what was recorded."""
        self._report.release_complete()
        self._dumper.report(self._report, location, step=step)

    def dump_parameters(
        self, section: SectionName, location: Location, *, step: int | None
    ) -> None:
        """Write `params`, `weights` or `grads` as they are now."""
        self._dumper.parameters(section, location, step=step, sample=self._report.parameters)
