"""Element types as HDF5 spells them.

Those that HDF5 has no word for are floating-point types of their bit layout, so that every tool
prints them as numbers. All layouts differ, some in the bias of the exponent alone, so a dataset's
type tells the element type. HDF5 takes the largest exponent for infinities and NaNs: of
float8_e4m3fn a tool that converts shows the numbers from 256 on as such.
"""

from functools import cache

import numpy as np
from h5py import h5t

from padiff.dtypes import DType, dtype_named
from padiff.errors import FormatError

__all__ = ["element_of", "type_of"]

_NATIVE = [
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64", "complex64", "complex128"),
]
# Bytes, bits of the exponent and of the mantissa, and the bias of the exponent.
_LAYOUTS = {
    "bfloat16": (2, 8, 7, 127),
    "float8_e4m3fn": (1, 4, 3, 7),
    "float8_e4m3fnuz": (1, 4, 3, 8),
    "float8_e5m2": (1, 5, 2, 15),
    "float8_e5m2fnuz": (1, 5, 2, 16),
}


@cache
def type_of(element: DType) -> h5t.TypeID:
    """The little-endian HDF5 type of an element type."""
    if element.name not in _LAYOUTS:
        return h5t.py_create(np.dtype(element.name).newbyteorder("<"), logical=True)
    size, exponent, mantissa, bias = _LAYOUTS[element.name]
    found = h5t.IEEE_F32LE.copy()
    found.set_fields(8 * size - 1, mantissa, exponent, 0, mantissa)
    found.set_ebias(bias)
    found.set_size(size)
    return found


_ELEMENTS: dict[bytes, DType] = {}


def element_of(found: h5t.TypeID) -> DType:
    """The element type of a dataset; FormatError when it is none of ours."""
    encoded = found.encode()
    if encoded not in _ELEMENTS:
        for name in (*_NATIVE, *_LAYOUTS):
            element = dtype_named(name)
            if found.equal(type_of(element)):
                _ELEMENTS[encoded] = element
                return element
        raise FormatError(
            f"expected the HDF5 type of one of {', '.join((*_NATIVE, *_LAYOUTS))}, "
            f"found one of {found.get_size()} bytes that is none of these"
        )
    return _ELEMENTS[encoded]
