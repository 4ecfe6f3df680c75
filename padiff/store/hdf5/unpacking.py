"""Chunks that went through filters: the HDF5 library sets no limit to what they unpack to.

Deflated ones are unpacked here. Of lzf the library makes at most a hundred times the bytes, but
takes as many turns for it, so these may not be many.
"""

import itertools
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from h5py import h5d, h5f, h5i, h5t, h5z
from numpy.typing import NDArray

from padiff.errors import CorruptError
from padiff.store.chunks import Selection

__all__ = ["read_packed"]

_MOST_MORE = 2**20  # bytes that a chunk may have beyond its own before the last step
_MOST_PACKED = 2**12  # bytes, and twice those of a chunk, whatever the filters
_CHECKSUM = 4  # bytes
_DEFLATE, _SHUFFLE, _FLETCHER = h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32
# None of these makes more bytes than the elements of the chunk have.
_BOUNDED = {_SHUFFLE, _FLETCHER, h5z.FILTER_NBIT, h5z.FILTER_SCALEOFFSET}


def read_packed(
    dataset: h5d.DatasetID, selection: Selection, out: NDArray[Any], kind: h5t.TypeID
) -> bool:
    """Fill the start of each axis of `out` with what is selected, of chunks that are packed.

    False where that is left to the library, to which no chunk is then any harm. Raises CorruptError
    where one would be.
    """
    plist = dataset.get_create_plist()
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    # where there is no chunk, to ask for one finds anything
    if not filters or not dataset.chunk_iter(lambda _: True):
        return False
    lengths, own = plist.get_chunk(), dataset.get_type()
    itemsize = own.get_size()
    size = prod(lengths) * itemsize
    # chunks at the edge may be left as they are, which only what is deflated tells from others
    complete = own.equal(kind) and {_DEFLATE} <= set(filters) <= {_DEFLATE, _SHUFFLE}
    for parts in itertools.product(*map(_parts, selection, lengths)):
        corner, target, source = zip(*parts, strict=True)
        try:
            mask, packed = dataset.read_direct_chunk(corner)
        except RuntimeError:  # it is not there
            complete = False
            continue
        used = [number for place, number in enumerate(filters) if not mask >> place & 1]
        try:
            data = _unpacked(packed, used, size, itemsize)
        except ValueError as error:
            names = h5f.get_name(dataset), h5i.get_name(dataset)
            where = b"".join(names).decode(errors="replace")
            raise CorruptError(
                f"expected the chunk at {corner} of {where} to have {size} bytes, found that "
                f"{error}: it was changed, or is made to fill memory"
            ) from None
        complete = complete and data is not None and len(data) == size
        if complete:
            out[target] = np.frombuffer(data, out.dtype).reshape(lengths)[source]
    return complete


def _parts(part: slice, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Along an axis the chunks in a selection: where each begins, and what to put where of it."""
    for corner in range(part.start - part.start % length, part.stop, length):
        start, stop = max(part.start, corner), min(part.stop, corner + length)
        yield (
            corner,
            slice(start - part.start, stop - part.start),
            slice(start - corner, stop - corner),
        )


def _unpacked(data: Any, filters: Sequence[int], size: int, itemsize: int) -> Any:
    """The bytes of a chunk before they went through the filters; None where others are left."""
    if len(data) > 2 * size + _MOST_PACKED:
        raise ValueError("more are packed in it")
    if sum(number not in _BOUNDED for number in filters) > 1:
        raise ValueError("it is packed more than once")
    for place in reversed(range(len(filters))):
        if filters[place] == _DEFLATE:
            try:
                data = zlib.decompressobj().decompress(data, size + _MOST_MORE)
            except zlib.error:  # or it lies at the edge, where some leave chunks as they are
                return None
            if len(data) >= size + _MOST_MORE:
                raise ValueError("it unpacks to more")
        elif filters[place] == _FLETCHER:
            data = data[:-_CHECKSUM]
        elif filters[place] == _SHUFFLE and not len(data) % itemsize:
            bytewise = np.frombuffer(data, np.uint8).reshape(itemsize, -1)
            data = np.empty(bytewise.shape[::-1], np.uint8)
            for number, each in enumerate(bytewise):  # in NumPy at once it takes thrice as long
                data[:, number] = each
            data = data.data.cast("B")
        else:
            return None
    return data
