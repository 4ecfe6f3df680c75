"""Recording one call of the model: which layers ran, in which order, with which tensors."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from padiff.frameworks.base import Framework, Layer, Tensor
from padiff.frameworks.interception import Args, Kwargs
from padiff.recording.boundary import Boundary
from padiff.recording.capture import describe, host_tensor
from padiff.recording.draft import Captured, Draft
from padiff.recording.gradients import Gradients
from padiff.recording.origins import Origins
from padiff.recording.parameters import sample_parameters
from padiff.recording.report import Report
from padiff.recording.source import lines_here
from padiff.recording.structure import Found, find_in_arguments, find_in_result, with_tensors
from padiff.tree import MAX_DEPTH, Phase

__all__ = ["Run"]


class Run:
    """One call of the model, and the backward passes through what it computed.

    Calls of layers in other threads than the caller's are not recorded, nor are those that a
    backward pass makes (checkpointing runs a forward twice). A call that raises leaves nothing.
    A `boundary` stands between each layer and those around it.
    """

    def __init__(
        self,
        framework: Framework,
        report: Report,
        *,
        inputs: bool,
        boundary: Boundary | None = None,
    ) -> None:
        self._framework = framework
        self._report = report
        self._inputs = inputs
        self._boundary = boundary
        self._stack: list[Draft] = []
        self._gradients = Gradients(framework)
        self._origins = Origins(framework)
        # what gives containers their own tensors back after a call, by the id of its draft
        self._put_back: dict[int, list[Callable[[], None]]] = {}
        self._given: set[int] = set()  # ids of what the model is given, while it runs
        self._root: Draft | None = None
        self._root_entered = False
        self._thread = threading.get_ident()
        self._pass = framework.backward_pass()

    def call(
        self,
        layers: Mapping[str, Layer],
        args: Args,
        kwargs: Kwargs,
        run: Callable[..., Any] | None = None,
    ) -> Any:
        """Call the model, which is `layers[""]`, and record it and the other `layers`.

        With `run`, which runs the model, it was called already.
        """
        self._root_entered = run is not None
        run = layers[""] if run is None else run
        observing: list[Callable[[], None]] = []
        try:
            for route, layer in layers.items():
                observer = _LayerObserver(self, route, layer)
                observing.append(self._framework.observe(layer, observer))
                if not route:
                    root = observer
            begun = self.begin(root, args, kwargs)
            assert begun is not None
            self._root, args, kwargs = begun
            result = self.end(self._root, run(*args, **kwargs))
        except BaseException:
            self._gradients.release()
            raise
        finally:
            for remove in observing:
                remove()
            self._origins.release()
        self._report.add(self._gradients, self._root)
        self._report.parameters = sample_parameters(self._framework, layers.values())
        return result

    def begin(
        self, layer: "_LayerObserver", args: Args, kwargs: Kwargs
    ) -> tuple[Draft, Args, Kwargs] | None:
        """A layer is called; None when the call is none of this recording's."""
        if threading.get_ident() != self._thread:
            return None
        if self._framework.backward_pass() != self._pass:
            return None
        if self._root is not None and not layer.route and not self._root_entered:
            self._root_entered = True  # the call that `call` makes, begun already
            return None
        draft = Draft(
            name=type(layer.layer).__name__,
            route=layer.route,
            repr=layer.describe(),
            order=self._report.next_order(),
            lines=lines_here(self._framework.directory),
            training=self._framework.is_training(layer.layer),
        )
        is_model = not self._stack
        if not is_model:
            # a tree deeper than any reader takes grows in breadth instead
            self._stack[min(len(self._stack), MAX_DEPTH) - 1].children.append(draft)
        self._stack.append(draft)
        found = self._find(draft, "input", lambda is_: find_in_arguments(args, kwargs, is_))
        if self._root is None:
            self._given.update(id(tensor) for _, tensor in found.tensors)
        for place, tensor in found.tensors:
            if self._inputs or is_model:
                self._capture(draft, "input", place, tensor)
        handed: Mapping[int, Tensor] = {}
        if self._boundary is not None:
            handed = self._boundary.entering(draft, found.tensors, is_model=is_model)
            put_back = self._put_back[id(draft)] = []
            args = with_tensors(args, handed, put_back)
            kwargs = with_tensors(dict(kwargs), handed, put_back)
        for place, tensor in found.tensors:
            awaits = self._await_gradient(draft, "backward", place, tensor, handed)
            if awaits is not None:
                draft.awaits[place] = awaits
        if self._boundary is None or not self._boundary.cuts_graph:
            self._note_origins(draft, found.tensors)
        return draft, args, kwargs

    def end(self, draft: Draft, result: object) -> object:
        """The call returned: its results are captured before anything can change them."""
        found = self._find(draft, "forward", lambda is_: find_in_result(result, is_))
        for place, tensor in found.tensors:
            self._capture(draft, "forward", place, tensor)
        handed: Mapping[int, Tensor] = {}
        if self._boundary is not None:
            handed = self._boundary.leaving(draft, found.tensors)
            result = with_tensors(result, handed, [])
        if draft is self._root or (self._boundary is not None and self._boundary.of_outputs):
            for place, tensor in found.tensors:
                self._await_gradient(draft, "grad_output", place, tensor, handed)
        self._leave(draft)
        return result

    def fail(self, draft: Draft, error: BaseException) -> None:
        """The call raised; should the model go on all the same, the tree says why it is partial."""
        draft.refuse("forward", "", f"the layer raised {type(error).__name__}")
        self._leave(draft)

    def _leave(self, draft: Draft) -> None:
        for put_back in self._put_back.pop(id(draft), ()):
            put_back()
        # an interrupt may have come between a layer's beginning and its being followed
        while self._stack and self._stack.pop() is not draft:
            pass

    def _find(
        self, draft: Draft, phase: Phase, find: Callable[[Callable[[object], bool]], Found]
    ) -> Found:
        try:
            found = find(self._framework.is_tensor)
        except Exception as error:  # containers are the user's code, and may do anything
            draft.refuse(phase, "", str(error)[:200])
            return Found([], [])
        for place, reason in found.refused:
            draft.refuse(phase, place, reason)
        return found

    def _capture(self, draft: Draft, phase: Phase, place: str, tensor: Tensor) -> Captured | None:
        host = host_tensor(self._framework, tensor)
        if isinstance(host, str):
            draft.refuse(phase, place, host)
            return None
        leaf = f"{phase}.{place}"
        kept = self._report.keep(leaf, host.values)
        if kept is None:
            draft.refuse(phase, place, "there was no room for it")
            return None
        order = self._report.next_order()
        captured = Captured(phase, place, kept, host.device, order, leaf)
        draft.tensors.append(captured)
        return captured

    def _await_gradient(
        self,
        draft: Draft,
        phase: Phase,
        place: str,
        tensor: Tensor,
        handed: Mapping[int, Tensor],
    ) -> bool | None:
        """Have the gradient of a tensor captured; whether it asks for one, None if not known.

        Where another is `handed` on in its place, of that one.
        """
        if isinstance(tensor, np.ndarray):
            return None
        total: Captured | None = None
        in_parts = False  # gradients of which the sum cannot be told

        def arrived(gradient: Tensor) -> None:
            nonlocal total, in_parts
            self._report.ran_backward = True
            if in_parts:
                return
            earlier, total = total, self._capture(draft, phase, place, gradient)
            if earlier is None:
                return
            draft.tensors.remove(earlier)
            if total is None:
                return
            if not self._report.spool.keeps_elements:
                in_parts = True
                draft.tensors.remove(total)
                draft.refuse(phase, place, "statistics of its parts do not give those of its sum")
                return
            # several backward passes: their sum, as in a parameter
            kept = self._report.add_up(total.leaf, earlier.kept, total.kept)
            if kept is None:
                in_parts = True
                draft.tensors.remove(total)
                draft.refuse(phase, place, "there was no room for it")
            else:
                total.kept = kept

        try:
            if id(tensor) in handed:
                return self._gradients.wait(handed[id(tensor)], arrived, given=False)
            given = id(tensor) in self._given or self._framework.is_leaf(tensor)
            return self._gradients.wait(tensor, arrived, given=given)
        except Exception as error:  # as above: a tensor that takes no hook
            draft.refuse(phase, place, str(error)[:200])
            return None

    def _note_origins(self, draft: Draft, tensors: Sequence[tuple[str, Tensor]]) -> None:
        if self._root is None:
            # with those of which it is not known whether they ask, but arrays never do
            asks, is_tensor = draft.awaits, self._framework.is_tensor
            given = ((place, t) for place, t in tensors if asks.get(place, is_tensor(t)))
            self._origins = Origins(self._framework, given)
        for place, tensor in tensors:
            if draft.awaits.get(place):
                origins = self._origins.of(tensor)
                if origins is not None:
                    draft.origins[place] = origins


class _LayerObserver:
    """What `Run` needs to know of a layer it observes."""

    def __init__(self, run: Run, route: str, layer: Layer) -> None:
        self._run = run
        self.route = route
        self.layer = layer
        self._repr: str | None = None

    def begin(self, args: Args, kwargs: Kwargs) -> tuple[Draft, Args, Kwargs] | None:
        return self._run.begin(self, args, kwargs)

    def end(self, token: Any, result: object) -> object:
        return self._run.end(token, result)

    def fail(self, token: Any, error: BaseException) -> None:
        self._run.fail(token, error)

    def describe(self) -> str:
        """The layer's class and settings, without what lies inside it."""
        if self._repr is None:
            self._repr = describe(self.layer)
        return self._repr
