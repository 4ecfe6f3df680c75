"""Element types as other tools write them."""

import numpy as np

from padiff.dtypes import DType, dtype_named
from padiff.errors import FormatError

__all__ = ["element_of", "swapped", "torch_element"]


def element_of(dtype: np.dtype[np.generic]) -> DType:
    """The element type of a NumPy type in any byte order; FormatError where there is none.

    Two bytes without a type are bfloat16: that is how NumPy and h5py write an array of it.
    """
    if dtype.kind == "V" and dtype.names is None and dtype.subdtype is None and dtype.itemsize == 2:
        return dtype_named("bfloat16")
    if dtype.hasobject:
        raise FormatError("its elements are Python objects, which padiff does not unpickle")
    try:
        return dtype_named(dtype.newbyteorder("=").name)
    except FormatError:
        raise FormatError(f"its elements are {dtype}, which padiff does not compare") from None


def swapped(dtype: np.dtype[np.generic]) -> bool:
    """Whether the bytes of an element come with the highest first."""
    return dtype.byteorder == ">"


def torch_element(name: str) -> DType:
    """The element type that torch calls `name`, or of the storage of that name."""
    name = name.removeprefix("torch.")
    kind = name.removesuffix("Storage")
    if kind != name:
        name = _STORAGES.get(kind, kind)
    return dtype_named(_SHORT.get(name, name))


_STORAGES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
_SHORT = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "cfloat": "complex64",
    "cdouble": "complex128",
}
