"""Parameters that are one tensor in one framework, and several layers' in the other."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from msgspec.structs import asdict
from numpy.typing import NDArray

from padiff.layouts import Layout, Part, layout_of
from padiff.store.array import Array
from padiff.store.chunks import Selection
from padiff.store.reader import Section
from padiff.tree import Node, Phase, TensorRecord

__all__ = ["Piece", "array_of", "match_pieces", "piece_of", "whole_of"]

Nodes = Mapping[str, Node]  # by route


class Piece(TensorRecord, frozen=True, gc=False):
    """A part of a stored tensor, or all of it in another form; its `place` is the part's name.

    `dims` name the axes by their order in the form that both frameworks share.
    """

    whole: TensorRecord | None = None
    part: Part | None = None


def match_pieces(
    layers: tuple[Node, Node], frameworks: tuple[str, str], nodes: tuple[Nodes, Nodes]
) -> list[tuple[TensorRecord, TensorRecord]]:
    """The pairs of parameters, and of gradients, that two layers of one kind keep differently."""
    base, raw = (
        layout_of(framework, (layer.name,))
        for framework, layer in zip(frameworks, layers, strict=True)
    )
    if base is None or raw is None or base.kind != raw.kind or base is raw:
        return []
    phases: tuple[Phase | None, Phase] = (None, "backward")
    pairs: list[tuple[TensorRecord, TensorRecord]] = []
    for phase in phases:
        ours = _pieces(base, layers[0].route, nodes[0], phase)
        theirs = _pieces(raw, layers[1].route, nodes[1], phase)
        pairs += [
            (piece, theirs[name])
            for name, piece in ours.items()
            if name in theirs and _form(piece) != _form(theirs[name])
        ]
    return pairs


def _form(piece: Piece) -> tuple[Any, ...]:
    """What is more than another name for the same."""
    part = piece.part
    assert part is not None
    return part.share, part.flat, part.path if "." in part.path else ""


def _pieces(layout: Layout, route: str, nodes: Nodes, phase: Phase | None) -> dict[str, Piece]:
    found: dict[str, Piece] = {}
    for part in layout.parts:
        above, _, place = part.path.rpartition(".")
        node = nodes.get(".".join(filter(None, (route, above))))
        for record in node.tensors if node else ():
            if (record.phase, record.place) == (phase, place):
                found.setdefault(part.name, piece_of(part, record))
    return found


def piece_of(part: Part, record: TensorRecord) -> Piece:
    """What a part is of a tensor, in the form that both sides share."""
    shape = record.shape
    if shape:
        lengths, taken = list(shape), part.cut(shape[part.along])
        lengths[part.along] = taken.stop - taken.start
        shape = tuple(lengths)
    dims = [""] * len(shape)
    for at, axis in enumerate(part.axes or range(len(shape))):
        if axis < len(dims):
            dims[axis] = f"axis {at}"
    fields = asdict(record) | {
        "place": part.name,
        "shape": (prod(shape),) if part.flat else shape,
        "dims": None if part.flat else tuple(dims),
        "chunks": (),
    }
    return Piece(**fields, whole=record, part=part)


def whole_of(record: TensorRecord) -> TensorRecord:
    """The record of what is stored."""
    return record.whole if isinstance(record, Piece) and record.whole else record


def array_of(section: Section, record: TensorRecord) -> Array:
    """The array of a tensor or piece; raises what `Section.array` does."""
    array = section.array(whole_of(record))
    if isinstance(record, Piece) and record.part is not None:
        return _PieceArray(array, record.part, record.shape)
    return array


class _PieceArray(Array):
    """A part of an array, read from it when asked."""

    def __init__(self, whole: Array, part: Part, shape: tuple[int, ...]) -> None:
        self._whole, self._part = whole, part
        self.shape = shape
        self.element = whole.element
        chunks = (prod(whole.chunk_shape),) if part.flat else whole.chunk_shape
        self.chunk_shape = tuple(max(1, min(c, n)) for c, n in zip(chunks, shape, strict=True))

    def read(self, selection: Selection, into: NDArray[Any] | None = None) -> NDArray[Any]:
        if self._part.flat:  # a bias, or the weight of a norm: small
            flat: NDArray[Any] = np.asarray(self._whole).reshape(-1)[selection]
            return flat
        parts = list(selection)
        if parts:
            axis = self._part.along
            start = self._part.cut(self._whole.shape[axis]).start
            parts[axis] = slice(parts[axis].start + start, parts[axis].stop + start)
        return self._whole.read(tuple(parts), into)

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._whole.file_of(None)
