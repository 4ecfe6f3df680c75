"""What one finished section holds: layers and their tensors, loaded when asked."""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property, reduce
from math import prod

import numpy as np

from padiff.dtypes import dtype_named
from padiff.errors import CorruptError, FormatError, UsageError
from padiff.showing import Shown
from padiff.store.array import Array, StoredArray
from padiff.store.base import Store
from padiff.store.chunks import blocks
from padiff.store.format import SectionName, check_array_path
from padiff.store.stats import PartialStats, finish, merge, of_contiguous
from padiff.tree import LayerTree, Node, TensorRecord, TensorStats

__all__ = ["Layer", "Section", "Tensors", "bytes_of"]

_MEASURED = 2**20  # elements at a time


def bytes_of(tensor: TensorRecord) -> int:
    """Those of its elements, decoded."""
    return prod(tensor.shape) * dtype_named(tensor.dtype).itemsize


class Tensors(Shown, Mapping[str, Array]):
    """The tensors of one layer and phase, by place (`"0"`, `"logits"`) or by position (`0`).

    Nothing is read from disk until an array is asked for, and no element until it is sliced.
    """

    def __init__(self, section: "Section", records: list[TensorRecord], where: str) -> None:
        self.section = section
        self.records = {record.place: record for record in records}
        self._where = where

    def __getitem__(self, key: str | int) -> Array:
        by_place = self.records
        try:
            record = list(by_place.values())[key] if isinstance(key, int) else by_place[key]
        except LookupError as error:
            held = ", ".join(map(repr, by_place)) or "none"
            raise type(error)(f"no tensor {key!r} in {self._where}, which has {held}") from None
        return self.section.array(record)

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        held = ", ".join(f"{r.place}: {r.dtype}{list(r.shape)}" for r in self.records.values())
        return f"<Tensors {held}>"


class Layer(Shown):
    """One call of one layer; in a section of parameters, the layer itself."""

    def __init__(self, section: "Section", node: Node) -> None:
        self.section = section
        self.node = node

    def _tensors(self, phase: str | None) -> Tensors:
        return Tensors(
            self.section,
            [t for t in self.node.tensors if t.phase == phase and not t.buffer],
            f"{phase or 'weight'} of {self!r} in {self.section.location}",
        )

    @property
    def input(self) -> Tensors:
        """What the layer was given, where inputs were recorded."""
        return self._tensors("input")

    @property
    def forward(self) -> Tensors:
        """What the layer returned."""
        return self._tensors("forward")

    @property
    def backward(self) -> Tensors:
        """The gradients that reached its inputs."""
        return self._tensors("backward")

    @property
    def weight(self) -> Tensors:
        """Its parameters' values, by name, in the sections params and weights."""
        return self._tensors(None)

    @property
    def buffer(self) -> Tensors:
        """Its buffers, such as running statistics, by name, in the sections params and weights."""
        return Tensors(
            self.section,
            [tensor for tensor in self.node.tensors if tensor.buffer],
            f"buffer of {self!r} in {self.section.location}",
        )

    @property
    def grad(self) -> Tensors:
        """Its parameters' gradients, by name, in the sections params and grads."""
        return self._tensors("backward")

    def __repr__(self) -> str:
        node = self.node
        call = f" call {node.call}" if node.call else ""
        return f"<Layer {node.route!r}{call} {node.name} with {len(node.tensors)} tensors>"


class Section(Shown):
    """One finished section: its header, its layer tree, and its arrays on disk."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self._identity = store.identity(path)  # before the header: what comes between is noticed
        self.header = store.header(path)

    @property
    def tree(self) -> LayerTree:
        return self.header.tree

    @property
    def location(self) -> str:
        """Where the section lies, as a user would type it."""
        return self._store.location_of(self._path)

    @cached_property
    def _nodes(self) -> dict[tuple[str, int], Node]:
        return {(node.route, node.call): node for node in self.tree.walk()}

    def __getitem__(self, key: str | tuple[str, int]) -> Layer:
        """The layer at a route (`""` the model), or one call of it: `report["rnn.cell", 3]`."""
        route, call = (key, 0) if isinstance(key, str) else key
        if (route, call) not in self._nodes:
            raise KeyError(self._nearest(route, call))
        return Layer(self, self._nodes[route, call])

    def _nearest(self, route: str, call: int) -> str:
        """What to say where there is no such layer: which there are that it may have meant."""
        calls = sum(known == route for known, _ in self._nodes)
        if calls:
            return f"no call {call} of a layer {route!r} in {self.location}: it has {calls}, from 0"
        routes = list(dict.fromkeys(known for known, _ in self._nodes))
        near = get_close_matches(str(route), routes, 3) or routes[:3]
        more = ", ..." if len(routes) > len(near) else ""
        held = ", ".join(map(repr, near)) + more
        return f"no layer {route!r} in {self.location}, which has {held or 'none'}"

    def __iter__(self) -> Iterator[Layer]:
        return (Layer(self, node) for node in self.tree.walk())

    def __len__(self) -> int:
        return len(self._nodes)

    def stats(self, record: TensorRecord) -> TensorStats:
        """The statistics of one tensor of the tree, measured where its writer did not.

        Raises what `array` does.
        """
        if record.stats is not None:
            return record.stats
        array = self.array(record)
        parts = (
            of_contiguous(np.ascontiguousarray(array.read(selection)))
            for selection in blocks(array.shape, array.chunk_shape, _MEASURED)
        )
        return finish(reduce(merge, parts, PartialStats()))

    def stored(self, record: TensorRecord) -> StoredArray:
        """The same as `array` of a section that padiff wrote; FormatError where it did not."""
        array = self.array(record)
        if not isinstance(array, StoredArray):
            raise FormatError(
                f"expected a section that padiff wrote at {self.location}, which has digests, "
                f"found {self.header.foreign}"
            )
        return array

    def array(self, record: TensorRecord) -> Array:
        """The array of one tensor of the tree.

        Raises UsageError where the section holds statistics alone, CorruptError when the tree
        points outside the section, or at an array of another shape or dtype, or does not have a
        digest for each of its chunks, and when another section has taken the place of this one.
        """
        if self.header.tensors is not None:
            raise UsageError(
                f"expected elements of {record.array} in {self.location}, found a section of "
                f"{self.header.tensors} alone: record with tensors='full' to have them"
            )
        check_array_path(record.array, self.location)
        array = self._store.array(f"{self._path}/{record.array}")
        self.check_present()
        array.check_current = self.check_present
        if (array.shape, array.element.name) != (record.shape, record.dtype):
            raise CorruptError(
                f"expected {record.dtype}{list(record.shape)} in the array {record.array} of "
                f"{self.location}, as its tree says, found {array.element.name}{list(array.shape)}"
            )
        if self.header.foreign is None and array.chunk_count != len(record.chunks):
            raise CorruptError(
                f"expected {len(record.chunks)} chunks in the array {record.array} of "
                f"{self.location}, as its tree says, found {array.chunk_count}"
            )
        return array

    def part(self, name: SectionName) -> "Section":
        """The weights, or the grads, that are in params, as a section of that name."""
        found = copy(self)
        tree = self.tree.only("backward" if name == "grads" else None)
        found.header = replace(self.header, section=name, tree=tree)
        found.__dict__.pop("_nodes", None)
        return found

    def check_present(self) -> None:
        """CorruptError when another section has taken the place of the one that was opened."""
        if self._store.identity(self._path) != self._identity:
            raise CorruptError(
                f"expected the section {self.location} as it was when it was opened, found that "
                "it was dumped again or removed meanwhile: open it again"
            )

    def __repr__(self) -> str:
        header = self.header
        return (
            f"<Section {header.section} of {header.model} ({header.framework}), {len(self)} layers>"
        )
