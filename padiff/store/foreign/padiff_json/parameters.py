"""The layers of a params, weights or grads file of the old PaDiff as a layer tree."""

import itertools
from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from padiff.layouts import layout_of
from padiff.store.foreign.named import is_buffer
from padiff.store.foreign.padiff_json.arrays import Arrays, without_model
from padiff.store.foreign.padiff_json.documents import Layer, Parameters
from padiff.store.format import SectionName, array_path
from padiff.tree import LayerTree, Node, Phase, TensorRecord

__all__ = ["parameters_tree", "reprs_of"]

_AXES = ("out_features", "in_features")  # of a linear layer's weight, in the form of no framework


def parameters_tree(held: Parameters, section: SectionName, arrays: Arrays) -> LayerTree:
    """The layers in definition order; raises what making the arrays does, FormatError if too deep.

    There are no buffers but those that paddle counts among its parameters.
    """
    return LayerTree((_Building(held, section, arrays).node(held.tree, 0),))


def reprs_of(held: Parameters) -> dict[str, str]:
    """What each layer prints of itself, by route."""
    found: dict[str, str] = {}
    left = [held.tree]
    while left:
        layer = left.pop()
        found[without_model(layer.route, held.tree.route)] = layer.repr
        left += layer.children
    return found


class _Building:
    """Makes nodes of layers, one after the other."""

    def __init__(self, held: Parameters, section: SectionName, arrays: Arrays) -> None:
        self._held, self._section, self._arrays = held, section, arrays
        self._seen: Counter[str] = Counter()
        self._orders = itertools.count()

    def node(self, layer: Layer, depth: int) -> Node:
        self._arrays.check_depth(depth)
        route = without_model(layer.route, self._held.tree.route)
        number = self._seen[route]
        self._seen[route] += 1
        order = next(self._orders)
        tensors = tuple(self._tensors(layer, route, number))
        return Node(
            name=layer.name,
            route=route,
            call=number,
            order=order,
            repr=layer.repr,
            children=tuple(self.node(child, depth + 1) for child in layer.children),
            tensors=tensors,
        )

    def _tensors(self, layer: Layer, route: str, number: int) -> Iterator[TensorRecord]:
        for leaf, phase, place, path in self._parts(layer):
            record = self._arrays.record(
                array_path(route, number, leaf),
                path,
                phase,
                place,
                next(self._orders),
                buffer=is_buffer(place),
            )
            yield replace(record, dims=self._dims(layer.name, record))

    def _parts(self, layer: Layer) -> Iterator[tuple[str, Phase | None, str, str]]:
        """The array's name, phase, parameter and path of each tensor that the section has."""
        both = self._section == "params"
        for place in dict.fromkeys((*layer.weights, *layer.grads)):
            weight, grad = layer.weights.get(place), layer.grads.get(place)
            if weight is not None and self._section != "grads":
                kind = "buffer" if is_buffer(place) else "weight"
                yield (f"{place}.{kind}" if both else place), None, place, weight
            if grad is not None and self._section != "weights":
                yield (f"{place}.grad" if both else place), "backward", place, grad

    def _dims(self, name: str, record: TensorRecord) -> tuple[str, ...] | None:
        """The names of a parameter's axes, for which padiff has some where it records them."""
        layout = layout_of(self._held.framework, (name,))
        if layout is None or layout.kind != "Linear" or len(record.shape) != len(_AXES):
            return None
        part = next((part for part in layout.parts if part.path == record.place), None)
        if part is None:
            return None
        return tuple(_AXES[axis] for axis in part.axes) if part.axes else _AXES
