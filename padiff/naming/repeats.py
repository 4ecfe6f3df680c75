"""Parts of tensors that begin as other rows do, of the same tensor or of others."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from padiff.naming.values import Tensor

__all__ = ["Place", "repeated"]

_HEAD = 16  # elements that are looked at
_BLOCK = 2**16  # rows at a time

_Bits = NDArray[np.unsignedinteger]
_Kind = tuple[str, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part lies in a tensor, from one place of an axis up to another."""

    tensor: Tensor
    along: int
    span: tuple[int, int]


def repeated(places: Iterable[Place], tensors: Iterable[Tensor]) -> set[Place]:
    """Those whose first elements stand first in other rows too, and those too short to tell.

    The tensors are all of a side; the parts are of some of them.
    """
    kinds: dict[_Kind, dict[bytes, list[Place]]] = {}
    found: set[Place] = set()
    for place in places:
        start, stop = place.span
        if stop - start < _rows(place.tensor, place.along):
            found.add(place)
            continue
        (head,) = _heads(place.tensor, place.along, start, start + 1)
        heads = kinds.setdefault(_kind(place.tensor, place.along), {})
        heads.setdefault(head.tobytes(), []).append(place)
    seen = Counter(
        (kind, head)
        for tensor in tensors
        for along in range(min(2, len(tensor.shape)))
        for kind in [_kind(tensor, along)]
        if kind in kinds
        for head in _among(tensor, along, kinds[kind])
    )
    for kind, heads in kinds.items():
        found.update(p for head, held in heads.items() if seen[kind, head] > 1 for p in held)
    return found


def _among(tensor: Tensor, along: int, wanted: Iterable[bytes]) -> Iterator[bytes]:
    """What is wanted, as often as a row of the tensor begins with it."""
    if tensor.open is None:
        return
    held = set(wanted)
    for start in range(0, tensor.shape[along], _BLOCK):
        heads = _heads(tensor, along, start, min(start + _BLOCK, tensor.shape[along]))
        firsts = np.array([np.frombuffer(head, heads.dtype)[0] for head in held])
        for at in np.flatnonzero(np.isin(heads[:, 0], firsts)):
            head = heads[at].tobytes()
            if head in held:
                yield head


def _heads(tensor: Tensor, along: int, start: int, stop: int) -> _Bits:
    """What stands first in each row, as bits; of short rows, in that and in the next."""
    assert tensor.open is not None
    rows = _rows(tensor, along)
    selection = [slice(0, min(n, _HEAD)) for n in tensor.shape]
    selection[along] = slice(start, min(stop + rows - 1, tensor.shape[along]))
    values = np.moveaxis(tensor.open().read(tuple(selection)), along, 0)
    values = np.ascontiguousarray(values.reshape(len(values), -1)[:, :_HEAD])
    bits = values.view(f"u{values.itemsize}")
    if len(bits) < rows:
        return bits[:0]
    heads = sliding_window_view(bits, rows, axis=0)
    return np.ascontiguousarray(heads).reshape(len(heads), -1)


def _rows(tensor: Tensor, along: int) -> int:
    """In how many rows so many elements stand."""
    each = prod(tensor.shape[:along] + tensor.shape[along + 1 :])
    return -(-_HEAD // min(_HEAD, each))


def _kind(tensor: Tensor, along: int) -> _Kind:
    """The same for those whose rows may be the same."""
    return tensor.dtype, along, tensor.shape[:along] + tensor.shape[along + 1 :]
