"""What the compiled kernel refuses, and that it finds the same whatever way elements lie.

Its figures are held against NumPy's where they are used.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from padiff._kernel import compare, describe, end_when_cut_short, read_part

ONES = np.ones(4, np.float32)


@pytest.mark.parametrize("dtype", ["float8_e5m2", "complex64", "float", ""])
def test_a_type_it_does_not_know(dtype: str) -> None:
    with pytest.raises(TypeError, match=f"got {dtype}$"):
        describe(ONES, dtype)
    for names in ((dtype, "float32"), ("float32", dtype)):
        with pytest.raises(TypeError, match=f"got {dtype}$"):
            compare(ONES, names[0], ONES, names[1], 0.0, 0.0, None)


@pytest.mark.parametrize(
    ("raw", "errors", "expected"),
    [
        (np.ones((2, 3)), None, "one shape on either side"),
        (np.ones(6), None, "as many axes on either side"),
        (np.ones((3, 2), np.float32), None, "elements of raw of its type's size"),
        (np.ones((3, 2)), np.ones(5), "as many errors as elements"),
        (np.ones((2, 3)).T, np.ones(6), "both sides in C order beside errors"),
    ],
)
def test_arrays_that_do_not_go_together(
    raw: NDArray[Any], errors: NDArray[Any] | None, expected: str
) -> None:
    base = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=expected):
        compare(base, "float32", raw, "float64", 0.0, 0.0, errors)
    with pytest.raises(ValueError, match="elements of base of its type's size"):
        compare(base, "float64", np.ones((3, 2)), "float64", 0.0, 0.0, None)


def test_memory_that_is_not_contiguous() -> None:
    with pytest.raises(ValueError, match="not C-contiguous"):
        describe(np.ones((4, 4), np.float32)[:, ::2], "float32")


def test_a_place_that_cannot_be_written_to() -> None:
    target = np.ones(3)
    target.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        read_part(0, 0, (8,), target)


def test_parts_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(bytes(16))
    target = np.ones((2, 2), np.float32)
    with path.open("rb") as file:
        assert read_part(file.fileno(), 0, (8, 4), target)
        assert not target.any()
        assert not read_part(file.fileno(), 1, (8, 4), target)
        assert read_part(file.fileno(), 10**9, (8, 4), np.empty((0, 2), np.float32))
        with pytest.raises(ValueError, match="a step for each axis"):
            read_part(file.fileno(), 0, (8,), target)
        with pytest.raises(ValueError, match="a step for each axis"):
            read_part(file.fileno(), 0, [8, 4], target)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            read_part(file.fileno(), 0, ("8", 4), target)  # type: ignore[arg-type]
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            read_part(descriptor, 0, (8, 4), target)
    finally:
        os.close(descriptor)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.lists(st.sampled_from([1, 2, 3, 17, 65, 150]), min_size=1, max_size=4).filter(
        lambda shape: np.prod(shape) < 100_000
    ),
    names=st.tuples(*2 * [st.sampled_from(["uint8", "float16", "float32", "float64"])]),
    seed=st.integers(0, 2**16),
    odd=st.booleans(),
    data=st.data(),
)
def test_axes_in_any_order_give_the_same(
    shape: list[int], names: tuple[str, str], seed: int, odd: bool, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    sides = []
    same = random.integers(0, 4, shape)
    for name in names:
        whole = same.astype(name)
        whole[random.random(shape) < 3 / whole.size] += 1  # so that several errors are the greatest
        if odd and name != "uint8":
            whole[random.random(shape) < 20 / whole.size] = np.nan
        order = data.draw(st.permutations(range(len(shape))))
        backwards = tuple(slice(None, None, data.draw(st.sampled_from([1, -1]))) for _ in shape)
        laid = np.ascontiguousarray(whole.transpose(order)).transpose(np.argsort(order))
        turned = laid[backwards]
        assert turned.shape == whole.shape
        sides.append(turned)
    base, raw = sides
    in_order = [np.ascontiguousarray(side) for side in sides]
    found = compare(base, names[0], raw, names[1], 0.5, 0.1, None)
    expected = compare(in_order[0], names[0], in_order[1], names[1], 0.5, 0.1, None)
    assert found == pytest.approx(expected, rel=1e-12)
    assert found[-1] == expected[-1]


def test_last_words_have_a_length() -> None:
    with pytest.raises(ValueError, match="fewer than 512 bytes, got 512"):
        end_when_cut_short("x" * 512)
