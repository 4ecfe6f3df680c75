"""Data types for zarr-python: the floats that it lacks, which it knows once this is imported.

Nothing in padiff imports this: zarr does, through the entry points that padiff is installed with.
Two things zarr cannot do with these types: compress them in Zarr version 2, as numcodecs takes no
buffer of theirs, and keep the sign of zeros in a chunk of nothing else, which it takes for empty.
"""

import re
from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import Any, ClassVar, Self, SupportsFloat, SupportsIndex

import numpy as np
from zarr.core.dtype.common import HasEndianness, HasItemSize
from zarr.dtype import DataTypeValidationError, ZDType, data_type_registry

from padiff.dtypes import dtype_named

__all__ = ["BFloat16", "Float8E4M3FN", "Float8E4M3FNUZ", "Float8E5M2", "Float8E5M2FNUZ"]

_SPECIAL = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True, kw_only=True)
class _SmallFloat(ZDType[np.dtype[Any], np.generic], HasItemSize):
    """A type that has the same name in ml_dtypes and in Zarr of both versions, as TensorStore's."""

    native: ClassVar[np.dtype[Any]]

    def __init_subclass__(cls) -> None:
        cls.native = dtype_named(cls._zarr_v3_name).numpy
        cls.dtype_cls = type(cls.native)

    @classmethod
    def from_native_dtype(cls, dtype: np.dtype[Any]) -> Self:
        if cls._check_native_dtype(dtype):
            return cls()
        raise DataTypeValidationError(f"expected {cls.native}, got {dtype}")

    def to_native_dtype(self) -> np.dtype[Any]:
        return self.native

    @property
    def item_size(self) -> int:
        return self.native.itemsize

    @classmethod
    def _from_json_v2(cls, data: object) -> Self:
        if data == {"name": cls._zarr_v3_name, "object_codec_id": None}:
            return cls()
        raise DataTypeValidationError(f"expected the data type {cls._zarr_v3_name}, got {data!r}")

    @classmethod
    def _from_json_v3(cls, data: object) -> Self:
        if data == cls._zarr_v3_name:
            return cls()
        raise DataTypeValidationError(f"expected the data type {cls._zarr_v3_name}, got {data!r}")

    def to_json(self, zarr_format: int) -> Any:
        if zarr_format == 2:
            return {"name": self._zarr_v3_name, "object_codec_id": None}
        return self._zarr_v3_name

    def _check_scalar(self, data: object) -> bool:
        return isinstance(data, SupportsFloat | SupportsIndex | str)

    def cast_scalar(self, data: object) -> np.generic:
        if isinstance(data, np.generic) and data.dtype == self.native:
            return data  # by way of a number NaNs would all be the same
        if isinstance(data, SupportsFloat | SupportsIndex | str):
            return self._scalar(float(data))
        raise TypeError(f"expected a number for {self._zarr_v3_name}, got {data!r}")

    def default_scalar(self) -> np.generic:
        return self._scalar(0.0)

    def from_json_scalar(self, data: object, *, zarr_format: int) -> np.generic:
        """A number, its name where JSON lacks it, or in version 3 its bits: `"0x7fc0"`."""
        hexadecimal = f"0x[0-9a-fA-F]{{1,{2 * self.item_size}}}"
        if zarr_format == 3 and isinstance(data, str) and re.fullmatch(hexadecimal, data):
            return self._from_bits(int(data, 16))
        if data in _SPECIAL or (isinstance(data, int | float) and not isinstance(data, bool)):
            return self._scalar(float(data))
        raise TypeError(
            f"expected a fill value of {self._zarr_v3_name} to be a number, one of "
            f"{', '.join(_SPECIAL)}, or bits such as 0x{'7' * 2 * self.item_size}, found {data!r}"
        )

    def to_json_scalar(self, data: object, *, zarr_format: int) -> float | str:
        """As TensorStore writes it: of NaNs the usual one by name, others in version 3 by bits."""
        scalar = self.cast_scalar(data)
        number = float(scalar)
        if isfinite(number):
            return number
        if not isnan(number):
            return "Infinity" if number > 0 else "-Infinity"
        bits = self._bits(scalar)
        if zarr_format == 2 or bits == self._bits(self._scalar(nan)):
            return "NaN"
        return f"0x{bits:0{2 * self.item_size}x}"

    def _scalar(self, number: float) -> np.generic:
        scalar: np.generic = self.native.type(number)
        return scalar

    def _bits(self, scalar: np.generic) -> int:
        return int.from_bytes(scalar.tobytes(), "little")

    def _from_bits(self, bits: int) -> np.generic:
        scalar: np.generic = np.frombuffer(bits.to_bytes(self.item_size, "little"), self.native)[0]
        return scalar


@dataclass(frozen=True, kw_only=True)
class BFloat16(_SmallFloat, HasEndianness):
    """Its byte order is that of a codec alone: in memory ml_dtypes has no other than the native."""

    _zarr_v3_name = "bfloat16"

    def to_native_dtype(self) -> np.dtype[Any]:
        return self.native.newbyteorder("<" if self.endianness == "little" else ">")


class Float8E4M3FN(_SmallFloat):
    """Four bits of exponent, no infinities."""

    _zarr_v3_name = "float8_e4m3fn"


class Float8E4M3FNUZ(_SmallFloat):
    """Four bits of exponent, no infinities, no negative zero."""

    _zarr_v3_name = "float8_e4m3fnuz"


class Float8E5M2(_SmallFloat):
    """Five bits of exponent, infinities and NaNs as IEEE 754 has them."""

    _zarr_v3_name = "float8_e5m2"


class Float8E5M2FNUZ(_SmallFloat):
    """Five bits of exponent, no infinities, no negative zero."""

    _zarr_v3_name = "float8_e5m2fnuz"


for _type in (BFloat16, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ):
    if _type._zarr_v3_name not in data_type_registry.contents:  # a later zarr may have its own
        data_type_registry.register(_type._zarr_v3_name, _type)
