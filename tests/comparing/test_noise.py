"""Rounding noise that an optimizer scaled up: told from what differs, and named after it."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.comparing.noise import Gradients
from tests.stores import Layer, write_dump

Array = NDArray[Any]
ONE, OTHER = np.random.default_rng(0).standard_normal((2, 64))
Y = np.linspace(1, 2, 64)


def noise(
    tmp_path: Path, base: Array, raw: Array, beside: Array = Y, dtype: DTypeLike = np.float32
) -> set[str | None]:
    """What is noise of a layer with these gradients of its `bias`, and `beside` of raw's `weight`.

    The layer next to it has gradients a million times as large.
    """
    for side, bias, weight in (("base", base, Y), ("raw", raw, beside)):
        held = {"weight": weight.astype(dtype), "bias": bias.astype(dtype)}
        k = Layer("k", "Linear", weights=held, grads=held)
        large = Y.astype(np.float32) * 1e6
        o = Layer("o", "Linear", weights={"weight": large}, grads={"weight": large})
        write_dump(tmp_path / side, Layer("", "Net", children=[k, o]), section="grads")
    records = compare(tmp_path / "base", tmp_path / "raw", atol=1e9).records
    gradients = Gradients(records)
    return {record.base.tensor for record in records if gradients.are_noise(record)}


@pytest.mark.parametrize(
    ("base", "raw", "expected"),
    [
        (ONE * 1e-7, OTHER * 1e-7, True),
        (ONE * 0, OTHER * 1e-7, True),
        (ONE * 1e-7, ONE * 1e-7, False),  # the same: no optimizer makes a difference of it
        (ONE, OTHER, False),
        (ONE, -ONE, False),
        (ONE * 1e-2, OTHER * 1e-2, False),
        (ONE * 1e-7, OTHER * 1e-2, False),
        (ONE * 1e-2, OTHER * 1e-7, False),
        (ONE * 1e-7, -ONE * 1e-7, False),  # small, but the very same with its sign flipped
        (ONE * 1e-7, ONE * 2e-7, False),
        (ONE * 1e-7, np.where(Y > 1, OTHER * 1e-7, np.nan), False),
    ],
)
def test_noise_is_small_on_both_sides_and_of_no_direction(
    base: Array, raw: Array, expected: bool, tmp_path: Path
) -> None:
    assert noise(tmp_path, base, raw) == ({"bias"} if expected else set())


@pytest.mark.parametrize(
    ("dtype", "size", "expected"),
    [
        (np.float64, 1e-9, True),
        (np.float64, 1e-7, False),
        (np.float32, 1e-7, True),
        (ml_dtypes.bfloat16, 1e-2, True),
        (ml_dtypes.bfloat16, 1e-1, False),
    ],
)
def test_what_is_small_depends_on_the_type(
    dtype: DTypeLike, size: float, expected: bool, tmp_path: Path
) -> None:
    found = noise(tmp_path, ONE * size, OTHER * size, Y, dtype)
    assert found == ({"bias"} if expected else set())


def test_gradients_that_differ_themselves_are_no_measure(tmp_path: Path) -> None:
    """Those of the layers around are, by which even the weight's are small."""
    assert noise(tmp_path, ONE * 1e-2, OTHER * 1e-2, ONE) == {"bias", "weight"}


def model(bias: Array, weight: Array, grad: Array, far: Array) -> Layer:
    """Layer `a` whose bias has `grad` as its gradient, and `b` with a gradient of size 1."""
    a = Layer("a", "Linear", weights={"bias": bias}, grads={"bias": grad})
    b = Layer("b", "Linear", weights={"weight": weight}, grads={"weight": far})
    return Layer("", "Net", children=[a, b])


def train(tmp_path: Path, *, fault: float, steps: tuple[int, int] = (0, 1)) -> Comparison:
    """Two steps; in the second the bias differs, and by `fault` the weight as well."""
    for side, grad, off in (("base", ONE, 0.0), ("raw", OTHER, 1.0)):
        before = model(Y, Y, grad * 1e-9, Y)
        write_dump(tmp_path / side, before, section="params", step=steps[0])
        after = model(Y + off, Y + off * fault, Y, Y)
        write_dump(tmp_path / side, after, section="params", step=steps[1])
    return compare(tmp_path / "base", tmp_path / "raw")


@pytest.mark.parametrize("numbers", [(0, 1), (0, 10)])
def test_what_differs_is_named_before_noise(tmp_path: Path, numbers: tuple[int, int]) -> None:
    found = train(tmp_path, fault=0.01, steps=numbers)
    assert [r.order for r in found.records] == list(range(len(found.records)))
    assert [r.base.route for r in found.records[:4]] == ["a", "b", "a", "b"]  # what agrees
    diverged = [(r.step, r.base.route) for r in found.records if r.diverged]
    assert diverged == [(numbers[1], "b"), (numbers[1], "a")]
    assert found.first_divergence is not None
    assert found.first_divergence.base.route == "b"


def test_noise_alone_is_a_divergence(tmp_path: Path) -> None:
    first = train(tmp_path, fault=0).first_divergence
    assert first is not None
    assert (first.step, first.base.route) == (1, "a")


def test_gradients_that_are_noise_come_after_those_that_differ(tmp_path: Path) -> None:
    for side, grad, off in (("base", ONE, 0.0), ("raw", OTHER, 0.01)):
        held = model(Y, Y, grad * 1e-9, Y + off)
        write_dump(tmp_path / side, held, section="grads")
    found = compare(tmp_path / "base", tmp_path / "raw", atol=0, rtol=1e-5)
    assert [r.base.route for r in found.records if r.diverged] == ["b", "a"]


def test_noise_of_one_rank_is_told_by_the_gradients_of_that_rank(tmp_path: Path) -> None:
    for rank, size in ((0, 1e-9), (1, 1.0)):
        for side, grad, off in (("base", ONE, 0), ("raw", OTHER, 1)):
            held = model(Y + off, Y, grad * size, Y)
            for section in ("grads", "weights"):
                where = tmp_path / side
                write_dump(where, held, section=section, rank=rank)
    first = compare(tmp_path / "base", tmp_path / "raw", atol=0.1, mode="mean").records
    assert [r.rank for r in first if r.diverged and r.section == "weights"] == [1, 0]
