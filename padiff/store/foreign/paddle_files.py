"""What `paddle.save` writes: a pickle of NumPy arrays by name, elements in place."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from padiff.dtypes import dtype_named
from padiff.errors import CorruptError, FormatError, PadiffError
from padiff.store.foreign.contents import Contents, Entry, put
from padiff.store.foreign.elements import element_of, swapped
from padiff.store.foreign.machine import Object, Span, as_text
from padiff.store.foreign.pickles import read_pickle
from padiff.store.foreign.values import named_values, outermost, sizes_of
from padiff.store.raw import OpenFile, RawArray, strides_of

__all__ = ["read_paddle"]

KIND = "a file of paddle"
_OWN_NAMES = "StructuredToParameterName@@"  # by which a process calls parameters; all files have it
_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_NAMES = (
    *("numpy.ndarray", "numpy.dtype", *_RECONSTRUCT),
    *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    "_codecs.encode",
)


def read_paddle(path: Path) -> Contents:
    """The tensors of a `.pdparams` or `.pdopt` file."""
    file, where = OpenFile(path), str(path)
    state, _ = read_pickle(file.part(0, file.size), 0, _NAMES, where)
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    others: list[str] = []
    if isinstance(state, dict):
        state.pop(_OWN_NAMES, None)
    for name, value in named_values(state, _is_tensor, others):
        try:
            put(entries, name, _entry(file, f"{where}/{name}", value), where)
        except CorruptError:
            raise
        except FormatError as error:
            refused[name] = str(error)
    return Contents(KIND, "paddle", entries, refused, outermost(others, [*entries, *refused]))


def _is_tensor(value: object) -> bool:
    return isinstance(value, Object) and value.kind in ("builtins.tuple", *_RECONSTRUCT)


def _entry(file: OpenFile, where: str, value: Any) -> Entry:
    try:
        if value.kind == "builtins.tuple":  # a tensor in another thing than a state dict
            ((_, value),) = value.args
        _, shape, dtype, fortran, held = value.state
        if not isinstance(held, Span):
            raise FormatError(
                "its elements are not as they were in memory: save it again with protocol=4"
            )
        return _in_place(file, where, shape, _dtype(dtype), held, fortran=bool(fortran))
    except PadiffError:
        raise
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise CorruptError(
            f"expected an array as paddle saves it at {where}, found something else ({error}): "
            "save it again"
        ) from None


def _dtype(value: Any) -> np.dtype[Any]:
    """A NumPy type of numbers, from its code such as `f4` and the order of its bytes."""
    code, order = as_text(value.args[0]), value.state[1]
    if code[:1] not in ("b", "i", "u", "f", "c") or not code[1:].isdecimal():
        raise FormatError(f"its elements are {code:.20}, which padiff does not compare")
    return np.dtype(code).newbyteorder(order if order in ("<", ">") else "=")


def _in_place(
    file: OpenFile, where: str, shape: Any, dtype: np.dtype[Any], held: Span, *, fortran: bool
) -> Entry:
    shape = sizes_of(shape)
    element = element_of(dtype)
    if element.name == "uint16":  # NumPy has no bfloat16, for which paddle takes this
        element = dtype_named("bfloat16")
    if prod(shape) * element.itemsize != held.size:
        raise CorruptError(
            f"expected {prod(shape)} elements of {element.name} at {where}, found {held.size} "
            "bytes: it was cut short or changed, so save it again"
        )
    strides = strides_of(shape, element.itemsize)
    if fortran:
        strides = strides_of(shape[::-1], element.itemsize)[::-1]
    is_swapped = swapped(dtype)
    return Entry(
        shape,
        element,
        lambda: RawArray(file, where, shape, element, held.start, strides, swapped=is_swapped),
    )
