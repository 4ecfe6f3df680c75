"""The figures of one pair of tensors in memory, of any types and strides.

All arithmetic is in float64, whatever the tensors hold. Elements of which either side is NaN or
infinite are counted and left out of every other figure.
"""

import operator
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff._kernel import compare
from padiff.comparing.criterion import Criterion
from padiff.comparing.statistics import Element, PairStatistics, Value, merge
from padiff.dtypes import absolute, dtype_of, kernel_input
from padiff.store.chunks import blocks, near_cube

__all__ = ["errors_of", "in_blocks", "of_pair", "value_of"]

# Elements of what must be converted first: a block stays in the processor's cache.
_BLOCK = 2**16

Values = NDArray[Any]


def of_pair(
    base: Values, raw: Values, criterion: Criterion, origin: tuple[int, ...] = ()
) -> PairStatistics:
    """The figures of two arrays of one shape and any strides, of any types in the table.

    `origin` is where the arrays lie in the tensors they are part of, for the index of the worst
    element.
    """
    origin = origin or (0,) * base.ndim
    exact = dtype_of(base.dtype).kind == dtype_of(raw.dtype).kind == "exact"
    atol, rtol = (0.0, 0.0) if exact else (criterion.atol, criterion.rtol)
    if not (_is_converted(base) or _is_converted(raw)):
        return _compared((base, raw), (base, raw), atol, rtol, origin)
    total = PairStatistics()
    for corner, ours, theirs in in_blocks(base, raw, origin):
        total = merge(total, _of_converted(ours, theirs, atol, rtol, corner))
    return total


def in_blocks(
    base: Values, raw: Values, origin: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Values, Values]]:
    """Cut two arrays alike, so that a block stays in the processor's cache; and where each begins.

    `origin` is where the arrays lie in the tensors they are part of.
    """
    for selection in blocks(base.shape, _tile(base, raw), _BLOCK):
        part: Any = (*selection, ...)  # the dots keep a 0-d array an array
        corner = tuple(o + along.start for o, along in zip(origin, selection, strict=True))
        yield corner, base[part], raw[part]


def errors_of(base: Values, raw: Values) -> NDArray[np.float64]:
    """The absolute difference of each element, in C order.

    It is infinite just where one side alone is NaN or infinite, or the sides are so differently:
    the largest number there is stands for a larger difference. It is 0 where they are so alike.
    """
    with np.errstate(all="ignore"):
        errors = _differences(base, raw)
        if np.isfinite(errors.max(initial=0)):
            return errors
        wide = np.complex128 if "c" in (base.dtype.kind, raw.dtype.kind) else np.float64
        base, raw = base.astype(wide), raw.astype(wide)
        odd = ~(np.isfinite(base) & np.isfinite(raw))
        alike = (base == raw) | (np.isnan(base) & np.isnan(raw))
        np.minimum(errors, np.finfo(np.float64).max, out=errors)
        errors[odd] = np.where(alike[odd], 0, np.inf)
    return errors


def _differences(base: Values, raw: Values) -> NDArray[np.float64]:
    if "c" in (base.dtype.kind, raw.dtype.kind):
        return np.asarray(np.abs(np.subtract(raw, base, dtype=np.complex128, order="C")))
    errors = None
    if _is_wide_integer(base) or _is_wide_integer(raw):
        errors = _wide_integer_errors(*(np.asarray(values, order="C") for values in (base, raw)))
    if errors is None:
        ours, theirs = (_of_numpy(values) for values in (base, raw))
        errors = np.subtract(theirs, ours, dtype=np.float64, order="C")
    errors = np.asarray(errors)  # of a 0-d array NumPy gives a number
    return np.absolute(errors, out=errors)


def _of_numpy(values: Values) -> Values:
    """The elements in a type that NumPy brings: those of other libraries it does not subtract."""
    return values.astype(np.float32) if values.dtype.isbuiltin == 2 else values


def _is_converted(values: Values) -> bool:
    """Whether more than the elements themselves is needed in memory."""
    element = dtype_of(values.dtype)
    is_float8 = element.kind == "real" and element.itemsize == 1
    return element.kind == "complex" or is_float8 or _is_wide_integer(values)


def _tile(base: Values, raw: Values) -> tuple[int, ...]:
    """The shape to cut into blocks: all of it, unless the two sides order their axes differently.

    Then neither side is read one element a cache line.
    """
    if _in_c_order(base) and _in_c_order(raw):
        return tuple(max(1, length) for length in base.shape)
    return near_cube(base.shape, _BLOCK)


def _in_c_order(values: Values) -> bool:
    strides = [
        step for step, length in zip(values.strides, values.shape, strict=True) if length > 1
    ]
    return all(a >= b for a, b in pairwise(strides))


def _of_converted(
    base: Values, raw: Values, atol: float, rtol: float, corner: tuple[int, ...]
) -> PairStatistics:
    """The figures of a block, of which the kernel reads copies; `corner` is where it begins."""
    left, right = np.ascontiguousarray(base), np.ascontiguousarray(raw)
    errors = product = None
    if "c" in (base.dtype.kind, raw.dtype.kind):
        left, right, errors, product = _complex_parts(left, right)
    elif _is_wide_integer(base) or _is_wide_integer(raw):
        errors = _wide_integer_errors(left, right)
    return _compared((base, raw), (left, right), atol, rtol, corner, errors, product)


def _compared(
    pair: tuple[Values, Values],
    read: tuple[Values, Values],
    atol: float,
    rtol: float,
    corner: tuple[int, ...],
    errors: Values | None = None,
    product: float | None = None,
) -> PairStatistics:
    """What the kernel finds in what it is to `read` for a pair."""
    left, right = read
    found = compare(*kernel_input(left), *kernel_input(right), atol, rtol, errors)
    figures, known_product, at = found[:12], found[12], found[13]
    worst = None if at < 0 else _worst(at, *pair, corner)
    return PairStatistics(*figures, known_product if product is None else product, worst)


def _worst(flat: int, base: Values, raw: Values, corner: tuple[int, ...]) -> Element:
    index: list[int] = []
    for length in reversed(base.shape):
        flat, place = divmod(flat, length)
        index.insert(0, place)
    element = tuple(index)
    place_in_tensor = tuple(map(operator.add, element, corner))
    return Element(place_in_tensor, value_of(base[element]), value_of(raw[element]))


def value_of(element: Any) -> Value:
    """An element as a number of Python's, exactly."""
    kind = dtype_of(element.dtype).kind
    if kind == "exact":
        return int(element)
    return complex(element) if kind == "complex" else float(element)


def _complex_parts(base: Values, raw: Values) -> tuple[Values, Values, Values, float]:
    """Absolute values of both sides and of their difference, and the real part of the product.

    What is not finite becomes NaN: on both sides where they agree, on raw's alone where not. A
    difference too large for float64 is infinite, and no tolerance allows it.
    """
    with np.errstate(all="ignore"):
        base, raw = base.astype(np.complex128), raw.astype(np.complex128)
        odd = ~(np.isfinite(base) & np.isfinite(raw))
        alike = (base == raw) | (np.isnan(base) & np.isnan(raw))
        base[odd] = raw[odd] = 0
        sizes, others, errors = absolute(base), absolute(raw), np.abs(raw - base)
        product = float(np.sum(base.real * raw.real + base.imag * raw.imag))
    sizes[odd & alike] = others[odd] = errors[odd] = np.nan
    return sizes, others, errors, product


def _is_wide_integer(values: Values) -> bool:
    return values.dtype.kind in "iu" and values.dtype.itemsize == 8


def _wide_integer_errors(base: Values, raw: Values) -> Values | None:
    """Absolute differences that are zero only where the integers are equal.

    Float64 cannot tell neighbours beyond 2**53 apart. None beside what is no integer.
    """
    if not {base.dtype.kind, raw.dtype.kind} <= set("biu"):
        return None  # NumPy has no common type for some of these
    common = np.result_type(base, raw)
    if common.kind in "iu":
        # both bounds wrap around alike, so their difference as unsigned is the true one
        high = np.maximum(base, raw, dtype=common).astype(np.uint64)
        return (high - np.minimum(base, raw, dtype=common).astype(np.uint64)).astype(np.float64)
    # uint64 beside a signed type
    errors = np.absolute(np.subtract(raw, base, dtype=np.float64))
    return np.maximum(errors, np.not_equal(base, raw))
