"""The parameters and buffers of the recorded layers, written straight from the model's memory."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from random import Random

from msgspec.structs import replace

from padiff.frameworks.base import Framework, Layer, Tensor
from padiff.recording.capture import describe, host_tensor
from padiff.recording.selection import Selection, parent_route
from padiff.store.format import SectionName, array_path
from padiff.store.writer import SectionWriter, record_of
from padiff.tree import LayerTree, Node, Phase, TensorRecord, Unrecorded

__all__ = ["Sample", "sample_parameters", "write_parameters"]

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


def write_parameters(
    framework: Framework, selection: Selection, section: SectionName, writer: SectionWriter
) -> LayerTree:
    """Write `params`, `weights` or `grads` of the selected layers, one tensor at a time.

    Returns the tree of the layers as they lie in one another, in definition order.
    """
    selected = selection.layers()
    writing = _LayerWriter(framework, section, writer)
    nodes: dict[str, Node] = {}
    listed: dict[str, set[int]] = {}  # by route, what layers that repeat parameters hold
    for route, layer in selected.items():
        above = listed.get(parent_route(route, selected), set()) if route else set()
        own = {n: p for n, p in framework.parameters(layer) if id(p) not in above}
        nodes[route] = writing.write(route, layer, own, dict(framework.buffers(layer)))
        repeated = set(map(id, own.values())) if framework.repeats_parameters(layer) else set()
        listed[route] = above | repeated
    return LayerTree((_nested(nodes, selection),))


def _nested(nodes: dict[str, Node], selection: Selection) -> Node:
    """The model's node, with each other one below its nearest ancestor among them."""
    children: dict[str, list[Node]] = defaultdict(list)
    for route in reversed(nodes):  # so that a layer's own children are complete before it
        node = replace(
            nodes[route],
            type=selection.node_type(route),
            children=tuple(reversed(children[route])),
        )
        if not route:
            return node
        children[parent_route(route, nodes)].append(node)
    raise AssertionError("unreachable: the model itself is always selected")


class _LayerWriter:
    """Writes one layer's own parameters and buffers after another's."""

    def __init__(self, framework: Framework, section: SectionName, writer: SectionWriter) -> None:
        self._framework = framework
        self._section = section
        self._writer = writer
        self._orders = itertools.count()
        self._first: dict[tuple[int, Phase | None], str] = {}  # arrays of the parameters, by id

    def write(
        self, route: str, layer: Layer, parameters: dict[str, Tensor], buffers: dict[str, Tensor]
    ) -> Node:
        """The layer's node, without those below it."""
        order = next(self._orders)
        tensors: list[TensorRecord] = []
        unrecorded: list[Unrecorded] = []
        for name, parameter in (*parameters.items(), *buffers.items()):
            buffer = name not in parameters
            for leaf, phase, tensor in self._parts(name, parameter, buffer=buffer):
                host = host_tensor(self._framework, tensor)
                if isinstance(host, str):
                    unrecorded.append(Unrecorded(phase, name, host))
                    continue
                path = array_path(route, 0, leaf)
                dims = self._framework.parameter_dims(layer, name)
                stored = self._writer.add(path, host.values, dims)
                first = self._first.setdefault((id(parameter), phase), path)
                at = next(self._orders)
                record = record_of(stored, phase=phase, place=name, device=host.device, order=at)
                tied = None if first == path else first
                tensors.append(replace(record, tied=tied, buffer=buffer))
        return Node(
            name=type(layer).__name__,
            route=route,
            call=0,
            order=order,
            repr=describe(layer),
            tensors=tuple(tensors),
            unrecorded=tuple(unrecorded),
            training=self._framework.is_training(layer),
        )

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
