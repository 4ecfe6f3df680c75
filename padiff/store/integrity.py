"""Whether an array is still what was written: its digests against those of its section's tree."""

from collections.abc import Iterator
from itertools import product

from padiff.errors import CorruptError
from padiff.store.array import StoredArray
from padiff.store.chunks import chunk_grid
from padiff.store.format import digest
from padiff.store.section import Section
from padiff.tree import TensorRecord

__all__ = ["check_chunk", "check_metadata", "chunks_of"]


def check_metadata(section: Section, tensor: TensorRecord) -> StoredArray:
    """The array of a tensor; CorruptError when it is not the one that the tree describes."""
    array = section.stored(tensor)
    if array.metadata_digest() != tensor.metadata:
        raise _changed("the metadata", section, tensor, array.file_of(None))
    return array


def chunks_of(array: StoredArray, tensor: TensorRecord) -> Iterator[tuple[tuple[int, ...], str]]:
    """The index of every chunk, and the digest that the tree gives for it."""
    grid = chunk_grid(array.shape, array.chunk_shape)
    return zip(product(*map(range, grid)), tensor.chunks, strict=True)


def check_chunk(
    section: Section,
    tensor: TensorRecord,
    array: StoredArray,
    index: tuple[int, ...],
    expected: str,
) -> memoryview:
    """The bytes of a chunk; CorruptError when they are not those that were written."""
    data = array.chunk_bytes(index)
    if digest(data) != expected:
        raise _changed(f"the chunk {index}", section, tensor, array.file_of(index))
    return data


def _changed(what: str, section: Section, tensor: TensorRecord, file: str) -> CorruptError:
    return CorruptError(
        f"expected {what} of the array {tensor.array} of {section.location} to have the digest "
        f"that its tree gives, found another in {file}: it was changed after it was written, so "
        "dump it again"
    )
