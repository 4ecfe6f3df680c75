"""Real stores on disk from a nested description of layers and what each of them held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from padiff.store.format import Environment, SectionHeader, SectionName, array_path
from padiff.store.section_writer import SectionWriter, record_of
from padiff.store.storage import DEFAULT, Storage
from padiff.store.writer import write_section
from padiff.tree import Frame, LayerTree, Node, Phase, TensorRecord

__all__ = ["Layer", "write_dump"]

Values = ArrayLike | Mapping[str, ArrayLike] | None


@dataclass(frozen=True)
class Layer:
    """One call of a layer: its own name, its class, its tensors by place, and what it called.

    A lone array stands at place "0". `weights` and `grads` are the parameters and their gradients,
    by name, and `dims` the names of a parameter's axes. `repr` and `training` are as recorded.
    """

    name: str
    kind: str
    out: Values = None
    inputs: Values = None
    back: Values = None
    weights: Mapping[str, ArrayLike] = field(default_factory=dict)
    grads: Mapping[str, ArrayLike] = field(default_factory=dict)
    dims: Mapping[str, Sequence[str]] = field(default_factory=dict)
    children: Sequence["Layer"] = ()
    call: int = 0
    stack: Sequence[Frame] = ()
    device: str = "cpu"
    repr: str = ""
    training: bool | None = None
    buffers: Mapping[str, ArrayLike] = field(default_factory=dict)


def by_place(values: Values) -> dict[str, NDArray[Any]]:
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return {place: np.asarray(value) for place, value in values.items()}
    return {"0": np.asarray(values)}


class _Section:
    """Writes the layers of one section and builds its tree."""

    def __init__(self, writer: SectionWriter, section: SectionName) -> None:
        self.writer, self.section = writer, section
        self.clock = 0

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def tensors(
        self,
        layer: Layer,
        route: str,
        phase: Phase | None,
        values: Values,
        leaf: str,
        order: int,
        *,
        buffer: bool = False,
    ) -> list[TensorRecord]:
        records = []
        for place, array in by_place(values).items():
            stored = self.writer.add(
                array_path(route, layer.call, leaf.format(place)), array, layer.dims.get(place)
            )
            records.append(
                record_of(
                    stored,
                    phase=phase,
                    place=place,
                    device=layer.device,
                    order=order,
                    buffer=buffer,
                )
            )
        return records

    def of_calls(self, layer: Layer, route: str) -> Node:
        """Forward in the order of the description, backward the other way round."""
        begin = self.tick()
        tensors = self.tensors(layer, route, "input", layer.inputs, "input.{}", begin)
        children = [self.of_calls(child, below(route, child)) for child in layer.children]
        tensors += self.tensors(layer, route, "forward", layer.out, "forward.{}", self.tick())
        # any number that falls as the forward goes on; a parent's begin is before its children's
        tensors += self.tensors(layer, route, "backward", layer.back, "backward.{}", 10**6 - begin)
        return self.node(layer, route, begin, children, tensors)

    def of_parameters(self, layer: Layer, route: str) -> Node:
        leaf, grad_leaf = ("{}.weight", "{}.grad") if self.section == "params" else ("{}", "{}")
        order = self.tick()
        tensors = []
        if self.section != "grads":
            tensors += self.tensors(layer, route, None, layer.weights, leaf, order)
            tensors += self.tensors(
                layer, route, None, layer.buffers, "{}.buffer", order, buffer=True
            )
        if self.section != "weights":
            tensors += self.tensors(layer, route, "backward", layer.grads, grad_leaf, order)
        children = [self.of_parameters(child, below(route, child)) for child in layer.children]
        return self.node(layer, route, order, children, tensors)

    def node(
        self,
        layer: Layer,
        route: str,
        order: int,
        children: Sequence[Node],
        tensors: Sequence[TensorRecord],
    ) -> Node:
        return Node(
            layer.kind,
            route,
            layer.call,
            order,
            stack=tuple(layer.stack),
            repr=layer.repr,
            training=layer.training,
            children=tuple(children),
            tensors=tuple(tensors),
        )


def below(route: str, layer: Layer) -> str:
    return f"{route}.{layer.name}" if route else layer.name


def write_dump(
    location: Path,
    *models: Layer,
    section: SectionName = "report",
    step: int | None = None,
    rank: int | None = None,
    layer_map: Sequence[str] = (),
    framework: str = "torch",
    storage: Storage = DEFAULT,
    environment: Environment | None = None,
) -> Path:
    """Write one section of the models (calls of one model) and return the location."""
    with write_section(location, section, step=step, rank=rank, storage=storage) as writer:
        build = _Section(writer, section)
        make = build.of_calls if section == "report" else build.of_parameters
        tree = LayerTree(tuple(make(model, model.name) for model in models))
        writer.finish(
            SectionHeader(
                section,
                models[0].kind if models else "Net",
                framework,
                "1.0",
                tuple(layer_map),
                tree,
                "2026-01-01T00:00:00+00:00",
                environment=environment,
            )
        )
    return location
