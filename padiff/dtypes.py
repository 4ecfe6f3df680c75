"""The element types padiff stores: one table for memory, disk and arithmetic."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padiff.errors import FormatError, UsageError

__all__ = ["DType", "absolute", "dtype_named", "dtype_of", "kernel_input"]

Kind = Literal["exact", "real", "complex"]


@dataclass(frozen=True, slots=True)
class DType:
    """One element type.

    `name` is at once the name in the layer tree, the Zarr version 3 data type and the NumPy (or
    ml_dtypes) type. `kind` decides how pairs compare: `exact` (integers and booleans) only equal,
    `real` within tolerance, `complex` within tolerance by absolute value.
    """

    name: str
    kind: Kind
    itemsize: int

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type in memory, in native (little-endian) byte order."""
        return _numpy_dtype(self.name)

    @property
    def eps(self) -> float:
        """The distance from 1 to the next larger number; 0 of whole numbers, which are exact."""
        return 0.0 if self.kind == "exact" else float(np.spacing(np.ones((), self.numpy).real))


# bfloat16 and the float8 family carry the names of ml_dtypes, which TensorStore writes too.
_TABLE: dict[str, DType] = {
    d.name: d
    for d in (
        DType("bool", "exact", 1),
        *(DType(f"{sign}int{8 * n}", "exact", n) for sign in ("", "u") for n in (1, 2, 4, 8)),
        *(DType(f"float{8 * n}", "real", n) for n in (2, 4, 8)),
        DType("bfloat16", "real", 2),
        DType("float8_e4m3fn", "real", 1),
        DType("float8_e4m3fnuz", "real", 1),
        DType("float8_e5m2", "real", 1),
        DType("float8_e5m2fnuz", "real", 1),
        DType("complex64", "complex", 8),
        DType("complex128", "complex", 16),
    )
}


@cache
def _numpy_dtype(name: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(name)
    except TypeError:
        import ml_dtypes  # only stores that hold such a type pay for its import

        dtype = np.dtype(getattr(ml_dtypes, name))
    return dtype


def dtype_named(name: object) -> DType:
    """The type called `name` in a store; FormatError when padiff does not know it."""
    if isinstance(name, str) and name in _TABLE:
        return _TABLE[name]
    raise FormatError(f"expected one of the dtypes {', '.join(_TABLE)}, found {name!r}")


@cache  # a dtype's name is computed anew each time it is asked for
def dtype_of(dtype: np.dtype[Any]) -> DType:
    """The table's entry for a NumPy or ml_dtypes type; UsageError when it has none."""
    if dtype.name in _TABLE:
        return _TABLE[dtype.name]
    raise UsageError(f"expected a tensor of dtype {', '.join(_TABLE)}, got {dtype}")


def absolute(values: NDArray[Any]) -> NDArray[np.float64]:
    """Absolute values of complex numbers in float64.

    Where both parts are finite so is the result: the largest number there is stands for a larger.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        wide = values.astype(np.complex128, copy=False)
        sizes: NDArray[np.float64] = np.abs(wide)
        return np.minimum(sizes, np.finfo(np.float64).max, out=sizes, where=np.isfinite(wide))


def kernel_input(values: NDArray[Any]) -> tuple[NDArray[np.void], str]:
    """Real elements as mere bytes, and the name of a type that the kernel reads.

    It reads all but float8, of which float32 holds every value, and complex numbers.
    """
    name = dtype_of(values.dtype).name
    if name.startswith("float8"):
        values, name = values.astype(np.float32), "float32"
    return values.view(f"V{values.itemsize}"), name
