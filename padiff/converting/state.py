"""The tensors of one section by name, as files of named tensors hold them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.converting.source import Source
from padiff.errors import FormatError, UsageError
from padiff.store.array import Array
from padiff.store.chunks import CHUNK_BYTES, blocks, chunk_shape_for
from padiff.store.format import SectionName, own_path
from padiff.store.section import Section
from padiff.tree import Node, TensorRecord

__all__ = ["State", "check_types", "pieces_of", "state_of"]

_THICKEST = 4 * CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class State:
    """The tensors of a section by name, in the order of its tree.

    `tied` tells of those of a parameter that stands at several places the name of the first.
    """

    section: Section
    tensors: Mapping[str, TensorRecord]
    tied: Mapping[str, str]


def state_of(source: Source, asked: SectionName | None) -> State:
    """The tensors of the one section that a file of the source can be made of.

    Where none is asked for these are the weights, or what there is alone. Raises UsageError where
    there are several dumps, or no saying which section is meant, or no elements, and FormatError
    for two tensors of one name.
    """
    if len(source.dumps) > 1:
        names = ", ".join(filter(None, list(source.dumps)[:4]))
        more = ", ..." if len(source.dumps) > 4 else ""
        raise UsageError(
            f"expected one dump at {source.location} for a file of named tensors, found "
            f"{len(source.dumps)}: name one of them ({names}{more})"
        )
    ((dump, held),) = source.dumps.items()
    has_weights = "weights" in held or "params" in held
    name = asked or ("weights" if has_weights else held[0])
    if asked is None and not has_weights and len(held) > 1:
        raise UsageError(
            f"expected to know which section of {source.location} a file of named tensors is to "
            f"hold, found {' and '.join(held)}: name one with --section (section=)"
        )
    section = source.section(dump, name)
    if section.header.tensors is not None:
        raise UsageError(
            f"expected elements in {section.location}, found a section of "
            f"{section.header.tensors} alone: convert it to Zarr or HDF5"
        )
    return _named(section)


def _named(section: Section) -> State:
    tensors: dict[str, TensorRecord] = {}
    names: dict[str, str] = {}  # by array
    for node in section.tree.walk():
        for tensor in node.tensors:
            name = _name(section, node, tensor)
            if name in tensors:
                raise FormatError(
                    f"expected a name for each tensor of {section.location}, found two that are "
                    f"called {name!r:.80}: convert it to Zarr or HDF5"
                )
            tensors[name] = tensor
            names.setdefault(own_path(tensor.array), name)
    if not tensors:
        raise UsageError(f"expected tensors in {section.location}, found none: name another")
    tied = {
        name: first
        for name, tensor in tensors.items()
        if tensor.tied and (first := names.get(own_path(tensor.tied), name)) != name
    }
    return State(section, tensors, tied)


def _name(section: Section, node: Node, tensor: TensorRecord) -> str:
    """Route and place; of a call with its number and phase, of a gradient beside its parameter."""
    kind = section.header.section
    route = f"{node.route}~{node.call}" if node.call else node.route
    parts = [route, tensor.place]
    if kind == "report":
        parts = [route, tensor.phase or "", tensor.place]
    elif kind == "params" and tensor.phase is not None:
        parts = [route, tensor.place, "grad"]
    return ".".join(filter(None, parts))


def check_types(state: State, whose: str, has: Callable[[str], bool], other: str) -> None:
    """UsageError where it holds a type of elements that a format has not; `other` has it."""
    for name, tensor in state.tensors.items():
        if not has(tensor.dtype):
            raise UsageError(
                f"expected elements that {whose} has a type for, found {tensor.dtype} in "
                f"{name!r:.80} of {state.section.location}: convert it to {other}, Zarr or HDF5"
            )


def pieces_of(array: Array) -> Iterator[memoryview]:
    """The bytes of an array in C order, a part at a time."""
    for selection in blocks(array.shape, _part_of(array), array.size or 1):
        part: NDArray[Any] = np.ascontiguousarray(array.read(selection))
        yield part.reshape(-1).view(np.uint8).data


def _part_of(array: Array) -> tuple[int, ...]:
    """What is read at once: whole chunks where these fit, so that none is opened twice."""
    across = (*array.chunk_shape[:1], *array.shape[1:])
    if array.ndim and prod(across) * array.element.itemsize <= _THICKEST:
        return tuple(max(1, length) for length in across)
    return chunk_shape_for(array.shape, array.element.itemsize)
