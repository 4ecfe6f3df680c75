"""All geometry: which chunks a tensor is written in, and which blocks it is read in."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CHUNK_BYTES",
    "Selection",
    "blocks",
    "chunk_grid",
    "chunk_selection",
    "chunk_shape_for",
    "empty",
    "near_cube",
    "padded",
]

Selection = tuple[slice, ...]

CHUNK_BYTES = 16 * 2**20


def chunk_shape_for(
    shape: tuple[int, ...], itemsize: int, limit: int = CHUNK_BYTES
) -> tuple[int, ...]:
    """Chunks of at most `limit` bytes that cut the fewest axes, the first ones first.

    The cut axis is divided evenly, so that the last chunk carries little padding. An axis of
    length 0 has chunks of length 1, since Zarr knows no empty chunk.
    """
    most = max(1, limit // itemsize)
    chunk = [max(1, length) for length in shape]
    for axis, length in enumerate(chunk):
        below = prod(chunk[axis + 1 :])
        if length * below <= most:
            break
        longest = max(1, most // below)
        pieces = -(-length // longest)
        chunk[axis] = -(-length // pieces)
    return tuple(chunk)


def near_cube(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """A part of at most `most` elements, as long along each axis as along the others, if it can be.

    What orders its axes in another way is then read in runs about as long.
    """
    part = [max(1, length) for length in shape]
    left = most
    for done, axis in enumerate(sorted(range(len(part)), key=part.__getitem__)):
        side = max(1, int(left ** (1 / (len(part) - done))))
        part[axis] = min(part[axis], side)
        left //= part[axis]
    return tuple(part)


def chunk_grid(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> tuple[int, ...]:
    """How many chunks lie along each axis; an empty tensor has none."""
    return tuple(-(-length // chunk) for length, chunk in zip(shape, chunk_shape, strict=True))


def chunk_selection(
    index: tuple[int, ...], shape: tuple[int, ...], chunk_shape: tuple[int, ...]
) -> Selection:
    """The part of the tensor that chunk `index` holds, without its padding."""
    return tuple(
        slice(i * chunk, min((i + 1) * chunk, length))
        for i, chunk, length in zip(index, chunk_shape, shape, strict=True)
    )


def empty(shape: Sequence[int], dtype: np.dtype[Any], into: NDArray[Any] | None) -> NDArray[Any]:
    """An array to be filled, at the start of the bytes `into` where there are any."""
    if into is None:
        return np.empty(shape, dtype)
    values: NDArray[Any] = into[: prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
    return values


def padded(values: NDArray[Any], chunk_shape: tuple[int, ...]) -> NDArray[Any]:
    """What a chunk holds of a tensor, with zeros where it sticks out; itself where it does not."""
    if values.shape == chunk_shape:
        return values
    whole = np.zeros(chunk_shape, values.dtype)
    whole[tuple(map(slice, values.shape))] = values
    return whole


def blocks(
    shape: tuple[int, ...], chunk_shape: tuple[int, ...], max_elements: int
) -> Iterator[Selection]:
    """Tile `shape` exactly once with blocks of at most `max_elements`, none across two chunks.

    Blocks come in C order of the chunks, and in C order inside each; all but an odd-sized last one
    are contiguous in their chunk.
    """
    inner = chunk_shape_for(chunk_shape, 1, max_elements)
    for index in product(*map(range, chunk_grid(shape, chunk_shape))):
        chunk = chunk_selection(index, shape, chunk_shape)
        steps = (
            range(part.start, part.stop, step) for part, step in zip(chunk, inner, strict=True)
        )
        for corner in product(*steps):
            yield tuple(
                slice(start, min(start + step, part.stop))
                for start, step, part in zip(corner, inner, chunk, strict=True)
            )
