"""Every figure of a comparison of two stores is what NumPy makes of the whole arrays in float64."""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import DTypeLike, NDArray

from padiff.comparing import streaming
from padiff.comparing.comparison import Figures
from padiff.comparing.engine import compare
from padiff.store.storage import Storage
from tests.comparing.test_statistics import EXACT, FLOAT8, REAL, naive
from tests.stores import Layer, write_dump

DTYPES: list[DTypeLike] = [*REAL, *EXACT, *FLOAT8, np.int16, np.uint16, np.uint32]
COMPLEX: list[DTypeLike] = [np.complex64, np.complex128]
NAMES = ("a", "b", "c", "d")

Pair = tuple[NDArray[Any], NDArray[Any]]


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Two arrays of one shape and of one type, as a rule; alike in all, in most, or in nothing."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7))
    dtype = np.dtype(draw(st.sampled_from(DTYPES + COMPLEX)))
    other = dtype
    if draw(st.integers(0, 4)) == 0 and dtype.kind != "c":
        other = np.dtype(draw(st.sampled_from(DTYPES)))
    whole = {dtype, other} & {np.dtype(t) for t in (*EXACT, np.int16, np.uint16, np.uint32)}
    numbers = st.integers(0, 100) if whole else st.floats(-400, 400, width=16)
    special = draw(st.booleans()) and not whole
    if special:
        numbers = numbers | st.sampled_from([math.nan, math.inf, -math.inf])
    base = draw(hnp.arrays(np.float64, shape, elements=numbers, fill=st.nothing()))
    raw = base.copy()
    changed = draw(st.integers(0, base.size))
    if changed:
        raw.flat[:changed] = draw(hnp.arrays(np.float64, (changed,), elements=numbers))
    with np.errstate(all="ignore"):
        return base.astype(dtype), raw.astype(other)


def figures_of_stores(
    base: NDArray[Any], raw: NDArray[Any], order: tuple[int, ...], chunk_bytes: int, **options: Any
) -> Figures:
    """Compared as two stores; raw's axes are written in another order, with the same names."""
    dims = NAMES[: base.ndim]
    with tempfile.TemporaryDirectory() as name:
        places = []
        for side, values, names in (
            (f"base.{options.pop('base_suffix')}", base, dims),
            (f"raw.{options.pop('raw_suffix')}", raw.transpose(order), [dims[a] for a in order]),
        ):
            layer = Layer("l", "Linear", weights={"w": values}, dims={"w": names})
            storage = Storage(chunk_bytes=chunk_bytes, durable=False)
            model = Layer("", "Net", children=[layer])
            places.append(write_dump(Path(name, side), model, section="weights", storage=storage))
        (record,) = compare(*places, **options).records
    assert record.figures is not None
    return record.figures


@settings(max_examples=120, deadline=None)
@given(
    pair=pairs(),
    data=st.data(),
    chunk_bytes=st.sampled_from([1, 16, 60, 2**20]),
    suffixes=st.sampled_from([("zarr", "zarr"), ("h5", "h5"), ("zarr", "h5"), ("h5", "zarr")]),
    mode=st.sampled_from(["mean", "strict"]),
    atol=st.sampled_from([0.0, 1e-3, 1.0]),
    rtol=st.sampled_from([0.0, 1e-3]),
    digests=st.booleans(),
)
def test_figures_are_those_of_whole_arrays(
    pair: Pair,
    data: st.DataObject,
    chunk_bytes: int,
    suffixes: tuple[str, str],
    mode: str,
    atol: float,
    rtol: float,
    digests: bool,
) -> None:
    base, raw = pair
    axes = range(base.ndim)
    order = tuple(data.draw(st.just(axes) | st.permutations(axes)))
    with pytest.MonkeyPatch.context() as patch:
        # as if all were large: in parts of a few elements, and in threads
        patch.setattr(streaming, "_SMALL", 1)
        patch.setattr(streaming, "_TURNED", 64)
        found = figures_of_stores(
            base,
            raw,
            order,
            chunk_bytes,
            base_suffix=suffixes[0],
            raw_suffix=suffixes[1],
            mode=mode,
            atol=atol,
            rtol=rtol,
            digests=digests,
        )
    exact = not {base.dtype, raw.dtype} - {np.dtype(t) for t in (*EXACT, *DTYPES[-3:])}
    expected = naive(base, raw, *((0.0, 0.0) if exact else (atol, rtol)))
    check_counts(found, expected)
    check_errors(found, expected)
    check_worst(found, base, raw, expected)
    if mode == "strict":
        needed = expected["excess"]
    else:
        needed = max(0.0, expected["mean_abs"] - rtol * expected["mean_base"])
    if exact:
        needed = math.inf if expected["mismatched"] else 0.0
    elif expected["nonfinite"]:
        needed = math.inf
    assert found.required_atol == pytest.approx(needed, rel=1e-9, abs=1e-12)


def check_counts(found: Figures, expected: dict[str, Any]) -> None:
    for name in ("mismatched", "nonfinite", "agreeing"):
        assert getattr(found, name) == expected[name], name


def check_errors(found: Figures, expected: dict[str, Any]) -> None:
    for name in ("max_abs", "mean_abs", "max_rel", "rel_l2", "cosine"):
        value = getattr(found, name)
        if expected["nonfinite"] and not expected["finite"]:
            assert value is None
        else:
            assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


def check_worst(
    found: Figures, base: NDArray[Any], raw: NDArray[Any], expected: dict[str, Any]
) -> None:
    """The first element that is finite on one side alone, else the first of the greatest error."""
    if not expected["nonfinite"] and not expected["max_abs"]:
        assert found.worst_index is None
        return
    wide = np.complex128 if "c" in (base.dtype.kind, raw.dtype.kind) else np.float64
    with np.errstate(all="ignore"):
        b, r = base.astype(wide), raw.astype(wide)
        odd = ~(np.isfinite(b) & np.isfinite(r))
        parted = odd & ~((b == r) | (np.isnan(b) & np.isnan(r)))
        rank = parted if parted.any() else np.where(odd, -1.0, np.abs(r - b))
    at = np.unravel_index(int(np.argmax(rank)), base.shape)
    assert found.worst_index == tuple(map(int, at))
    for value, element in ((found.base_value, b[at]), (found.raw_value, r[at])):
        assert value == element or np.isnan(element)
