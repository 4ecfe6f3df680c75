"""One model's recording: its report, and the sections that are dumped of it and the parameters."""

import threading
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, get_args

from numpy.typing import NDArray

from padiff.errors import UsageError
from padiff.frameworks.base import Framework, Tensor
from padiff.frameworks.interception import Args, Kwargs
from padiff.recording.background import Background
from padiff.recording.boundary import Boundary
from padiff.recording.capture import host_tensor
from padiff.recording.draft import Captured, Draft
from padiff.recording.dump import Contents, Reader, write_dump
from padiff.recording.memory import MEMORY_LIMIT, Memory, bytes_in
from padiff.recording.recorder import Run
from padiff.recording.report import Report
from padiff.recording.selection import Selection
from padiff.recording.spool import InMemory, Kept, Room, Spool, Tensors
from padiff.store.address import Location
from padiff.store.format import SectionName
from padiff.store.spill import Spill
from padiff.store.storage import DEFAULT, Storage

__all__ = ["Keeping", "Recording"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """What becomes of captured tensors between a run and its dump.

    `memory_limit` is in bytes. `tensors` says whether the elements are kept. With `background`
    dumps are written while the model goes on.
    """

    memory_limit: int = bytes_in(MEMORY_LIMIT)
    tensors: Tensors = "full"
    background: bool = False

    def __post_init__(self) -> None:
        if self.tensors not in get_args(Tensors):
            known = " or ".join(map(repr, get_args(Tensors)))
            raise UsageError(f"expected tensors to be {known}, got {self.tensors!r}")


class Recording:
    """What a model did while it was recorded, until it is cleared; all that it dumps is of one run.

    `roots` are the model's calls. `home` tells where dumps go that are given no place;
    it must not hold on to this.
    """

    def __init__(
        self,
        name: str,
        framework: Framework,
        selection: Selection,
        home: Callable[[], Location],
        *,
        storage: Storage = DEFAULT,
        keeping: Keeping = Keeping(),
    ) -> None:
        self._framework = framework
        self._selection = selection
        self._reader = Reader(name, framework, selection, uuid.uuid4().hex, keeping.tensors)
        self._storage = storage
        memory = Memory(keeping.memory_limit)
        self._room = Room(memory, keeping.tensors, storage, home)
        self._background = Background() if keeping.background else None
        self._report = Report(self._room)
        weakref.finalize(self, self._report.release).atexit = False
        self._inside: set[int] = set()  # threads that are inside a recorded call

    @property
    def roots(self) -> list[Draft]:
        return self._report.roots

    def expect_dumps_at(self, location: Location) -> None:
        """The next dump will go there: what has to be spilled before lies beside it."""
        self._room.place = location

    def call(
        self,
        args: Args,
        kwargs: Kwargs,
        *,
        inputs: bool,
        boundary: Boundary | None = None,
        run: Callable[..., Any] | None = None,
    ) -> Any:
        """Call the model and record it; a call from inside of another is that one's.

        `run` goes on with a call of the model that somebody else has made.
        """
        watched = self._selection.watched()
        thread = threading.get_ident()
        if thread in self._inside:
            return (run or watched[""])(*args, **kwargs)
        self._inside.add(thread)
        try:
            recorded = Run(self._framework, self._report, inputs=inputs, boundary=boundary)
            return recorded.call(watched, args, kwargs, run)
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
        values = host.values.reshape(()) if host.values.size == 1 else host.values
        place = str(sum(captured.phase == "loss" for captured in root.tensors))
        leaf = f"loss.{place}"
        kept = self._report.keep(leaf, values)
        if kept is not None:
            order = self._report.next_order()
            root.tensors.append(Captured("loss", place, kept, host.device, order, leaf))

    def clear(self) -> None:
        """Forget everything recorded so far."""
        spill = self._report.spool.spill
        self._report.clear()
        if spill is not None and self._background is not None:
            self._background.submit(spill.close)  # once no dump needs it any more
        elif spill is not None:
            spill.close()

    def dump_step(self, location: Location, *, step: int) -> None:
        """Write what was recorded and the parameters as one step, visible together.

        The report is to be cleared then: what was spilled of it is moved.
        """
        sections = [self._read_report()]
        parameters, spool = self._read_parameters("params")
        spilled, self._report.spool.spill = self._report.spool.spill, None
        self._write([*sections, parameters], location, step=step, spills=(spilled, spool.spill))

    def dump_report(self, location: Location, *, step: int | None) -> None:
        """Write what was recorded."""
        self._write([self._read_report()], location, step=step)

    def dump_parameters(
        self, section: SectionName, location: Location, *, step: int | None
    ) -> None:
        """Write `params`, `weights` or `grads` as they are now."""
        contents, spool = self._read_parameters(section)
        self._write([contents], location, step=step, spills=(spool.spill,))

    @property
    def background_error(self) -> BaseException | None:
        """What a dump in the background raised, the first of those that have not been told."""
        return None if self._background is None else self._background.error()

    def tell_background_error(self) -> None:
        """Raise that, and have it told."""
        assert self._background is not None
        error = self._background.error()
        assert error is not None
        self._background.told()
        raise error

    def flush(self) -> None:
        """Wait until all dumps are written."""
        if self._background is not None:
            self._background.flush()

    def _read_report(self) -> Contents:
        self._report.release_complete()
        if self._report.failure is not None:
            raise self._report.failure
        contents = self._reader.report(self._report)
        if self._background is None:
            return contents
        return replace(contents, drafts=[draft.copy() for draft in contents.drafts])

    def _read_parameters(self, section: SectionName) -> tuple[Contents, Spool]:
        """What a section of parameters will hold, and what keeps that until it is written."""
        spool = Spool(self._room)
        snapshot = self._background is not None or not spool.keeps_elements
        keep = spool.keep if snapshot else _as_it_is
        contents = self._reader.parameters(section, self._report.parameters, keep)
        if self._background is not None:
            contents = replace(contents, drafts=list(contents.drafts))
        return contents, spool

    def _write(
        self,
        sections: list[Contents],
        location: Location,
        *,
        step: int | None,
        spills: tuple[Spill | None, ...] = (),
    ) -> None:
        job = partial(
            write_dump,
            sections,
            location,
            step=step,
            rank=self._framework.rank(),
            storage=self._storage,
            spills=[spill for spill in spills if spill is not None],
        )
        self.expect_dumps_at(location)
        if self._background is None:
            job()
        else:
            self._background.submit(job)


def _as_it_is(leaf: str, values: NDArray[Any], dims: tuple[str, ...] | None) -> Kept:
    """What is written before anything changes it need not be copied."""
    return InMemory(values)
