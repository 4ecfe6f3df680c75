"""Figures folded over blocks equal those of whole arrays in float64, for every type and stride."""

import math
from functools import reduce
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import DTypeLike, NDArray

from padiff.comparing.arithmetic import of_pair
from padiff.comparing.criterion import Criterion
from padiff.comparing.statistics import PairStatistics, merge, of_equal, with_equal_rest
from padiff.store.chunks import blocks
from padiff.store.stats import finish, of_contiguous

REAL: list[DTypeLike] = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]
EXACT: list[DTypeLike] = [np.bool_, np.int8, np.uint8, np.int32, np.int64, np.uint64]
FLOAT8 = [
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e4m3fnuz,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e5m2fnuz,
]

tolerances = st.sampled_from([0.0, 1e-7, 1e-3, 0.5])


def figures(
    base: NDArray[Any], raw: NDArray[Any], atol: float = 1e-4, rtol: float = 1e-7
) -> PairStatistics:
    return of_pair(base, raw, Criterion("strict", atol, rtol))


def naive(base: NDArray[Any], raw: NDArray[Any], atol: float, rtol: float) -> dict[str, Any]:
    """The same figures from whole arrays, in plain NumPy."""
    wide = np.complex128 if base.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        b, r = base.astype(wide), raw.astype(wide)
        keep = np.isfinite(b) & np.isfinite(r)
        alike = (b == r) | (np.isnan(b) & np.isnan(r))
        agreeing = int(np.sum(~keep & alike))
        nonfinite = int(np.sum(~keep & ~alike))
        b, r = b[keep], r[keep]
        d, size = np.abs(r - b), np.abs(b)
        relative = np.where(d == 0, 0.0, d / size)
        excess = d - rtol * size
        norm = float(np.linalg.norm(b))
        error = float(np.linalg.norm(r - b))
        if error == 0:
            rel_l2, cosine = 0.0, 1.0
        else:
            rel_l2 = error / norm if norm else math.inf
            norms = norm * float(np.linalg.norm(r))
            cosine = float(np.vdot(b, r).real) / norms if norms else 0.0
    return {
        "finite": b.size,
        "agreeing": agreeing,
        "nonfinite": nonfinite,
        "mismatched": int(np.sum(excess > atol)) + nonfinite,
        "max_abs": d.max(initial=0.0),
        "mean_abs": d.mean() if d.size else 0.0,
        "mean_base": size.mean() if d.size else 0.0,
        "max_rel": relative.max(initial=0.0),
        "excess": max(0.0, excess.max(initial=0.0)),
        "rel_l2": rel_l2,
        "cosine": cosine,
    }


def assert_same(found: PairStatistics, expected: dict[str, Any]) -> None:
    for name in ("finite", "agreeing", "nonfinite", "mismatched"):
        assert getattr(found, name) == expected[name], name
    for name in ("max_abs", "mean_abs", "mean_base", "max_rel", "rel_l2"):
        # what float64 cannot square without losing digits
        lost = 2e-154 if name == "rel_l2" else 0
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-12, abs=lost), name
    assert found.cosine == pytest.approx(expected["cosine"], abs=1e-12)


@st.composite
def pairs(
    draw: st.DrawFn, dtypes: list[DTypeLike], special: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two arrays of one shape and type, the second often near the first, of awkward strides."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    numbers = st.sampled_from([0.0, 1.0, -1.0, 0.75, 1.25, -3.0]) | st.floats(
        -1e4, 1e4, width=32
    ).filter(lambda x: x == 0 or abs(x) > 1e-30)
    if special:
        numbers = numbers | st.sampled_from([math.nan, math.inf, -math.inf])
    grid = hnp.arrays(np.float64, shape, elements=numbers, fill=st.nothing())
    base = draw(grid)
    raw = draw(grid) if draw(st.booleans()) else base * (1 + draw(st.sampled_from([0, 1e-6, 0.1])))
    with np.errstate(all="ignore"):
        pair = base.astype(dtype), raw.astype(dtype)
    if draw(st.booleans()):
        pair = pair[0].T, pair[1].T
    if draw(st.booleans()) and len(shape):
        pair = pair[0][::-1], np.ascontiguousarray(pair[1][::-1])
    return pair


@settings(max_examples=150, deadline=None)
@given(pairs(REAL, special=True), tolerances, tolerances)
def test_real_figures_are_those_of_the_whole(
    pair: tuple[NDArray[Any], NDArray[Any]], atol: float, rtol: float
) -> None:
    found, expected = figures(*pair, atol, rtol), naive(*pair, atol, rtol)
    assert_same(found, expected)
    assert found.excess == expected["excess"]


@settings(max_examples=60, deadline=None)
@given(pairs(REAL, special=True), tolerances, st.integers(1, 20))
def test_folding_over_any_blocks_gives_the_figures_of_the_whole(
    pair: tuple[NDArray[Any], NDArray[Any]], rtol: float, most: int
) -> None:
    base, raw = pair
    criterion = Criterion("strict", 0.0, rtol)
    parts = []
    for part in blocks(base.shape, tuple(max(1, n) for n in base.shape), most):
        cut: Any = (*part, ...)
        corner = tuple(along.start for along in part)
        parts.append(of_pair(base[cut], raw[cut], criterion, corner))
    whole = of_pair(base, raw, criterion)
    for order in (parts, parts[::-1]):
        folded = reduce(merge, order, PairStatistics())
        assert_same(folded, naive(base, raw, 0.0, rtol))
        assert folded.excess == whole.excess
        assert getattr(folded.worst, "index", None) == getattr(whole.worst, "index", None)


@settings(max_examples=60, deadline=None)
@given(pairs([np.complex64, np.complex128], special=True), tolerances, st.floats(0, 6))
def test_complex_numbers_compare_by_absolute_value(
    pair: tuple[NDArray[Any], NDArray[Any]], atol: float, angle: float
) -> None:
    base = pair[0]
    with np.errstate(all="ignore"):
        raw = (pair[1] * np.exp(1j * angle)).astype(base.dtype)
    assert_same(figures(base, raw, atol, 0.0), naive(base, raw, atol, 0.0))


@pytest.mark.parametrize("dtype", FLOAT8)
def test_all_values_of_float8(dtype: DTypeLike) -> None:
    values = np.arange(256, dtype=np.uint8).view(dtype)
    assert_same(figures(values, values[::-1]), naive(values, values[::-1], 1e-4, 1e-7))
    assert figures(values, values).equal


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_all_values_of_two_bytes(dtype: DTypeLike) -> None:
    values = np.arange(2**16, dtype=np.uint16).view(dtype)
    assert_same(figures(values, values[::-1]), naive(values, values[::-1], 1e-4, 1e-7))
    for value in values[:: 2**6 - 1]:  # one at a time: sums over all of them hide the small ones
        assert figures(np.array([value]), np.array([float(value)])).equal


@settings(max_examples=60, deadline=None)
@given(pairs(REAL, special=True), pairs(REAL, special=True), st.integers(400, 1200))
def test_types_and_lengths_of_any_mixture(
    one: tuple[NDArray[Any], NDArray[Any]], two: tuple[NDArray[Any], NDArray[Any]], size: int
) -> None:
    base, raw = np.resize(one[0], size), np.resize(two[1], size)
    assert_same(figures(base, raw), naive(base, raw, 1e-4, 1e-7))
    assert_same(figures(base[1:], base[1:]), naive(base[1:], base[1:], 1e-4, 1e-7))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(EXACT))
def test_whole_numbers_are_exact(data: st.DataObject, dtype: DTypeLike) -> None:
    shape = data.draw(hnp.array_shapes(max_side=5))
    base, raw = (data.draw(hnp.arrays(dtype, shape)) for _ in range(2))
    found = figures(base, raw, atol=1e9, rtol=1.0)
    assert found.mismatched == np.sum(base != raw)
    errors = [abs(int(r) - int(b)) for b, r in zip(base.flat, raw.flat, strict=True)]
    assert found.max_abs == float(max(errors))
    assert found.mean_abs == pytest.approx(sum(errors) / len(errors), rel=1e-12)


def test_neighbours_that_float64_cannot_tell_apart() -> None:
    base = np.array([2**62, -(2**63), 5], np.int64)
    found = figures(base, base + np.array([1, 0, 0]))
    assert (found.mismatched, found.max_abs) == (1, 1.0)
    assert found.worst is not None
    assert (found.worst.base, found.worst.raw) == (2**62, 2**62 + 1)
    far = figures(np.array([-(2**63)]), np.array([2**63 - 1]))
    assert far.max_abs == 2.0**64
    mixed = figures(np.array([2**63], np.uint64), np.array([-1], np.int64))
    assert mixed.mismatched == 1
    near = figures(np.array([2**53 + 1], np.uint64), np.array([2**53], np.int64))
    assert near.mismatched == 1


def test_types_that_differ_compare_by_value() -> None:
    base = np.array([1.0, 2.5, -3.0], np.float32)
    assert figures(base, base.astype(ml_dtypes.bfloat16)).equal
    assert figures(np.array([0, 1]), np.array([0.0, 1.5], np.float32)).max_abs == 0.5
    assert figures(np.array([True]), np.array([1], np.int8)).equal
    for wide in (np.int64, np.uint64):
        for narrow in (ml_dtypes.bfloat16, *FLOAT8, np.float16, np.bool_):
            assert figures(np.array([0, 1], wide), np.array([0, 1]).astype(narrow)).equal
            assert figures(np.array([0, 1]).astype(narrow), np.array([0, 2], wide)).max_abs == 1


def test_a_difference_that_float32_cannot_hold() -> None:
    base, raw = np.array([3e38, 1], np.float32), np.array([-3e38, 1], np.float32)
    found = figures(base, raw)
    assert found.max_abs == float(base[0]) - float(raw[0]) < math.inf
    assert (found.nonfinite, found.mismatched) == (0, 1)


@pytest.mark.parametrize("tiny", [1e-45, 1e-40])
def test_denormals_count(tiny: float) -> None:
    base = np.array([tiny, 0], np.float32)
    found = figures(base, base[::-1], atol=0, rtol=0)
    assert found.max_abs == float(base[0])
    assert found.rel_l2 == pytest.approx(math.sqrt(2))
    assert (found.max_rel, found.cosine, found.mismatched) == (math.inf, 0.0, 2)


def test_what_overflows_float64_never_passes() -> None:
    base = np.array([1e308, 1e308])
    found = figures(base, -base)
    assert found.max_abs == math.inf
    assert not Criterion("mean").accepts(
        Criterion("mean").required_atol(found.mean_abs, found.mean_base, found.excess)
    )
    assert found.mismatched == 2


def required(base: NDArray[Any], raw: NDArray[Any], mode: Any, rtol: float) -> float:
    criterion = Criterion(mode, 0, rtol)
    found = of_pair(base, raw, criterion)
    return criterion.required_atol(found.mean_abs, found.mean_base, found.excess)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("mode", ["mean", "strict"])
@pytest.mark.parametrize("rtol", [0.0, 1e-7])
def test_values_whose_sum_or_size_overflows_float64(
    dtype: DTypeLike, mode: str, rtol: float
) -> None:
    value = 1.5e308 if dtype is np.float64 else 1.5e308 + 1.5e308j
    base = np.full(3, value, dtype)
    assert required(base, base.copy(), mode, rtol) == 0
    found = figures(base, base.copy(), 0, rtol)
    assert (found.equal, found.finite, found.mismatched) == (True, 3, 0)
    assert required(base, base * (1 - 1e-3), mode, rtol) > 1e303
    assert figures(base, base * (1 - 1e-3), 0, rtol).mismatched == 3
    for other in (-base, np.ones(3, dtype)):
        assert required(base, other, mode, rtol) > 1e307
        assert required(other, base, mode, rtol) > 1e307


def test_not_a_number_on_one_side_only() -> None:
    base = np.array([[1, math.nan], [math.inf, 2]])
    raw = np.array([[1, math.nan], [-math.inf, 2.5]])
    found = figures(base, raw, atol=10)
    assert (found.agreeing, found.nonfinite, found.mismatched) == (1, 1, 1)
    assert found.worst is not None
    assert (found.worst.index, found.worst.base, found.worst.raw) == ((1, 0), math.inf, -math.inf)
    assert found.max_abs == 0.5


def test_errors_within_tolerance_have_their_excess_too() -> None:
    base = np.ones(4)
    raw = np.array([1, 1.25, 1.125, 1])
    found = figures(base, raw, atol=0.5, rtol=0.0625)
    assert (found.mismatched, found.excess) == (0, 0.25 - 0.0625)


def test_nothing_but_nan() -> None:
    base = np.full(3, math.nan, np.float32)
    found = figures(base, base)
    assert found.equal
    assert (found.agreeing, found.mean_abs, found.rel_l2, found.cosine) == (3, 0.0, 0.0, 1.0)
    assert figures(base, np.zeros(3)).nonfinite == 3


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_an_empty_tensor_is_equal(shape: tuple[int, ...]) -> None:
    found = figures(np.zeros(shape), np.zeros(shape))
    assert found == PairStatistics()
    assert (found.equal, found.mean_abs, found.rel_l2, found.cosine) == (True, 0.0, 0.0, 1.0)


def test_one_side_zero() -> None:
    zeros, ones = np.zeros(4), np.ones(4)
    assert (figures(zeros, ones).rel_l2, figures(zeros, ones).cosine) == (math.inf, 0.0)
    assert (figures(ones, zeros).rel_l2, figures(ones, zeros).cosine) == (1.0, 0.0)


def test_norms_far_apart_do_not_hide_the_angle() -> None:
    base = np.array([1e30, 0, 1e30])
    found = figures(base, base * 1e-30)
    assert found.cosine == pytest.approx(1.0)


@pytest.mark.parametrize("side", [700, 1500])
def test_more_than_a_block_straight_and_transposed(side: int) -> None:
    random = np.random.default_rng(0)
    base = random.standard_normal((side, side + 3), dtype=np.float32)
    raw = base + random.uniform(-1e-4, 1e-4, base.shape).astype(np.float32)
    raw[side - 2, 5] += 1
    expected = naive(base, raw, 1e-5, 1e-3)
    for other in (raw, np.asfortranarray(raw), np.repeat(raw, 2, axis=1)[:, ::2]):
        found = figures(base, other, 1e-5, 1e-3)
        for name in ("finite", "mismatched", "max_abs"):
            assert getattr(found, name) == expected[name]
        assert found.excess == expected["excess"]
        for name in ("mean_abs", "rel_l2", "max_rel", "cosine"):
            assert getattr(found, name) == pytest.approx(expected[name], rel=1e-10)
        assert found.worst is not None
        assert found.worst.index == (side - 2, 5)


def test_the_first_of_equal_errors_is_the_worst() -> None:
    base = np.zeros((3, 3))
    raw = base.copy()
    raw[1, 2] = raw[2, 0] = -1.0
    found = figures(base, raw)
    assert found.worst is not None
    assert found.worst.index == (1, 2)


def test_the_rest_known_to_be_equal() -> None:
    random = np.random.default_rng(0)
    base = random.standard_normal(1000)
    raw = base.copy()
    raw[100:200] += 0.01
    stats, of_raw = finish(of_contiguous(base)), finish(of_contiguous(raw))
    part = figures(base[100:200], raw[100:200])
    assert_same(with_equal_rest(part, 1000, stats, of_raw), naive(base, raw, 1e-4, 1e-7))
    base[3] = math.nan
    stats = finish(of_contiguous(base))
    whole = with_equal_rest(PairStatistics(), 1000, stats, stats)
    assert (whole.finite, whole.agreeing, whole.equal) == (999, 1, True)
    assert of_equal(3, 0, 1.0, 1.0).cosine == 1.0


def test_nothing_is_written_to_what_is_compared() -> None:
    base, raw = np.arange(5.0), np.arange(5.0) + math.nan
    before = base.tobytes(), raw.tobytes()
    for array in (base, raw):
        array.flags.writeable = False
    figures(base, raw)
    assert (base.tobytes(), raw.tobytes()) == before
