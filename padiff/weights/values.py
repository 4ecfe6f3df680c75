"""The elements of weights: read, turned into raw's type without harm, and put in their place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import dtype_of
from padiff.frameworks.base import Framework
from padiff.recording.capture import host_tensor
from padiff.weights.inventory import Weight

__all__ = ["Fault", "merge", "read", "stands_for_none"]

Elements = NDArray[Any]

_WIDER = ("exact", "real", "complex")


@dataclass(frozen=True, slots=True)
class Fault:
    """Which copy into a tensor cannot be made, why, and which earlier one it contradicts if so."""

    number: int
    reason: str
    other: int | None = None


def read(framework: Framework, weight: Weight) -> Elements | str:
    """A copy of the whole tensor in C order, or the reason why it cannot be read."""
    if weight.shape is None:
        return weight.reason
    host = host_tensor(framework, weight.tensor)
    return host if isinstance(host, str) else np.array(host.values, order="C")


def stands_for_none(framework: Framework, weight: Weight) -> bool:
    """Whether nothing would change without it: untrained, and of the value that does nothing."""
    if weight.part.neutral is None or framework.wants_gradient(weight.tensor):
        return False
    elements = read(framework, weight)
    if isinstance(elements, str):
        return False
    return bool((weight.part.view(elements) == weight.part.neutral).all())


def merge(
    base: Framework, raw: Framework, copies: Sequence[tuple[Weight, Weight]]
) -> Elements | Fault:
    """The elements of one tensor of raw once all copies into it are made.

    A fault where elements cannot be read, raw's type does not hold them, or an earlier copy has put
    others there.
    """
    whole = read(raw, copies[0][1])
    if isinstance(whole, str):
        return Fault(0, f"raw's tensor cannot be read: {whole}")
    # by which copy each element was written, where several go into one tensor
    writers = np.full(whole.shape, -1, np.int32) if len(copies) > 1 else None
    for number, (source, target) in enumerate(copies):
        elements = read(base, source)
        if isinstance(elements, str):
            return Fault(number, f"base's tensor cannot be read: {elements}")
        values = _converted(source.part.view(elements), whole.dtype)
        if isinstance(values, str):
            return Fault(number, values)
        place = target.part.view(whole)
        if writers is not None:
            there = target.part.view(writers)
            differing = there[~_same(place, values) & (there >= 0)]
            if differing.size:
                return Fault(number, "base has other values at other places", int(differing[0]))
            there[...] = number
        place[...] = values
    return whole


def _converted(values: Elements, dtype: np.dtype[Any]) -> Elements | str:
    ours, theirs = dtype_of(values.dtype), dtype_of(dtype)
    with np.errstate(all="ignore"):
        if _WIDER.index(ours.kind) > _WIDER.index(theirs.kind):
            return f"raw's {theirs.name} cannot hold base's {ours.name}"
        converted = values.astype(dtype)
        if theirs.kind == "exact":
            held = bool((converted == values).all())
        else:
            held = not (np.isfinite(values) & ~np.isfinite(converted)).any()
    if not held:
        return f"raw's {theirs.name} cannot hold a value of base's {ours.name}: it is too large"
    return converted


def _same(a: Elements, b: Elements) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (a == b) | ((a != a) & (b != b))
    return same
