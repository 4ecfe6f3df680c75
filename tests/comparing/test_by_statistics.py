"""Dumps of statistics alone: what they say of a difference is true, and told as what it is."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from msgspec.structs import replace
from numpy.typing import NDArray

import padiff
from padiff import create_model, open_dump
from padiff.cli.commands import group
from padiff.comparing.arithmetic import of_pair
from padiff.comparing.bounds import of_statistics
from padiff.comparing.criterion import Criterion
from padiff.comparing.statistics import PairStatistics
from padiff.errors import CorruptError, UsageError
from padiff.store.section_writer import measured, record_of
from padiff.store.storage import Storage
from padiff.tree import TensorRecord
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)
DTYPES = st.sampled_from(["float32", "float64", "int16", "bool", "complex64", "float16"])


def tensor(values: NDArray[Any]) -> TensorRecord:
    stored = measured(values, Storage(), None)
    return record_of(stored, phase="forward", place="0", device="cpu", order=0)


def least_of(base: NDArray[Any], raw: NDArray[Any], rtol: float) -> PairStatistics:
    ours, theirs = tensor(base), tensor(raw)
    assert ours.stats is not None
    assert theirs.stats is not None
    return of_statistics(ours, theirs, (ours.stats, theirs.stats), rtol)


@given(st.data(), st.sampled_from([0.0, 1e-3]))
def test_no_figure_is_more_than_the_true_one(data: st.DataObject, rtol: float) -> None:
    shape = data.draw(arrays.array_shapes(max_dims=2, max_side=6, min_side=0))
    base, raw = (data.draw(arrays.arrays(data.draw(DTYPES), shape)) for _ in "ab")
    with np.errstate(all="ignore"):
        least = least_of(base, raw, rtol)
        true = of_pair(base, raw, Criterion("strict", 0.0, rtol))
    assert least.size == true.size == base.size
    assert least.nonfinite <= true.nonfinite + true.agreeing
    assert bool(least.mismatched) <= bool(true.mismatched)
    if true.nonfinite or least.nonfinite:
        return  # others were left out of the figures
    for name in ("max_abs", "excess", "sum_abs", "squares"):
        assert getattr(least, name) <= getattr(true, name) * (1 + 1e-12), name


def record(model: Any, framework: str, where: Path, tensors: str, *, factor: float = 1.0) -> None:
    """Record two steps of a model whose input is `factor` times the usual one."""
    proxy = create_model(model, "m", tensors=tensors)  # type: ignore[arg-type]
    for seed in range(2):
        (x,), _ = ZOO["residual"].inputs(framework, seed)
        proxy.backward(SIDES[framework].loss(proxy(x * factor)))
        proxy.try_dump(1, where)
        (model.zero_grad if framework == "torch" else model.clear_gradients)()


@both
@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_they_hold_the_tree_and_no_elements(framework: str, suffix: str, tmp_path: Path) -> None:
    model = ZOO["residual"].build(framework)
    for tensors in ("full", "statistics"):
        record(model, framework, tmp_path / f"{tensors}{suffix}", tensors)
    dumps = [open_dump(tmp_path / f"{t}{suffix}" / "step_1") for t in ("full", "statistics")]
    for name in ("report", "params"):
        full, told = (dump.section(name) for dump in dumps)
        assert told.header.tensors == "statistics"
        ours, theirs = ([t for n in s.tree.walk() for t in n.tensors] for s in (full, told))
        assert [replace(tensor, metadata="") for tensor in ours] == theirs
        with pytest.raises(UsageError, match="found a section of statistics alone"):
            told.array(next(t for node in told.tree.walk() for t in node.tensors))
    verified = padiff.verify(tmp_path / f"statistics{suffix}")
    assert not verified.damages
    assert (verified.counts.sections, verified.counts.arrays) == (4, 0)


@both
@pytest.mark.parametrize(
    "sides", [("statistics", "full"), ("full", "statistics"), ("statistics",) * 2]
)
def test_equal_runs_are_identical_by_their_digests(
    framework: str, sides: tuple[str, str], tmp_path: Path
) -> None:
    model = ZOO["residual"].build(framework)
    for place, tensors in zip("ab", sides, strict=True):
        record(model, framework, tmp_path / place, tensors)
    found = padiff.compare(tmp_path / "a", tmp_path / "b", atol=0, rtol=0, mode="strict")
    assert found.aligned
    assert found.totals.identical == found.totals.compared > 0
    assert not found.notes


@pytest.mark.parametrize("mode", ["mean", "strict"])
@pytest.mark.parametrize("sides", [("statistics", "full"), ("statistics",) * 2])
def test_a_difference_is_found_and_said_to_be_the_least(
    sides: tuple[str, str], mode: str, tmp_path: Path
) -> None:
    model = ZOO["residual"].build("torch")
    for place, tensors, factor in zip("ab", sides, (1.0, 1.01), strict=True):
        record(model, "torch", tmp_path / place, tensors, factor=factor)
        record(model, "torch", tmp_path / f"full_{place}", "full", factor=factor)
    options = {"mode": mode, "atol": 1e-4}
    found = padiff.compare(tmp_path / "a", tmp_path / "b", **options)  # type: ignore[arg-type]
    true = padiff.compare(tmp_path / "full_a", tmp_path / "full_b", **options)  # type: ignore[arg-type]
    first = found.first_divergence
    assert first is not None
    assert (first.phase, first.base.route, first.by_statistics) == ("input", "", True)
    assert any("by their statistics" in note for note in found.notes)
    assert len(found.records) == len(true.records)
    by_place = {(r.step, r.section, r.base): r for r in true.records}
    for least in found.records:
        other = by_place[least.step, least.section, least.base]
        if least.figures is not None and other.figures is not None:
            assert (least.figures.max_abs or 0) <= (other.figures.max_abs or 0) + 1e-6
            assert least.diverged <= other.diverged


def test_the_command_says_so(tmp_path: Path) -> None:
    model = ZOO["residual"].build("torch")
    record(model, "torch", tmp_path / "a", "statistics")
    record(model, "torch", tmp_path / "b", "full", factor=1.5)
    ran = CliRunner().invoke(group, ["check", str(tmp_path / "a"), str(tmp_path / "b")])
    assert ran.exit_code == 1
    assert "by its statistics it differs by at least" in ran.output
    assert "compared by their statistics" in ran.output
    ran = CliRunner().invoke(group, ["check", str(tmp_path / "a"), str(tmp_path / "a")])
    assert ran.exit_code == 0


def test_damage_of_the_side_that_has_elements_is_found_on_request(tmp_path: Path) -> None:
    model = ZOO["residual"].build("torch")
    record(model, "torch", tmp_path / "a", "statistics")
    record(model, "torch", tmp_path / "b", "full")
    assert padiff.compare(tmp_path / "a", tmp_path / "b", digests=False).aligned
    chunk = next(path for path in (tmp_path / "b").rglob("c.0*") if path.stat().st_size > 8)
    data = bytearray(chunk.read_bytes())
    data[5] ^= 1
    chunk.write_bytes(data)
    for sides in (("a", "b"), ("b", "a")):
        base, raw = (tmp_path / side for side in sides)
        assert padiff.compare(base, raw).aligned
        with pytest.raises(CorruptError, match="digest"):
            padiff.compare(base, raw, digests=False)


def test_nan_on_one_side_is_told_as_what_it_is(tmp_path: Path) -> None:
    model = ZOO["residual"].build("torch")
    record(model, "torch", tmp_path / "a", "statistics")
    next(model.parameters()).data.view(-1)[3] = float("nan")
    record(model, "torch", tmp_path / "b", "full")
    arguments = ["check", str(tmp_path / "a"), str(tmp_path / "b"), "--section", "params"]
    ran = CliRunner().invoke(group, arguments)
    assert ran.exit_code == 1
    assert "NaN or infinite on one side only" in ran.output
    assert "no element is finite" not in ran.output


def test_no_tolerance_applies_to_whole_numbers() -> None:
    values = np.arange(1000, dtype=np.int32) + 1000
    for dtype in (np.int32, np.int64):  # the second has no digests to tell them apart
        found = least_of(values, (values + 1).astype(dtype), 0.01)
        assert found.mismatched == 1
        assert found.excess > 0


@pytest.mark.parametrize(("factor", "status"), [(0.5, "mismatch"), (1.0, "match")])
def test_a_convention_explains_no_more_than_its_share(
    factor: float, status: str, tmp_path: Path
) -> None:
    """The running variance of the unbiased variance, and one that is off by far more."""
    values = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
    sides = {
        "torch": (torch.nn.BatchNorm1d(4), torch.from_numpy(values)),
        "paddle": (paddle.nn.BatchNorm1D(4), paddle.to_tensor(values)),
    }
    for name, (layer, x) in sides.items():
        proxy = create_model(layer, "m", tensors="statistics")
        proxy(x)
        if name == "paddle":
            layer._variance.set_value(layer._variance * factor)
        proxy.dump_report(tmp_path / name)
        proxy.dump_params(tmp_path / name)
    found = padiff.compare(tmp_path / "torch", tmp_path / "paddle", sections=["params"])
    (variance,) = (r for r in found.records if "var" in str(r.base.tensor))
    assert (variance.by_statistics, variance.status) == (True, status)


def test_gradients_in_several_parts_are_listed(tmp_path: Path) -> None:
    proxy = create_model(ZOO["residual"].build("torch"), tensors="statistics")
    (x,), _ = ZOO["residual"].inputs("torch")
    out = proxy(x)
    proxy.backward(SIDES["torch"].loss(out), retain_graph=True)
    proxy.backward(SIDES["torch"].loss(out), retain_graph=True)
    proxy.backward(SIDES["torch"].loss(out))
    proxy.dump_report(tmp_path)
    nodes = list(open_dump(tmp_path).report.tree.walk())
    assert not any(t.phase == "backward" for node in nodes for t in node.tensors)
    assert {"statistics of its parts do not give those of its sum"} == {
        value.reason for node in nodes for value in node.unrecorded
    }


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="expected tensors to be 'full' or 'statistics'"):
        create_model(ZOO["residual"].build("torch"), tensors="none")  # type: ignore[arg-type]
