"""Recording the steps of a loop that somebody else owns: `record`."""

import functools
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self, Unpack, get_args

from padiff.errors import OccupiedError, PadiffError, PadiffWarning, UsageError
from padiff.frameworks.interception import Args, Kwargs
from padiff.frameworks.stepping import Closure
from padiff.keywords import check_keywords
from padiff.model import Options, create_model
from padiff.proxy import ProxyModel
from padiff.store.address import Location, below
from padiff.store.placing import locate_for_writing
from padiff.store.reader import open_dumps
from padiff.store.storage import Format

__all__ = ["LoopRecording", "ToldBy", "record"]

ToldBy = Literal["optimizer", "forward"]

_MANY = 1000  # calls of one step, before it is said that nothing has ended it


def record(
    model: Any,
    location: Location,
    *,
    every: int = 1,
    step: ToldBy = "optimizer",
    **options: Unpack[Options],
) -> "LoopRecording":
    """Record what a loop does with a torch or paddle model, without a change to the loop.

        with padiff.record(model, "run.zarr", every=10):
            trainer.train()

    The loop calls the model itself, or what wraps it. The steps 0, `every`, 2 * `every` and so on
    are recorded and dumped to `location` as `step_<n>`, with report and params; of the others only
    the calls are counted. Nothing that the loop computes changes, and when the `with` is left, in
    whatever way, nothing of ours is on the model, its class or an optimizer. The other `options`
    are those of `create_model`.

    With `step="optimizer"` a step ends when an optimizer over parameters of the model is about to
    step, whoever made it and whenever: the report holds all calls of the step and what their
    backward passes brought, params the gradients and the weights that the optimizer begins with.
    Of a closure that is when it has run for the first time; what it runs after that is not
    recorded. An optimizer that steps when the model was not called since the last step belongs to
    that step. Calls that no backward can follow (`no_grad`) are none of a step, nor are those that
    a backward pass makes (checkpointing).

    With `step="forward"` each call of the model is a step, dumped when it returns; a call from
    inside of another is that one's.

    Calls that no optimizer's step has followed when the `with` ends are dumped as a step all the
    same, with a PadiffWarning; when it is left by an error or by Ctrl-C they are left out. That
    nothing was recorded at all is a PadiffWarning, too.

    Raises UsageError for what no loop can be recorded with, OccupiedError when `location` holds
    dumps already, TypeError when `model` is of neither framework, or for another option; while the
    loop runs, what a dump raises, unless `on_error` is `warn`.
    """
    check_keywords("padiff.record", options, {"every", "step", *Options.__annotations__})
    if type(every) is not int or every < 1:
        raise UsageError(f"expected every to be a whole number from 1, got {every!r}")
    if step not in get_args(ToldBy):
        known = " or ".join(map(repr, get_args(ToldBy)))
        raise UsageError(f"expected step to be {known}, got {step!r}")
    proxy = create_model(model, **options)
    _check_free(location, options.get("format"), proxy._framework.rank())
    proxy._recording.expect_dumps_at(location)
    return LoopRecording(proxy, location, every, step)


class LoopRecording:
    """What `with record(...) as recording` gives, from which the loop need not take anything.

    `step` is the number of the step that is going on, `dumped` are the locations of those that were
    dumped. `model` is the ProxyModel that records: its lists of layers and its layer map are to be
    set before the loop begins.
    """

    def __init__(self, proxy: ProxyModel, location: Location, every: int, told_by: ToldBy) -> None:
        self.model = proxy
        self.location = location
        self.step = 0
        self.dumped: list[Location] = []
        self._framework = proxy._framework
        self._every = every
        self._told_by = told_by
        self._calls = 0  # of this step
        self._without_graph = 0  # calls that no backward could follow
        self._inside: set[int] = set()  # threads that are inside a call
        self._closure_goes_on = False
        self._pass = 0
        self._trains: weakref.WeakSet[Any] = weakref.WeakSet()  # optimizers of the model
        self._watching: ExitStack | None = None

    def __enter__(self) -> Self:
        if self._watching is not None:
            raise UsageError("expected a recording that was not used yet: call padiff.record again")
        self._pass = self._framework.backward_pass()
        with ExitStack() as stack:
            self._watching = stack
            stack.callback(self._framework.surround(self.model.model, self._call))
            if self._told_by == "optimizer":
                stack.callback(self._framework.before_steps(self._before_step))
            self._watching = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._watching is not None
        self._watching.close()
        if kind is None:
            try:
                self._end_loop()
            finally:
                self.model.flush()
        else:
            self.model.clear_report()
            self.model._recording.flush()  # what that raised must not take this error's place

    def __del__(self) -> None:
        if self._watching is None:
            warnings.warn(
                f"expected a loop in `with padiff.record(...):`, got a recording of "
                f"{self.model.name} that was never entered, so nothing lies at {self.location}",
                PadiffWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"<LoopRecording of {self.model.name} in {self.location}, step {self.step}>"

    def _call(self, run: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        """Make a call of the model, as part of the step that is going on."""
        if self._framework.is_traced() or not self._counts():
            return run(*args, **kwargs)
        thread = threading.get_ident()
        self._inside.add(thread)
        try:
            if self.step % self._every:
                result = run(*args, **kwargs)
            else:
                result = self.model._continue(run, args, kwargs)
        finally:
            self._inside.discard(thread)
        self._calls += 1
        if self._told_by == "forward":
            self._end_step()
        elif self._calls == _MANY and not self.step:
            self._warn(
                f"expected an optimizer over parameters of {self.model.name} to step, got {_MANY} "
                "calls without: they are recorded as one step until one does, so give record "
                "step='forward', which makes each a step, or the model that is trained"
            )
        return result

    def _counts(self) -> bool:
        """Whether a call that is made now is one of a step."""
        if self._closure_goes_on or threading.get_ident() in self._inside:
            return False
        if self._framework.backward_pass() != self._pass:
            return False
        if self._told_by == "optimizer" and not self._framework.keeps_graph():
            self._without_graph += 1
            return False
        return True

    def _before_step(self, optimizer: Any, closure: Closure | None) -> Closure | None:
        """An optimizer is about to step, of whatever model."""
        if closure is None and not self._calls:
            return None
        if self._closure_goes_on or threading.get_ident() in self._inside:
            return closure
        if not self._is_ours(optimizer):
            return closure
        if closure is not None:
            return self._ending(closure)
        self._end_step()
        return None

    def _is_ours(self, optimizer: Any) -> bool:
        """Whether it changes a parameter of the model."""
        if optimizer in self._trains:
            return True
        own = {
            id(parameter)
            for _, layer in self._framework.named_layers(self.model.model)
            for _, parameter in self._framework.parameters(layer)
        }
        if any(id(parameter) in own for parameter in self._framework.optimized(optimizer)):
            self._trains.add(optimizer)
            return True
        return False

    def _ending(self, closure: Closure) -> Closure:
        """The closure, which ends the step when it has run once.

        What runs then is with weights that the optimizer has begun to change.
        """
        ran = False

        @functools.wraps(closure)
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal ran
            if not ran:
                result = closure(*args, **kwargs)
                ran = True
                self._end_step()
                return result
            self._closure_goes_on = True
            try:
                return closure(*args, **kwargs)
            finally:
                self._closure_goes_on = False

        return run

    def _end_step(self) -> None:
        """Dump the step if it is one of those, and go on to the next."""
        if not self._calls:
            return
        step = self.step
        self.step, self._calls = step + 1, 0
        if step % self._every:
            return
        with self.model._telling():
            try:
                with self.model._failing:
                    self.model._recording.dump_step(self.location, step=step)
                    self.dumped.append(below(self.location, f"step_{step}"))
            finally:
                self.model.clear_report()

    def _end_loop(self) -> None:
        """The loop is over: what was recorded, and no step has ended, is dumped, too."""
        step, calls, name = self.step, self._calls, self.model.name
        if calls and step % self._every == 0:
            self._end_step()
            self._warn(
                f"expected an optimizer over parameters of {name} to step after its last call, "
                f"found none at the end of the loop: what {_calls(calls)} did is step {step}, and "
                "record with step='forward' makes each call a step"
            )
        elif not step and self._without_graph:
            self._warn(
                f"expected calls of {name} that a backward can follow, got "
                f"{_calls(self._without_graph)} under no_grad, and nothing was recorded: give "
                "record step='forward' for a loop without an optimizer"
            )
        elif not step:
            self._warn(
                f"expected the loop to call {name}, got no call that can be seen, and nothing was "
                "recorded: give record the very object that is called, a compiled model as "
                "torch.compile returned it, and call that itself, not its forward or its layers"
            )

    def _warn(self, text: str) -> None:
        warnings.warn(text, PadiffWarning, stacklevel=4)


def _check_free(location: Location, backend: Format | None, rank: int | None) -> None:
    """Raise what keeps steps from being dumped there, such as those of an earlier run."""
    locate_for_writing(location, step=0, rank=rank, backend=backend)
    try:
        dumps = open_dumps(location).dumps
    except PadiffError:  # nothing, or something that who dumps will speak of
        return
    mine = [dump for (_, of), dump in dumps.items() if rank is None or of in (None, rank)]
    if mine:
        more = ", ..." if len(mine) > 3 else ""
        raise OccupiedError(
            f"expected no dumps at {location}, where those of a loop are to go, found "
            f"{', '.join(dump.location for dump in mine[:3])}{more}: choose another place, or "
            "remove them first"
        )


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"
