"""Whether what parted is still what was written, so that no changed byte passes for a fault."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from padiff.comparing.pieces import whole_of
from padiff.comparing.streaming import TensorPair
from padiff.store.integrity import check_chunk, check_metadata, chunks_of
from padiff.store.reader import Section
from padiff.tree import TensorRecord

__all__ = ["check_intact"]


def check_intact(pairs: Iterable[TensorPair], jobs: int) -> None:
    """Read both sides of every pair once more, a chunk at a time, and compare digests or checksums.

    Raises CorruptError for the first array that is not what its tree says.
    """
    with ThreadPoolExecutor(jobs, "padiff-digest") as pool:
        try:
            deque(pool.map(_check_pair, pairs), maxlen=0)  # raises in the order of the pairs
        finally:
            pool.shutdown(cancel_futures=True)


def _check_pair(pair: TensorPair) -> None:
    for section, tensor in ((pair.base_section, pair.base), (pair.raw_section, pair.raw)):
        if section.header.foreign:
            section.array(whole_of(tensor)).check_intact()
        elif not section.header.tensors:  # or there are no elements
            _check_array(section, whole_of(tensor))


def _check_array(section: Section, tensor: TensorRecord) -> None:
    array = check_metadata(section, tensor)
    for index, expected in chunks_of(array, tensor):
        check_chunk(section, tensor, array, index, expected)
