"""A file of safetensors: its header, then the tensors, each written once."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from padiff.converting.state import State, check_types, pieces_of
from padiff.dtypes import dtype_named
from padiff.errors import UsageError
from padiff.jsonio import Json, dumps
from padiff.store.array import Array
from padiff.store.files import write_pieces
from padiff.store.foreign.safetensors import LONGEST, METADATA, TYPES
from padiff.store.section import bytes_of
from padiff.tree import TensorRecord

__all__ = ["check_safetensors", "write_safetensors"]

_ALIGNMENT = 8  # bytes, of where the tensors begin
_KINDS = {name: kind for kind, name in TYPES.items()}
_FORMATS = {"torch": "pt", "paddle": "pd"}


def check_safetensors(state: State) -> None:
    """UsageError for what the format cannot hold."""
    check_types(state, "safetensors", _KINDS.__contains__, ".npz")
    if METADATA in state.tensors:
        raise UsageError(
            f"expected names of tensors in {state.section.location}, found {METADATA}, which "
            "safetensors keeps for itself: convert it to .npz, Zarr or HDF5"
        )
    if (size := len(_header(state))) > LONGEST:
        raise UsageError(
            f"expected names that fit a header of safetensors, which has at most {LONGEST} bytes, "
            f"found {size} of {len(state.tensors)} tensors in {state.section.location}: convert "
            "it to .npz, Zarr or HDF5"
        )


def write_safetensors(
    path: Path, state: State, read: Callable[[TensorRecord], Array]
) -> Mapping[str, TensorRecord]:
    """Write a new file; what is in it. Raises what `read` does, and WriteError."""
    header = _header(state)
    written = _written(state)
    size = len(header) + sum(map(bytes_of, written.values()))
    write_pieces(path, chain([memoryview(header)], _elements(written, read)), size)
    return written


def _written(state: State) -> dict[str, TensorRecord]:
    """Each tensor once, those of the longest elements first, which so need no padding."""
    once = {name: each for name, each in state.tensors.items() if name not in state.tied}
    longest = sorted(once, key=lambda name: -dtype_named(once[name].dtype).itemsize)
    return {name: once[name] for name in longest}


def _elements(
    tensors: Mapping[str, TensorRecord], read: Callable[[TensorRecord], Array]
) -> Iterator[memoryview]:
    for tensor in tensors.values():
        yield from pieces_of(read(tensor))


def _header(state: State) -> bytes:
    """The header in the order of the tree, with its length before it."""
    metadata = dict(state.tied)  # as the library itself tells of what is written once
    if state.section.header.framework in _FORMATS:
        metadata["format"] = _FORMATS[state.section.header.framework]
    extents, end = {}, 0
    for name, tensor in _written(state).items():
        extents[name] = [end, end + bytes_of(tensor)]
        end += bytes_of(tensor)
    values: Json = {METADATA: metadata} if metadata else {}
    for name in [name for name in state.tensors if name in extents]:
        tensor = state.tensors[name]
        values[name] = {
            "dtype": _KINDS[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": extents[name],
        }
    text = dumps(values).encode(errors="backslashreplace")
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
