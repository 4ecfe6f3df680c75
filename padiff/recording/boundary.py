"""What stands between a layer and those around it, where layers are to be looked at one by one."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Protocol

from numpy.typing import NDArray

from padiff.frameworks.base import Framework, Tensor
from padiff.recording.draft import Draft
from padiff.tree import Phase

__all__ = ["Aliases", "Boundary", "Recorded", "Replay"]

Tensors = Sequence[tuple[str, Tensor]]

# What was recorded for a call of a layer of this side: `(route, call, phase, place) -> values`.
Recorded = Callable[[str, int, Phase, str], NDArray[Any] | None]


class Boundary(Protocol):
    """Who decides what goes over the boundary of a layer in the place of a tensor, by its `id`."""

    def entering(self, draft: Draft, tensors: Tensors, *, is_model: bool) -> Mapping[int, Tensor]:
        """What the layer gets for those that it was given."""

    def leaving(self, draft: Draft, tensors: Tensors) -> Mapping[int, Tensor]:
        """What its caller gets for those that it returned."""

    def backward(self) -> None:
        """Run the backward passes that do not begin at the loss."""

    def restore(self) -> None:
        """Take back what was done to tensors that are not the run's own."""


class Aliases:
    """The same values under tensors of their own, so that each has the gradient of one use.

    A tensor that feeds several layers has the sum of what they pass back; its aliases tell it apart
    by layer.
    """

    def __init__(self, framework: Framework) -> None:
        self._framework = framework

    def entering(self, draft: Draft, tensors: Tensors, *, is_model: bool) -> Mapping[int, Tensor]:
        return self._aliases(tensors)

    def leaving(self, draft: Draft, tensors: Tensors) -> Mapping[int, Tensor]:
        return self._aliases(tensors)

    def backward(self) -> None:
        pass  # all of them do

    def restore(self) -> None:
        pass  # nothing was changed

    def _aliases(self, tensors: Tensors) -> Mapping[int, Tensor]:
        return {
            id(tensor): self._framework.alias(tensor)
            for _, tensor in tensors
            if self._framework.is_tensor(tensor) and self._framework.wants_gradient(tensor)
        }


class Replay:
    """Has every layer compute on what another run recorded, and cuts the graph there.

    So that an error never travels, forward or backward. What a layer is given goes on in the code
    that called it, so there it gets the recorded elements too, until `restore`; `backward` starts
    at each boundary with the gradient recorded there.
    """

    def __init__(self, framework: Framework, recorded: Recorded) -> None:
        self._framework = framework
        self._recorded = recorded
        self._calls: dict[str, int] = {}
        self._call_of: dict[int, int] = {}  # by the id of its draft
        self._ends: dict[int, tuple[Tensor, Tensor]] = {}
        self._overwritten: list[Callable[[], None]] = []
        self._reshaped: set[int] = set()  # ids of drafts that were given other shapes than recorded

    def entering(self, draft: Draft, tensors: Tensors, *, is_model: bool) -> Mapping[int, Tensor]:
        call = self._calls.get(draft.route, 0)
        self._calls[draft.route] = call + 1
        self._call_of[id(draft)] = call
        if is_model:  # what the user gave
            return self._replace(draft, tensors, "input", None)
        handed = self._replace(draft, tensors, "input", "backward")
        for _, tensor in tensors:
            if id(tensor) in handed:
                self._correct(tensor, handed[id(tensor)])
        return handed

    def leaving(self, draft: Draft, tensors: Tensors) -> Mapping[int, Tensor]:
        return self._replace(draft, tensors, "forward", "grad_output")

    def backward(self) -> None:
        """Pass the recorded gradients back through what each layer, and the code between, did."""
        ends = list(self._ends.values())
        self._ends.clear()
        if ends:
            self._framework.backward_from(*zip(*ends, strict=True))

    def restore(self) -> None:
        """Put back what was overwritten: some of it may be the user's, and outlive the run."""
        while self._overwritten:
            self._overwritten.pop()()

    def _made_here(self, draft: Draft, phase: Phase) -> bool:
        """Whether a tensor of another shape than recorded is this layer's doing.

        Then what follows goes on with the recorded one. Where the layer was given another shape,
        its caller expects one that fits that.
        """
        return phase == "forward" and id(draft) not in self._reshaped

    def _correct(self, tensor: Tensor, source: Tensor) -> None:
        try:
            restore = self._framework.overwrite(tensor, source)
        except Exception:  # several of its elements are one in memory: the error travels on in it
            return
        if restore is not None:
            self._overwritten.append(restore)

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
            if asks and passed is not None and passed.shape == shape:
                self._end(tensor, self._framework.from_host(passed, tensor))
        return handed

    def _end(self, tensor: Tensor, gradient: Tensor) -> None:
        if id(tensor) in self._ends:  # it goes to several layers
            gradient = self._ends[id(tensor)][1] + gradient
        self._ends[id(tensor)] = tensor, gradient
