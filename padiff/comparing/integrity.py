"""Whether what parted is still what was written, so that no changed byte passes for a fault."""

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from padiff.comparing.pieces import whole_of
from padiff.comparing.streaming import TensorPair
from padiff.errors import CorruptError
from padiff.store.chunks import chunk_grid
from padiff.store.format import digest
from padiff.store.reader import Section
from padiff.tree import TensorRecord

__all__ = ["check_intact"]


def check_intact(pairs: Iterable[TensorPair], jobs: int | None) -> None:
    """Read both sides of every pair once more, a chunk at a time, and compare the digests.

    Raises CorruptError for the first array that is not what its tree says.
    """
    with ThreadPoolExecutor(jobs or os.cpu_count(), "padiff-digest") as pool:
        try:
            deque(pool.map(_check_pair, pairs), maxlen=0)  # raises in the order of the pairs
        finally:
            pool.shutdown(cancel_futures=True)


def _check_pair(pair: TensorPair) -> None:
    _check_array(pair.base_section, whole_of(pair.base))
    _check_array(pair.raw_section, whole_of(pair.raw))


def _check_array(section: Section, tensor: TensorRecord) -> None:
    array = section.array(tensor)
    where = f"{tensor.array} of {section.location}"
    if array.metadata_digest() != tensor.metadata:
        raise _changed("the metadata", where)
    indices = product(*map(range, chunk_grid(array.shape, array.chunk_shape)))
    for index, expected in zip(indices, tensor.chunks, strict=True):
        if digest(array.chunk_bytes(index)) != expected:
            raise _changed(f"the chunk {index}", where)


def _changed(what: str, where: str) -> CorruptError:
    return CorruptError(
        f"expected {what} of the array {where} to have the digest that its tree gives, found "
        "another: it was changed after it was written, so dump it again"
    )
