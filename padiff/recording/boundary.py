"""What stands between a layer and those around it, where layers are to be looked at one by one."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from math import prod
from typing import Any, Protocol

from numpy.typing import NDArray

from padiff.frameworks.base import Framework, Tensor
from padiff.recording.draft import Draft
from padiff.tree import Phase

__all__ = ["Aliases", "Boundary", "Recorded", "Replay", "Watch", "Writers"]

Tensors = Sequence[tuple[str, Tensor]]

# What was recorded for a call of a layer of this side: `(route, call, phase, place) -> values`.
Recorded = Callable[[str, int, Phase, str], NDArray[Any] | None]


class Boundary(Protocol):
    """Who decides what goes over the boundary of a layer in the place of a tensor, by its `id`.

    `cuts_graph` says that no tensor can be traced back to the model's inputs, `of_outputs` that the
    gradients of what layers return are recorded, too.
    """

    cuts_graph: bool
    of_outputs: bool

    def entering(self, draft: Draft, tensors: Tensors, *, is_model: bool) -> Mapping[int, Tensor]:
        """What the layer gets for those that it was given."""

    def leaving(self, draft: Draft, tensors: Tensors) -> Mapping[int, Tensor]:
        """What its caller gets for those that it returned."""

    def backward(self) -> None:
        """Run the backward passes that do not begin at the loss."""

    def restore(self) -> None:
        """Take back what was done to tensors that are not the run's own."""


class Writers:
    """The routes of layers that write to what they are given, found while they run.

    Nothing may stand between such a layer and its caller, who goes on with what it has written:
    those known before are let through.
    """

    def __init__(self, framework: Framework, known: Set[str]) -> None:
        self._framework = framework
        self._known = known
        self._given: dict[int, list[tuple[Tensor, int]]] = {}
        self.found: set[str] = set()

    def lets_through(self, draft: Draft) -> bool:
        return draft.route in self._known

    def note(self, draft: Draft, tensors: Iterable[Tensor]) -> None:
        """A layer begins to compute on these."""
        writes = self._framework.writes
        self._given[id(draft)] = [(t, writes(t)) for t in tensors if self._framework.is_tensor(t)]

    def look(self, draft: Draft) -> None:
        """It has returned."""
        for tensor, before in self._given.pop(id(draft), ()):
            if self._framework.writes(tensor) != before and draft.route not in self._known:
                self.found.add(draft.route)


class Watch:
    """Stands aside, and sees which layers write to what they are given."""

    cuts_graph = False
    of_outputs = False

    def __init__(self, framework: Framework) -> None:
        self.writers = Writers(framework, frozenset())

    def entering(self, draft: Draft, tensors: Tensors, *, is_model: bool) -> Mapping[int, Tensor]:
        self.writers.note(draft, [tensor for _, tensor in tensors])
        return {}

    def leaving(self, draft: Draft, tensors: Tensors) -> Mapping[int, Tensor]:
        self.writers.look(draft)
        return {}

    def backward(self) -> None:
        pass  # all of them begin at the loss

    def restore(self) -> None:
        pass  # nothing was changed


class Aliases:
    """The same values under tensors of their own, so that each has the gradient of one use.

    A tensor that feeds several layers has the sum of what they pass back; its aliases tell it apart
    by layer. `writers` are let through, and those found make the run of no use.
    """

    cuts_graph = False

    def __init__(self, framework: Framework, writers: Set[str], *, of_outputs: bool) -> None:
        self._framework = framework
        self.of_outputs = of_outputs
        self.writers = Writers(framework, writers)

    def entering(self, draft: Draft, tensors: Tensors, *, is_model: bool) -> Mapping[int, Tensor]:
        handed = {} if self.writers.lets_through(draft) else self._aliases(tensors)
        self.writers.note(draft, [*(tensor for _, tensor in tensors), *handed.values()])
        return handed

    def leaving(self, draft: Draft, tensors: Tensors) -> Mapping[int, Tensor]:
        self.writers.look(draft)
        stays = self.writers.lets_through(draft) or not self.of_outputs
        return {} if stays else self._aliases(tensors)

    def backward(self) -> None:
        pass  # all of them begin at the loss

    def restore(self) -> None:
        pass  # nothing was changed

    def _aliases(self, tensors: Tensors) -> dict[int, Tensor]:
        return {
            id(tensor): self._framework.alias(tensor)
            for _, tensor in tensors
            if self._framework.is_tensor(tensor) and self._framework.wants_gradient(tensor)
        }


class Replay:
    """Has every layer compute on what another run recorded, and cuts the graph there.

    So that an error never travels, forward or backward. What a layer is given goes on in the code
    that called it, so there it gets the recorded elements too, until `restore`; `backward` starts
    at each boundary with the gradient recorded there. Of `writers` the elements are put right, and
    the graph is not cut.
    """

    cuts_graph = True
    of_outputs = True

    def __init__(self, framework: Framework, recorded: Recorded, writers: Set[str]) -> None:
        self._framework = framework
        self._recorded = recorded
        self._writers = Writers(framework, writers)
        self._calls: dict[str, int] = {}
        self._call_of: dict[int, int] = {}  # by the id of its draft
        self._ends: list[tuple[Tensor, Tensor]] = []
        self._overwritten: list[Callable[[], None]] = []
        self._reshaped: set[int] = set()  # ids of drafts that were given other shapes than recorded

    def entering(self, draft: Draft, tensors: Tensors, *, is_model: bool) -> Mapping[int, Tensor]:
        call = self._calls.get(draft.route, 0)
        self._calls[draft.route] = call + 1
        self._call_of[id(draft)] = call
        if is_model:  # what the user gave
            return self._replace(draft, tensors, "input", None)
        return self._correct(tensors, self._replace(draft, tensors, "input", "backward"), draft)

    def leaving(self, draft: Draft, tensors: Tensors) -> Mapping[int, Tensor]:
        handed = self._replace(draft, tensors, "forward", "grad_output")
        return (
            self._correct(tensors, handed, draft) if self._writers.lets_through(draft) else handed
        )

    def backward(self) -> None:
        """Pass the recorded gradients back through what each layer, and the code between, did."""
        ends, self._ends = self._ends, []
        if ends:
            self._framework.backward_from(*zip(*ends, strict=True))

    def restore(self) -> None:
        """Put back what was overwritten: some of it may be the user's, and outlive the run."""
        while self._overwritten:
            self._overwritten.pop()()

    def _correct(
        self, tensors: Tensors, handed: Mapping[int, Tensor], draft: Draft
    ) -> Mapping[int, Tensor]:
        """Give the caller's tensors the right elements, too; returns what is handed on then."""
        for _, tensor in tensors:
            source = handed.get(id(tensor))
            if source is None or tuple(source.shape) != tuple(tensor.shape):
                continue
            try:
                restore = self._framework.overwrite(tensor, source)
            except Exception:  # several of its elements are one in memory: the error travels on
                continue
            if restore is not None:
                self._overwritten.append(restore)
        return {} if self._writers.lets_through(draft) else handed

    def _made_here(self, draft: Draft, phase: Phase) -> bool:
        """Whether a tensor of another shape than recorded is this layer's doing.

        Then what follows goes on with the recorded one. Where the layer was given another shape,
        its caller expects one that fits that.
        """
        return phase == "forward" and id(draft) not in self._reshaped

    def _replace(
        self, draft: Draft, tensors: Tensors, phase: Phase, gradient: Phase | None
    ) -> Mapping[int, Tensor]:
        handed: dict[int, Tensor] = {}
        for place, tensor in tensors:
            if id(tensor) in handed or not self._framework.is_tensor(tensor):
                continue
            where = draft.route, self._call_of[id(draft)]
            values = self._recorded(*where, phase, place)
            shape = tuple(tensor.shape)
            if values is not None and values.shape != shape and not self._made_here(draft, phase):
                self._reshaped.add(id(draft))
                continue
            if values is None or (values.shape != shape and values.size == prod(shape)):
                continue  # it has no partner there, or one whose axes lie in another order
            passed = None if gradient is None else self._recorded(*where, gradient, place)
            asks = self._framework.wants_gradient(tensor)
            handed[id(tensor)] = self._framework.stand_in(
                values, tensor, asks=asks or passed is not None
            )
            if self._writers.lets_through(draft):
                continue
            if asks and passed is not None and passed.shape == shape:
                # an alias stays what the tensor is now, whatever is done to that in place
                end = self._framework.alias(tensor)
                self._ends.append((end, self._framework.from_host(passed, tensor)))
        return handed
