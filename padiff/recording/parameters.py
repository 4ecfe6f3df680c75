"""The parameters and buffers of the recorded layers, written straight from the model's memory."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any

from numpy.typing import NDArray

from padiff.frameworks.base import Framework, Layer, Tensor
from padiff.recording.capture import describe, host_tensor
from padiff.recording.draft import Captured, Draft
from padiff.recording.selection import Selection, parent_route
from padiff.recording.spool import Kept
from padiff.store.format import SectionName, array_path
from padiff.tree import Phase

__all__ = ["Keep", "Sample", "read_parameters", "sample_parameters"]

# Takes the name of an array, its elements, and the names of its axes where they are known.
Keep = Callable[[str, NDArray[Any], tuple[str, ...] | None], Kept]

_SAMPLED = 16  # parameters; on a GPU, reading each takes a transfer
_SAMPLED_SIZE = 2**16  # elements of each at most


@dataclass(frozen=True, slots=True)
class Sample:
    """A few parameters and what they held."""

    held: tuple[tuple[Tensor, bytes], ...]

    def changed(self, framework: Framework) -> bool | None:
        """Whether one of them holds something else now; None when there is none."""
        if not self.held:
            return None
        return any(_elements(framework, tensor) != data for tensor, data in self.held)


def sample_parameters(framework: Framework, layers: Iterable[Layer]) -> Sample:
    """Some of the parameters that are trained: a step of an optimizer changes all that are used.

    Neither framework tells of a change itself: not every optimizer counts up a tensor's version.
    They are taken at random, the same each time: whatever part of a model is not used, or which
    parameter of each of its blocks, some of the others are among them.
    """
    known = {id(tensor): tensor for layer in layers for _, tensor in framework.parameters(layer)}
    shuffled = Random(0).sample(list(known.values()), len(known))
    readable = (tensor for tensor in shuffled if _is_trained(framework, tensor))
    chosen = itertools.islice(readable, _SAMPLED)
    return Sample(tuple((tensor, _elements(framework, tensor)) for tensor in chosen))


def _is_trained(framework: Framework, tensor: Tensor) -> bool:
    """Whether an optimizer may change it, and it is small enough to be read after each call."""
    try:
        return framework.wants_gradient(tensor) and 0 < prod(tensor.shape) <= _SAMPLED_SIZE
    except Exception:  # not made yet
        return False


def _elements(framework: Framework, tensor: Tensor) -> bytes:
    host = host_tensor(framework, tensor)
    return b"" if isinstance(host, str) else host.values.tobytes()


def read_parameters(
    framework: Framework, selection: Selection, section: SectionName, keep: Keep
) -> Iterator[Draft]:
    """The selected layers in definition order, with what the section holds of their parameters.

    Each is read when it is asked for, its tensors given to `keep`, one at a time.
    """
    selected = selection.layers()
    reading = _LayerReader(framework, section, keep)
    listed: dict[str, set[int]] = {}  # by route, what layers that repeat parameters hold
    for route, layer in selected.items():
        above = listed.get(parent_route(route, selected), set()) if route else set()
        own = {n: p for n, p in framework.parameters(layer) if id(p) not in above}
        yield reading.read(route, layer, own, dict(framework.buffers(layer)))
        repeated = set(map(id, own.values())) if framework.repeats_parameters(layer) else set()
        listed[route] = above | repeated


class _LayerReader:
    """Reads one layer's own parameters and buffers after another's."""

    def __init__(self, framework: Framework, section: SectionName, keep: Keep) -> None:
        self._framework = framework
        self._section = section
        self._keep = keep
        self._orders = itertools.count()
        self._first: dict[tuple[int, Phase | None], str] = {}  # arrays of the parameters, by id

    def read(
        self, route: str, layer: Layer, parameters: dict[str, Tensor], buffers: dict[str, Tensor]
    ) -> Draft:
        """The layer, without those below it."""
        draft = Draft(
            name=type(layer).__name__,
            route=route,
            repr=describe(layer),
            order=next(self._orders),
            training=self._framework.is_training(layer),
        )
        for name, parameter in (*parameters.items(), *buffers.items()):
            buffer = name not in parameters
            for leaf, phase, tensor in self._parts(name, parameter, buffer=buffer):
                host = host_tensor(self._framework, tensor)
                if isinstance(host, str):
                    draft.refuse(phase, name, host)
                    continue
                path = array_path(route, 0, leaf)
                dims = self._framework.parameter_dims(layer, name)
                first = self._first.setdefault((id(parameter), phase), path)
                draft.tensors.append(
                    Captured(
                        phase=phase,
                        place=name,
                        kept=self._keep(leaf, host.values, dims),
                        device=host.device,
                        order=next(self._orders),
                        leaf=leaf,
                        dims=dims,
                        tied=None if first == path else first,
                        buffer=buffer,
                    )
                )
        return draft

    def _parts(
        self, name: str, parameter: Tensor, *, buffer: bool
    ) -> Iterator[tuple[str, Phase | None, Tensor]]:
        """What the section holds of one parameter: the array's name, its phase, the tensor."""
        both = self._section == "params"
        if self._section != "grads":
            kind = "buffer" if buffer else "weight"
            yield (f"{name}.{kind}" if both else name), None, parameter
        if self._section != "weights" and not buffer:
            gradient = self._framework.gradient(parameter)
            if gradient is not None:
                yield (f"{name}.grad" if both else name), "backward", gradient
