"""The layers of a model, and the tensors of each in the form that both frameworks share."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from msgspec import structs

from padiff.frameworks.base import Framework, Layer, Tensor
from padiff.layouts import Layout, Part, layout_of
from padiff.tree import LayerTree, Node, TensorRecord, outlined

__all__ = ["Described", "Inventory", "Weight", "record_of_weight", "take_inventory"]


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A parameter or buffer, or the part of one that the table gives a name of its own.

    `place` is where the layer keeps it; `shape` is that of the common form, None with the `reason`
    where it has no elements to be read.
    """

    part: Part
    place: str
    tensor: Tensor
    parameter: bool
    shape: tuple[int, ...] | None
    reason: str = ""

    @property
    def name(self) -> str:
        """What it is called in the common form."""
        return self.part.name

    @property
    def key(self) -> tuple[int, tuple[int, int] | None]:
        """The same for two places of one tensor."""
        return id(self.tensor), self.part.share


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """A layer with its weights, and those of the layers that are part of it.

    `kind` is its row in the table, empty if it has none. `known` are the weights that are laid out
    as the row says, none when the layer is not; `own` are all others, as the layer has them.
    """

    route: str
    layer: Layer
    kind: str
    known: tuple[Weight, ...]
    own: tuple[Weight, ...]

    @property
    def name(self) -> str:
        """The layer's class, which may be the user's."""
        return type(self.layer).__name__

    @property
    def laid_out(self) -> bool:
        """Whether its weights are where its row says, if it has any at all."""
        return bool(self.kind) and (bool(self.known) or not self.own)

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All of them, in the same order in both frameworks as far as the table knows them."""
        return self.known + self.own


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """A model's layers by route, one at two places twice.

    `tree` calls them by their row in the table, `shown` as the user does.
    """

    framework: Framework
    layers: Mapping[str, Described]
    tree: LayerTree
    shown: LayerTree


def take_inventory(framework: Framework, model: Layer) -> Inventory:
    """Describe every layer of the model, in definition order, without reading an element."""
    layers: dict[str, Described] = {}
    root = _visit(framework, model, "", layers, [])
    shown = _renamed(root, layers)
    return Inventory(framework, layers, LayerTree((root,)), LayerTree((shown,)))


def _visit(
    framework: Framework,
    layer: Layer,
    route: str,
    layers: dict[str, Described],
    above: list[int],
) -> Node:
    described, inside = _describe(framework, route, layer)
    layers[route] = described
    children = [
        _visit(framework, inner, f"{route}.{name}" if route else name, layers, [*above, id(layer)])
        for name, inner in framework.sublayers(layer)
        if name not in inside and id(inner) not in above and inner is not layer
    ]
    return Node(
        name=described.kind or described.name,
        route=route,
        call=0,
        order=0,
        children=tuple(children),
        tensors=tuple(record_of_weight(w) for w in described.weights if w.parameter),
    )


def _renamed(node: Node, layers: Mapping[str, Described]) -> Node:
    children = tuple(_renamed(child, layers) for child in node.children)
    return structs.replace(node, name=layers[node.route].name, children=children)


def record_of_weight(weight: Weight) -> TensorRecord:
    """What matching looks at: the name and the shape of the common form."""
    return outlined(None, weight.name, weight.shape or ())


def _describe(framework: Framework, route: str, layer: Layer) -> tuple[Described, set[str]]:
    """The layer, and the names of the layers right inside it that are part of it."""
    layout = layout_of(framework.name, framework.framework_classes(layer))
    known = [] if layout is None else _known(framework, layer, layout)
    inside = {part.path.partition(".")[0] for part, _ in known if "." in part.path}
    inside &= {name for name, _ in framework.sublayers(layer)}
    taken = {id(tensor) for _, tensor in known}
    registered = [
        *_registered(framework, layer, ""),
        *(
            found
            for name, inner in framework.sublayers(layer)
            if name in inside
            for below, deep in framework.named_layers(inner)
            for found in _registered(framework, deep, f"{name}.{below}." if below else f"{name}.")
        ),
    ]
    buffers = {id(tensor) for _, tensor, parameter in registered if not parameter}
    weights = [_weight(part, tensor, id(tensor) not in buffers) for part, tensor in known]
    own = [
        _weight(Part(place, place, ""), tensor, parameter)
        for place, tensor, parameter in registered
        if id(tensor) not in taken
    ]
    kind = "" if layout is None else layout.kind
    weights.sort(key=lambda weight: weight.name)
    return Described(route, layer, kind, tuple(weights), tuple(own)), inside


def _registered(
    framework: Framework, layer: Layer, prefix: str
) -> Iterator[tuple[str, Tensor, bool]]:
    """Place and tensor of the layer's own parameters and buffers, and whether it is a parameter."""
    for name, tensor in framework.parameters(layer):
        yield prefix + name, tensor, True
    for name, tensor in framework.buffers(layer):
        yield prefix + name, tensor, False


def _known(framework: Framework, layer: Layer, layout: Layout) -> list[tuple[Part, Tensor]]:
    """The parts that the layer has; none when one that it needs is not where the table says.

    Such is a layer whose weight is computed from others, as for weight normalisation.
    """
    found: dict[str, tuple[Part, Tensor]] = {}
    for part in layout.parts:
        for one in _numbered(part):
            tensor = _follow(framework, layer, one.path)
            if tensor is None:
                break
            found.setdefault(one.name, (one, tensor))
    needed = {part.name.format(0) for part in layout.parts if part.needed}
    return list(found.values()) if needed <= found.keys() else []


def _numbered(part: Part) -> Iterator[Part]:
    """The part itself; or, where its number is left open, that of 0, of 1, and so on."""
    if "{}" not in part.path:
        yield part
        return
    for number in itertools.count():
        name, path = part.name.format(number), part.path.format(number)
        yield replace(part, name=name, path=path)


def _follow(framework: Framework, layer: Layer, path: str) -> Tensor | None:
    """The tensor at the path from the layer, if one is registered there."""
    held: Any = layer
    for step in path.split("."):
        held = _step(framework, held, step)
    return held if framework.is_tensor(held) else None


def _step(framework: Framework, holder: Any, name: str) -> Any:
    if isinstance(holder, list):
        return holder[int(name)] if name.isdecimal() and int(name) < len(holder) else None
    if not framework.is_layer(holder):
        return None
    # what is not saved, such as a weight that is computed from others, is none of its weights
    saved = {own: tensor for own, tensor, _ in _registered(framework, holder, "")}
    saved.update(framework.sublayers(holder))
    if name in saved:
        return saved[name]
    # paddle has parameters in plain lists, which it does not look into itself
    held = getattr(holder, name, None)
    return held if isinstance(held, list) else None


def _weight(part: Part, tensor: Tensor, parameter: bool) -> Weight:
    try:
        # memory that is never touched costs nothing
        shape = part.view(np.empty(tuple(tensor.shape), np.bool_)).shape
    except Exception as error:  # a tensor that is not made yet, or a shape the row does not expect
        reason = str(error).strip().partition("\n")[0][:400] or type(error).__name__
        return Weight(part, part.path, tensor, parameter, None, reason)
    return Weight(part, part.path, tensor, parameter, shape)
