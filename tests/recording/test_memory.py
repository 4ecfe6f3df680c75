"""The memory that captured tensors lie in: bounded, used again, and nobody else's meanwhile."""

import gc
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import padiff
from padiff.errors import UsageError
from padiff.recording.memory import Memory, bytes_in

LIMIT = 10_000


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 5)), max_size=40))
def test_what_is_lent_never_overlaps_nor_exceeds_the_limit(
    events: list[tuple[int, int]],
) -> None:
    """Takes of any size, after each of which one of those that are held may be let go."""
    memory = Memory(LIMIT)
    held: list[tuple[int, NDArray[np.uint8]]] = []
    for number, (size, gone) in enumerate(events):
        lent = memory.take(size)
        if lent is None:
            assert (
                sum(other.nbytes for _, other in held) + size * 1.125 + 64 * len(held) > LIMIT / 2
            )
        else:
            assert lent.nbytes == size
            lent[:] = number % 256
            held.append((number, lent))
        assert sum(other.nbytes for _, other in held) <= LIMIT
        if gone < len(held):
            del held[gone]
        lent = None
        for other, values in held:
            assert (values == other % 256).all()


def test_what_came_back_is_lent_again() -> None:
    memory = Memory(LIMIT)
    first = memory.take(5000)
    assert first is not None
    address = first.ctypes.data
    view = first[10:20].view(np.int16).reshape(5, 1)
    del first
    other = memory.take(4000)  # a view of the first is still there
    assert other is not None
    assert other.ctypes.data != address
    del view
    again = memory.take(4990)
    assert again is not None
    assert again.ctypes.data == address


def test_sizes_that_change_leave_no_more_behind_than_was_lent_at_once() -> None:
    memory = Memory(10**9)
    for size in range(1000, 400_000, 1000):
        assert memory.take(size) is not None
    gc.collect()
    idle = sum(len(buffer) for held in memory._buffers.values() for buffer in held)
    assert idle < 2 * 450_000


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(12).astype(ml_dtypes.bfloat16).reshape(3, 4)[:, ::2],
        np.array(3, np.int64),
        np.zeros((0, 3), np.complex64),
        np.arange(5, dtype=">i4"),
        np.array([True, False]),
    ],
    ids=["transposed", "bfloat16", "0-d", "empty", "other byte order", "bool"],
)
def test_copies_are_contiguous_and_equal(values: NDArray[Any]) -> None:
    copied = Memory(LIMIT).copy(values)
    assert copied is not None
    assert copied.flags.c_contiguous
    assert (copied.dtype, copied.shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(copied, values)
    assert not np.shares_memory(copied, values)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("1GiB", 2**30), ("256 MiB", 2**28), ("1.5kb", 1500), (7, 7), (0, 0), ("0B", 0)],
)
def test_sizes_in_words(size: str | int, expected: int) -> None:
    assert bytes_in(size) == expected


@pytest.mark.parametrize("size", ["much", "1", "-1GiB", -1, 1.5, None, True, "1 PiB", ""])
def test_what_is_no_size_is_refused(size: Any) -> None:
    import torch

    with pytest.raises(UsageError, match=r"expected memory_limit .* such as '256MiB'"):
        padiff.create_model(torch.nn.ReLU(), memory_limit=size)
