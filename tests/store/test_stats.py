import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from padiff.store.stats import PartialStats, finish, merge, of_contiguous
from padiff.tree import TensorStats

floats = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.integers(0, 70),
    elements=st.floats(width=16, allow_nan=True, allow_infinity=True),
)


def oracle(values: NDArray[Any]) -> TensorStats:
    wide = np.abs(values) if values.dtype.kind == "c" else values
    wide = wide.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    nan, inf = int(np.isnan(wide).sum()), int(np.isinf(wide).sum())
    if finite.size == 0:
        return TensorStats(None, None, None, None, None, nan, inf)
    return TensorStats(
        min=float(finite.min()),
        max=float(finite.max()),
        mean=float(finite.mean()),
        mean_abs=float(np.abs(finite).mean()),
        l2=float(np.sqrt((finite**2).sum())),
        nan=nan,
        inf=inf,
    )


def assert_same(found: TensorStats, expected: TensorStats) -> None:
    for name in TensorStats.__struct_fields__:
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None), name
        assert a is None or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12), name


@given(floats, st.integers(0, 70))
def test_folding_any_parts_equals_the_whole(values: NDArray[Any], cut: int) -> None:
    parts = merge(of_contiguous(values[:cut]), of_contiguous(values[cut:]))
    assert_same(finish(parts), oracle(values))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "complex64", "complex128"])
def test_other_types(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 100, 300).astype(dtype)
    assert_same(finish(of_contiguous(values)), oracle(values))


def test_complex_numbers_whose_size_overflows_are_finite() -> None:
    values = np.array([1.5e308 + 1.5e308j, complex(math.inf, 0), complex(0, math.nan), 1])
    found = finish(of_contiguous(values))
    assert (found.inf, found.nan, found.min) == (1, 1, 1)
    assert found.max == np.finfo(np.float64).max


def test_many_blocks() -> None:
    values = np.random.default_rng(0).standard_normal(100_003)
    values[[3, 50, 99_999]] = math.nan, -math.inf, math.nan
    assert_same(finish(of_contiguous(values)), oracle(values))


def test_finite_numbers_at_the_edge_of_their_type_stay_finite() -> None:
    found = finish(of_contiguous(np.array([3e38 + 3e38j], np.complex64)))
    assert found.inf == 0
    assert found.max == pytest.approx(3e38 * math.sqrt(2), rel=1e-6)


def test_empty() -> None:
    assert finish(PartialStats()) == TensorStats(None, None, None, None, None, 0, 0)


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e-30, 1e30])
@pytest.mark.parametrize("offset", [0.0, 5.0, -5.0])
def test_many_single_precision_values_keep_eight_digits(scale: float, offset: float) -> None:
    values = np.random.default_rng(0).standard_normal(2**18 + 12_345) + offset
    values = (values * scale).astype(np.float32)
    found = finish(of_contiguous(values))
    exact = values.astype(np.float64)
    size = float(np.abs(exact).mean())
    assert found.mean == pytest.approx(exact.mean(), abs=1e-8 * size)
    assert found.mean_abs == pytest.approx(size, rel=1e-8)
    assert found.l2 == pytest.approx(math.sqrt(float(np.square(exact).sum())), rel=1e-8)
    assert (found.min, found.max) == (exact.min(), exact.max())
