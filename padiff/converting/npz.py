"""A file of NumPy's arrays, `.npz`, unpacked, each tensor under its name."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from numpy.lib import format as npy

from padiff.converting.state import State, check_types, pieces_of
from padiff.store.array import Array
from padiff.store.files import Writing
from padiff.store.section import bytes_of
from padiff.tree import TensorRecord

__all__ = ["check_npz", "write_npz"]

_DATE = (1980, 1, 1, 0, 0, 0)  # the same content makes the same bytes


def check_npz(state: State) -> None:
    """UsageError for elements that NumPy writes as bytes of which nobody can tell the type.

    Of bfloat16 it does so too, but no other type without a name has two bytes.
    """
    check_types(state, "NumPy", lambda dtype: not dtype.startswith("float8"), ".safetensors")


def write_npz(
    path: Path, state: State, read: Callable[[TensorRecord], Array]
) -> Mapping[str, TensorRecord]:
    """Write a new file; what is in it. Raises what `read` does, and WriteError."""
    size = sum(map(bytes_of, state.tensors.values()))
    with Writing(path, size), zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as file:
        for name, tensor in state.tensors.items():
            array = read(tensor)
            header = {
                "descr": npy.dtype_to_descr(array.dtype),
                "fortran_order": False,
                "shape": array.shape,
            }
            member = zipfile.ZipInfo(f"{name}.npy", _DATE)
            with file.open(member, "w", force_zip64=True) as target:
                npy.write_array_header_1_0(target, header)
                for piece in pieces_of(array):
                    target.write(piece)
    return state.tensors
