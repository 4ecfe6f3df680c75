"""What the compiled kernel refuses; its figures are held against NumPy's where they are used."""

import numpy as np
import pytest

from padiff._kernel import compare, describe

ONES = np.ones(4, np.float32)


@pytest.mark.parametrize("dtype", ["float8_e5m2", "complex64", "float", ""])
def test_a_type_it_does_not_know(dtype: str) -> None:
    with pytest.raises(TypeError, match=f"got {dtype}$"):
        describe(ONES, dtype)
    for names in ((dtype, "float32"), ("float32", dtype)):
        with pytest.raises(TypeError, match=f"got {dtype}$"):
            compare(ONES, names[0], ONES, names[1], 0.0, 0.0, None)


@pytest.mark.parametrize(
    ("raw", "errors"), [(np.ones(3), None), (np.ones(5), None), (np.ones(4), np.ones(3))]
)
def test_lengths_that_do_not_go_together(
    raw: np.ndarray[tuple[int], np.dtype[np.float64]],
    errors: np.ndarray[tuple[int], np.dtype[np.float64]] | None,
) -> None:
    with pytest.raises(ValueError, match=r"expected 32 bytes for (raw|errors), got \d+"):
        compare(ONES, "float32", raw, "float64", 0.0, 0.0, errors)


def test_memory_that_is_not_contiguous() -> None:
    with pytest.raises(ValueError, match="not C-contiguous"):
        describe(np.ones((4, 4), np.float32)[:, ::2], "float32")
