"""Where in a tensor the error sits: what is found block by block is that of whole arrays."""

import math
import random
from itertools import combinations, product
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from padiff import create_model
from padiff.comparing.arithmetic import errors_of
from padiff.comparing.close_up import CloseUp
from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.comparing.tally import Tally
from padiff.errors import UsageError
from padiff.store.chunks import blocks
from padiff.store.storage import Storage
from tests.stores import Layer, write_dump

Values = NDArray[Any]

DTYPES: list[DTypeLike] = [
    np.float32,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
    np.complex64,
    np.complex128,
    np.bool_,
    np.int8,
    np.uint8,
    np.int64,
    np.uint64,
]
ODD = [math.nan, math.inf, -math.inf]


def whole_errors(base: Values, raw: Values) -> NDArray[np.float64]:
    """The error of each element; infinite where the sides part in what is no number."""
    if base.dtype.kind in "biu":
        ours, theirs = (values.astype(object) + 0 for values in (base, raw))
        return np.asarray(abs(theirs - ours)).astype(np.float64)
    ours, theirs = (values.astype(np.complex128) for values in (base, raw))
    with np.errstate(all="ignore"):
        distance = np.minimum(abs(theirs - ours), np.finfo(np.float64).max)
        parted = ~(np.isfinite(ours) & np.isfinite(theirs))
        alike = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return np.where(parted, np.where(alike, 0, np.inf), distance)


def ranges(length: int) -> list[slice]:
    width = max(1, math.ceil(length / 64))
    return [slice(start, start + width) for start in range(0, length, width)]


def check(found: CloseUp, base: Values, raw: Values) -> None:
    """That a close-up is what whole arrays give."""
    errors = whole_errors(base, raw)
    assert found.profiles == tuple(
        tuple(errors[(*[slice(None)] * axis, part)].max(initial=0) for part in ranges(length))
        for axis, length in enumerate(base.shape)
    )
    assert found.nonfinite == np.isinf(errors).sum()
    assert found.equal == (errors == 0).sum()
    sizes = errors[(errors > 0) & np.isfinite(errors)]
    if sizes.size:
        exponents = np.frexp(sizes)[1] - 1
        assert found.exponent == exponents.min()
        assert found.counts == tuple(np.bincount(exponents - exponents.min()))
    else:
        assert (found.exponent, found.counts) == (0, ())
    ranked = sorted(
        (-errors[index], index) for index in np.ndindex(errors.shape) if errors[index] > 0
    )
    assert [element.index for element in found.worst] == [index for _, index in ranked[:10]]
    for element in found.worst:
        for got, side in ((element.base, base), (element.raw, raw)):
            expected = side[element.index].item()
            assert got == expected or (np.isnan(got) and np.isnan(expected))
    check_map(found, errors)


def check_map(found: CloseUp, errors: NDArray[np.float64]) -> None:
    several = [axis for axis, length in enumerate(errors.shape) if length > 1]
    pairs = [*combinations(several[-5:], 2)] if len(several) > 1 else [tuple(several)]
    maps: dict[tuple[int, ...], Values] = {}
    for axes in pairs:
        others = tuple(a for a in range(errors.ndim) if a not in axes)
        flat = errors.max(axis=others, initial=0)
        parts = [[slice(0, 1)]] * 2 + [*(ranges(errors.shape[axis]) for axis in axes)]
        parts = parts[-2:]
        flat = flat.reshape((1,) * (2 - flat.ndim) + flat.shape)
        maps[axes] = np.array([[flat[r, c].max(initial=0) for c in parts[1]] for r in parts[0]])
    assert np.array_equal(found.map, maps[found.map_axes])
    least = min(map(evenness, maps.values()))
    assert evenness(maps[found.map_axes]) == pytest.approx(least, rel=1e-12)


def evenness(cells: Values) -> float:
    largest = cells.max(initial=0)
    if not 0 < largest < math.inf:
        return float(np.isinf(cells).mean() or 1)
    return float(np.log2(np.maximum(cells / largest, 2.0**-24)).mean())


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Values, Values]:
    """Two arrays near one another in most places, of any strides."""
    few = st.lists(st.integers(0, 4), max_size=7)
    long = st.tuples(st.integers(1, 3), st.sampled_from([63, 64, 65, 130, 200]), st.integers(1, 5))
    shape = draw(few | st.permutations(draw(long)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    base = np.asarray(rng.standard_normal(shape))
    share = draw(st.sampled_from([0, 0.01, 0.3, 1]))
    scale = draw(st.sampled_from([1.0, 1e-3, 1e-310, 1e300]))
    apart = rng.integers(-3, 4, shape) * (rng.random(shape) < share)
    raw = np.asarray(base + scale * apart)
    if dtype.kind in "biu":
        base, raw = (np.asarray(np.trunc(abs(values) * 3) % 100) for values in (base, raw))
    elif draw(st.booleans()):
        for values in (base, raw):
            values[rng.random(shape) < 0.02] = draw(st.sampled_from(ODD))
    if draw(st.booleans()):
        base = np.zeros_like(base)
    with np.errstate(all="ignore"):
        ours, theirs = (np.asarray(values).astype(dtype) for values in (base, raw))
    if draw(st.booleans()):
        theirs = theirs.copy(order="F")
    return ours, theirs


@settings(max_examples=200, deadline=None)
@given(pairs(), st.integers(1, 50), st.randoms(use_true_random=False))
def test_any_blocks_give_what_the_whole_gives(
    pair: tuple[Values, Values], most: int, chance: random.Random
) -> None:
    base, raw = pair
    chunk = tuple(chance.randint(1, max(1, length)) for length in base.shape)
    if base.size > 1000:
        chunk, most = tuple(max(1, length) for length in base.shape), most * 20
    selections = list(blocks(base.shape, chunk, most))
    chance.shuffle(selections)
    total = Tally(base.shape)
    for selection in selections:
        part = Tally(base.shape)
        block: Any = (*selection, ...)
        values = base[block], raw[block]
        part.add(errors_of(*values), tuple(along.start for along in selection), values)
        total.merge(part)
    assert total.size == base.size
    check(total.close_up(0), base, raw)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [*product(DTYPES, [0, 1]), *((d, math.nan) for d in DTYPES if np.dtype(d).kind not in "biu")],
)
def test_a_scalar(dtype: DTypeLike, value: float) -> None:
    base, raw = np.array(0).astype(dtype), np.array(value).astype(dtype)
    tally = Tally(())
    tally.add(errors_of(base, raw), (), (base, raw))
    check(tally.close_up(0), base, raw)


def test_the_least_and_the_largest_numbers() -> None:
    base = np.array([1.7e308, 0, 0, 0, 0, 2.0**-1022])
    raw = np.array([-1.7e308, 5e-324, -3e-310, 2.0**-1022, 0, 2.0**-1022])
    tally = Tally(base.shape)
    tally.add(errors_of(base, raw), (0,), (base, raw))
    found = tally.close_up(0)
    check(found, base, raw)
    assert (found.exponent, len(found.counts), found.nonfinite) == (-1074, 1074 + 1024, 0)


def test_of_many_axes_the_last_five_are_mapped() -> None:
    base = np.zeros((3, 2, 1, 2, 2, 2, 2))
    raw = base.copy()
    raw[2] = RNG.random(raw[2].shape)  # which most of all is seen along the first axis
    tally = Tally(base.shape)
    tally.add(errors_of(base, raw), (0,) * base.ndim, (base, raw))
    found = tally.close_up(0)
    check(found, base, raw)
    assert min(found.map_axes) > 0
    assert found.profiles[0][:2] == (0, 0)


RNG = np.random.default_rng(3)
MANY = RNG.standard_normal((40, 30, 20)).astype(np.float32)
SMALL_CHUNKS = Storage(chunk_bytes=2**12, durable=False)


def near(values: Values, *, share: float = 0.2) -> Values:
    return np.asarray(values + np.float32(0.25) * (RNG.random(values.shape) < share))


def one_pair(tmp_path: Path, base: Values, raw: Values, **options: Any) -> CloseUp:
    sides = [
        write_dump(tmp_path / name, Layer("", "Net", out=values), storage=SMALL_CHUNKS)
        for name, values in (("base", base), ("raw", raw))
    ]
    (found,) = compare(*sides, close_ups=9, **options).close_ups
    return found


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.complex64, np.int64])
def test_of_stores(tmp_path: Path, dtype: DTypeLike, jobs: int) -> None:
    base, raw = (MANY * 9).astype(dtype), near(MANY * 9).astype(dtype)
    raw[:12] = base[:12]  # chunks that are equal
    check(one_pair(tmp_path, base, raw, jobs=jobs), base, raw)
    for name in ("base", "raw"):  # without the digests they are read
        assert len(list((tmp_path / name / "report").rglob("c.*"))) > 9


def test_of_two_types_the_values_count(tmp_path: Path) -> None:
    base, raw = MANY.astype(np.float16), MANY.astype(ml_dtypes.bfloat16)
    check(one_pair(tmp_path, base, raw), base, raw)


@pytest.mark.parametrize("shape", [(6, 9), (700, 300)])
def test_axes_in_another_order(tmp_path: Path, shape: tuple[int, int]) -> None:
    base = RNG.standard_normal(shape).astype(np.float32)
    raw = near(base, share=0.001)
    raw[3, 2] += 1
    names = ("out_features", "in_features")
    sides = []
    for name, values, dims in (("base", base, names), ("raw", raw.T, names[::-1])):
        fc = Layer("fc", "Linear", weights={"w": values}, dims={"w": dims})
        net = Layer("", "Net", children=[fc])
        sides.append(write_dump(tmp_path / name, net, section="params"))
    (found,) = compare(*sides, close_ups=1, mode="strict").close_ups
    check(found, base, raw)


def test_pieces(tmp_path: Path) -> None:
    packed = RNG.standard_normal((24, 8)).astype(np.float32)
    parts = {name: packed[8 * i : 8 * i + 8].T.copy() for i, name in enumerate("qkv")}
    parts["k"][5, 1] += 1
    one = Layer("a", "MultiheadAttention", weights={"in_proj_weight": packed})
    several = [
        Layer(f"{name}_proj", "Linear", weights={"weight": part}) for name, part in parts.items()
    ]
    other = Layer("a", "MultiHeadAttention", children=several)
    base = write_dump(tmp_path / "b", Layer("", "Net", children=[one]), section="params")
    raw = write_dump(
        tmp_path / "r",
        Layer("", "Net", children=[other]),
        section="params",
        framework="paddle",
    )
    comparison = compare(base, raw, close_ups=3)
    (found,) = comparison.close_ups
    assert comparison.records[found.order].base.tensor == "k.weight"
    check(found, packed[8:16], parts["k"].T)


def test_a_wrong_channel(tmp_path: Path) -> None:
    raw = near(MANY, share=1) * np.float32(1 + 1e-6)
    base = raw * np.float32(1 + 1e-6)
    raw[:, 7] += 1
    found = one_pair(tmp_path, base, raw)
    assert found.map_axes[0] == 1 or found.map_axes == (0, 1)
    channel = np.array(found.profiles[1])
    assert np.flatnonzero(channel > 0.5).tolist() == [7]
    cells = np.moveaxis(np.array(found.map), found.map_axes.index(1), 0)
    assert (cells[7] > 0.5).all()
    assert (np.delete(cells, 7, 0) < 1e-3).all()


def test_the_border_of_a_padding_with_a_stride(tmp_path: Path) -> None:
    """Nearly half of all places are wrong, but by how much depends on sample and channel."""
    scale = np.exp(RNG.standard_normal((64, 16, 1, 1)))
    base = (scale * RNG.uniform(1, 2, (64, 16, 4, 4))).astype(np.float32)
    raw = base * np.float32(1 + 1e-6)
    raw[:, :, 0] *= 1.5
    raw[:, :, 1:, 0] *= 1.5
    found = one_pair(tmp_path, base, raw)
    assert found.map_axes == (2, 3)
    assert (np.array(found.map) > 0.1).sum() == 7


def test_the_border_of_a_padding(tmp_path: Path) -> None:
    base = RNG.standard_normal((3, 8, 14, 15)).astype(np.float32)
    raw = base + np.float32(1e-6)
    raw[:, :, [0, -1]] += 1
    raw[:, :, :, [0, -1]] += 1
    found = one_pair(tmp_path, base, raw)
    assert found.map_axes == (2, 3)
    cells = np.array(found.map)
    assert (cells[1:-1, 1:-1] < 1e-3).all()
    cells[1:-1, 1:-1] = 1
    assert (cells > 0.5).all()


def test_the_second_half_of_positions(tmp_path: Path) -> None:
    base = RNG.standard_normal((4, 200, 32)).astype(np.float32)
    raw = base.copy()
    raw[:, 100:] *= np.float32(1.1)
    found = one_pair(tmp_path, base, raw)
    assert found.map_axes == (1, 2)
    cells = np.array(found.map)
    assert cells.shape == (50, 32)  # of four positions
    assert (cells[:25] == 0).all()
    assert (cells[25:] > 0).all()


def test_one_nan_beside_equal_elements_is_looked_at(tmp_path: Path) -> None:
    raw = MANY.copy()
    raw[5, 6, 7] = math.nan
    found = one_pair(tmp_path, MANY, raw)
    assert (found.nonfinite, found.equal, found.counts) == (1, MANY.size - 1, ())
    assert [element.index for element in found.worst] == [(5, 6, 7)]


def test_what_is_not_finite_comes_first(tmp_path: Path) -> None:
    base, raw = MANY.copy(), MANY.copy()
    raw[5, 6, 7] = math.nan
    base[9, 8, 7] = raw[9, 8, 7] = math.inf
    raw[1, 1, 1] += 1e30
    found = one_pair(tmp_path, base, raw)
    assert (found.nonfinite, found.equal) == (1, base.size - 2)
    assert [element.index for element in found.worst] == [(5, 6, 7), (1, 1, 1)]
    assert found.worst[0].base == float(base[5, 6, 7])
    assert np.argwhere(np.isinf(found.map)).tolist() == [
        [(5, 6, 7)[axis] for axis in found.map_axes]
    ]


def run(tmp_path: Path, *steps: dict[str, float], n: int) -> Comparison:
    """A run whose layers are off by so much in each step: infinite for another shape."""
    for number, step in enumerate(steps):
        for side in ("base", "raw"):
            layers = [
                Layer(
                    name,
                    "Linear",
                    out=MANY[: 2 if math.isinf(off) and side == "raw" else 3]
                    + np.float32(0 if side == "base" or math.isinf(off) else off),
                )
                for name, off in step.items()
            ]
            model = Layer("", "Net", out=MANY[0], children=layers)
            write_dump(tmp_path / side, model, step=number)
    return compare(tmp_path / "base", tmp_path / "raw", close_ups=n)


def looked_at(comparison: Comparison) -> list[tuple[int | None, str | None]]:
    orders = [found.order for found in comparison.close_ups]
    assert orders == sorted(orders)
    return [(comparison.records[at].step, comparison.records[at].base.route) for at in orders]


LITTLE, MORE = 1e-6, 1e-5


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, []),
        (1, ["d"]),
        (2, ["d", "e"]),
        (3, ["b", "d", "e"]),
        (4, ["a", "b", "d", "e"]),
        (99, ["a", "b", "d", "e"]),
    ],
)
def test_what_diverged_comes_before_what_agrees(
    tmp_path: Path, n: int, expected: list[str]
) -> None:
    step = {"a": LITTLE, "b": MORE, "c": 0, "d": 0.1, "shape": math.inf, "e": 0.2}
    assert looked_at(run(tmp_path, step, n=n)) == [(0, name) for name in expected]


def test_each_step_has_its_share(tmp_path: Path) -> None:
    step = {"a": LITTLE, "b": MORE, "c": 0.1, "d": 0.1}
    found = looked_at(run(tmp_path / "a", step, {"a": 0}, step, n=5))
    assert found == [(0, "c"), (0, "d"), (2, "b"), (2, "c"), (2, "d")]


def test_one_is_kept_for_the_first_divergence(tmp_path: Path) -> None:
    agree, diverge = {"a": LITTLE, "b": MORE}, {"a": LITTLE, "b": 0.1}
    assert looked_at(run(tmp_path / "a", agree, agree, diverge, diverge, n=1)) == [(2, "b")]
    assert looked_at(run(tmp_path / "b", agree, agree, n=1)) == [(1, "b")]
    assert looked_at(run(tmp_path / "c", diverge, agree, agree, n=1)) == [(0, "b")]


def test_progress_goes_on_while_pairs_are_looked_at(tmp_path: Path) -> None:
    values = np.ones((2000, 1000), np.float32)
    model = Layer("", "N", out=values), Layer("", "N", out=values + 1)
    storage = Storage(chunk_bytes=2**20)
    for side, layer in zip(("base", "raw"), model, strict=True):
        for step in range(2):
            write_dump(tmp_path / side, layer, step=step, storage=storage)
    told: list[tuple[float, int]] = []
    compare(
        tmp_path / "base", tmp_path / "raw", close_ups=2, progress=lambda *done: told.append(done)
    )
    assert told == sorted(told)
    assert told[-1] == (1.0, 2 * 2 * 2 * values.nbytes)  # sides, steps, and once more
    shares = {share for share, _ in told}
    assert sum(share < 0.125 for share in shares) > 5
    assert sum(0.125 < share < 0.5 for share in shares) > 5


def test_progress_ends_with_all_where_nothing_is_looked_at(tmp_path: Path) -> None:
    told: list[tuple[float, int]] = []
    base = write_dump(tmp_path / "base", Layer("", "N", out=np.ones((0, 3))))
    compare(base, base, close_ups=2, progress=lambda *done: told.append(done))
    assert told[-1] == (1.0, 0)


def test_of_statistics_alone_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    locations: list[Path] = []
    for side, tensors in (("base", "full"), ("raw", "statistics")):
        torch.manual_seed(len(locations))
        proxy = create_model(torch.nn.Linear(3, 2), "net", tensors=tensors)  # type: ignore[arg-type]
        proxy(torch.ones(1, 3))
        proxy.try_dump(1, tmp_path / side)
        locations.append(tmp_path / side)
    comparison = compare(*locations, close_ups=9)
    assert comparison.totals.diverged
    assert comparison.close_ups == ()


@pytest.mark.parametrize("number", [-1, 1.5, True, None])
def test_a_number_that_makes_no_sense(tmp_path: Path, number: Any) -> None:
    with pytest.raises(UsageError, match="number of close-ups of at least 0, got"):
        compare(tmp_path, tmp_path, close_ups=number)
