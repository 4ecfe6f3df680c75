"""The layer tree's record of a tensor that has been written."""

from padiff.store.writer import Stored
from padiff.tree import Phase, TensorRecord

__all__ = ["record_of"]


def record_of(
    stored: Stored, *, phase: Phase | None, place: str, device: str, order: int
) -> TensorRecord:
    """What the store says of an array, joined with what the recording knows of the tensor."""
    return TensorRecord(
        array=stored.array,
        phase=phase,
        place=place,
        shape=stored.shape,
        dtype=stored.dtype,
        device=device,
        order=order,
        stats=stored.stats,
        chunks=stored.chunks,
        metadata=stored.metadata,
        dims=stored.dims,
    )
