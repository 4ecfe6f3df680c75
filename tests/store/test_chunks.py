from itertools import product
from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from padiff.store.chunks import blocks, chunk_grid, chunk_selection, chunk_shape_for

shapes = st.lists(st.integers(0, 9), max_size=4).map(tuple)


@st.composite
def shapes_and_chunks(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = draw(shapes)
    return shape, tuple(draw(st.integers(1, 10)) for _ in shape)


@given(shapes, st.integers(1, 16), st.integers(1, 200))
def test_chunks_hold_at_most_the_limit_and_tile_the_shape(
    shape: tuple[int, ...], itemsize: int, limit: int
) -> None:
    chunk = chunk_shape_for(shape, itemsize, limit)
    assert prod(chunk) * itemsize <= max(limit, itemsize)
    assert all(1 <= c <= max(1, length) for c, length in zip(chunk, shape, strict=True))
    seen = np.zeros(shape, int)
    for index in product(*map(range, chunk_grid(shape, chunk))):
        seen[chunk_selection(index, shape, chunk)] += 1
    assert (seen == 1).all()


def test_chunks_cut_the_first_axes_evenly() -> None:
    assert chunk_shape_for((2048, 2048), 4) == (2048, 2048)
    assert chunk_shape_for((2**28,), 4) == (2**22,)
    # 5 chunks of at most 4: two of 3 carry less padding than one of 4 and one of 1
    assert chunk_shape_for((5, 2**22), 1) == (3, 2**22)
    assert chunk_shape_for((), 8) == ()
    assert chunk_shape_for((0, 3), 8) == (1, 3)


@given(shapes_and_chunks(), st.integers(1, 50))
def test_blocks_tile_exactly_once_within_chunks(
    case: tuple[tuple[int, ...], tuple[int, ...]], most: int
) -> None:
    shape, chunk = case
    seen = np.zeros(shape, int)
    for block in blocks(shape, chunk, most):
        seen[block] += 1
        assert 0 < seen[block].size <= most
        for part, length in zip(block, chunk, strict=True):
            assert part.start // length == (part.stop - 1) // length
    assert (seen == 1).all()
