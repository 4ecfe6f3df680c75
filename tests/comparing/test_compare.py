"""Comparing two stores on disk: what is compared, in which order, and what the verdict rests on."""

import dataclasses
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import padiff
from padiff.comparing.comparison import Record
from padiff.comparing.engine import compare
from padiff.errors import (
    CorruptError,
    FormatError,
    IncompleteError,
    LocationError,
    UsageError,
)
from padiff.store.reader import open_dump
from padiff.store.writer import DumpWriter
from tests.stores import Layer, write_dump

RANDOM = np.random.default_rng(0)
X, Y, Z, G = (RANDOM.standard_normal((4, 6)).astype(np.float32) for _ in range(4))

Change = Callable[[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def network(
    *changed: str, by: float = 0.1, inputs: bool = False, extra: tuple[Layer, ...] = ()
) -> Layer:
    """Three layers, one of them of two, that all return something; `changed` tensors are off.

    A tensor is named by route and phase: `block.fc forward`, ` input` for the model's input.
    """

    def value(route: str, phase: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return array + np.float32(by) if f"{route} {phase}" in changed else array

    def layer(route: str, kind: str, *children: Layer) -> Layer:
        return Layer(
            route.rpartition(".")[2],
            kind,
            out=value(route, "forward", Y),
            back=value(route, "backward", G),
            inputs=value(route, "input", X) if inputs or not route else None,
            children=children,
        )

    return layer(
        "",
        "Net",
        layer("first", "Linear"),
        layer("block", "Block", layer("block.fc", "Linear"), layer("block.act", "ReLU")),
        *extra,
        layer("last", "Linear"),
    )


def stores(tmp_path: Path, base: Layer, raw: Layer) -> tuple[Path, Path]:
    return write_dump(tmp_path / "base", base), write_dump(tmp_path / "raw", raw)


def name_of(record: Record | None) -> str:
    assert record is not None
    return f"{record.base.route} {record.phase}"


def test_equal_runs_are_aligned(tmp_path: Path) -> None:
    comparison = compare(*stores(tmp_path, network(), network()))
    assert comparison.aligned
    assert comparison.first_divergence is None
    totals = comparison.totals
    assert (totals.compared, totals.identical, totals.diverged) == (13, 13, 0)


PLACES = ["first", "block.fc", "block.act", "block", "last", ""]


@pytest.mark.parametrize("phase", ["forward", "backward"])
@pytest.mark.parametrize("route", PLACES)
def test_a_single_fault_is_named(tmp_path: Path, route: str, phase: str) -> None:
    fault = f"{route} {phase}"
    comparison = compare(*stores(tmp_path, network(), network(fault)))
    assert not comparison.aligned
    assert name_of(comparison.first_divergence) == fault
    assert comparison.totals.diverged == 1


def test_a_parent_that_agrees_says_nothing_of_its_children(tmp_path: Path) -> None:
    comparison = compare(*stores(tmp_path, network(), network("block.fc forward")))
    assert name_of(comparison.first_divergence) == "block.fc forward"


def test_a_parent_comes_after_its_children(tmp_path: Path) -> None:
    faults = "block forward", "block.act forward", "last forward", " forward"
    comparison = compare(*stores(tmp_path, network(), network(*faults)))
    diverged = [name_of(record) for record in comparison.records if record.diverged]
    assert diverged == ["block.act forward", "block forward", "last forward", " forward"]
    assert [record.order for record in comparison.records] == list(range(13))


def test_backward_goes_the_other_way(tmp_path: Path) -> None:
    faults = "first backward", "block.fc backward", "block.act backward", "block backward"
    comparison = compare(*stores(tmp_path, network(), network(*faults)))
    diverged = [name_of(record) for record in comparison.records if record.diverged]
    assert diverged == [
        "block.act backward",
        "block.fc backward",
        "block backward",
        "first backward",
    ]


def test_different_inputs_of_the_model_come_first(tmp_path: Path) -> None:
    faults = [f"{route} {phase}" for route in PLACES for phase in ("forward", "backward")]
    comparison = compare(*stores(tmp_path, network(), network(" input", *faults)))
    assert name_of(comparison.first_divergence) == " input"


def test_an_input_that_differs_comes_before_what_its_layer_returns(tmp_path: Path) -> None:
    faults = "block input", "block.fc input", "block.fc forward"
    base, raw = network(inputs=True), network(*faults, inputs=True)
    comparison = compare(*stores(tmp_path, base, raw))
    diverged = [name_of(record) for record in comparison.records if record.diverged]
    assert diverged == ["block input", "block.fc input", "block.fc forward"]


def parameters(weight: float = 0, grad: float = 0) -> Layer:
    fc = Layer("fc", "Linear", weights={"weight": X + weight}, grads={"weight": G + grad})
    return Layer("", "Net", children=[fc])


def test_causes_come_before_effects(tmp_path: Path) -> None:
    base, raw = tmp_path / "base", tmp_path / "raw"
    for section in ("weights", "grads", "params"):
        write_dump(base, parameters(), section=section)
        write_dump(raw, parameters(1, 1), section=section)
    write_dump(base, Layer("", "Net", out=Y, inputs=X, back=G + 1))
    write_dump(raw, Layer("", "Net", out=Y + 1, inputs=X + 1, back=G))
    events = [
        (record.section, record.phase) for record in compare(base, raw).records if record.diverged
    ]
    assert events == [
        ("report", "input"),
        ("params", None),
        ("report", "forward"),
        ("report", "backward"),
        ("params", "backward"),
        ("grads", "backward"),
        ("weights", None),
    ]


def test_steps_are_all_compared_in_numeric_order(tmp_path: Path) -> None:
    base, raw = tmp_path / "base", tmp_path / "raw"
    for step in (2, 10, 0):
        write_dump(base, network(), step=step)
        write_dump(raw, network(*[] if step == 0 else ["last forward"]), step=step)
    comparison = compare(base, raw)
    assert list(dict.fromkeys(record.step for record in comparison.records)) == [0, 2, 10]
    assert comparison.first_divergence is not None
    assert comparison.first_divergence.step == 2
    assert compare(base, raw, steps=[0]).aligned
    assert {record.step for record in compare(base, raw, steps=[10, 0]).records} == {0, 10}


def test_trees_are_of_all_sections_where_the_first_divergence_is(tmp_path: Path) -> None:
    base, raw = tmp_path / "base", tmp_path / "raw"
    for step in (0, 1):
        write_dump(base, network(), step=step)
        write_dump(base, parameters(), section="params", step=step)
        write_dump(raw, network(extra=(Layer("own", "Identity"),) * step), step=step)
        write_dump(raw, parameters(weight=step), section="params", step=step)
    comparison = compare(base, raw)
    assert name_of(comparison.first_divergence) == "fc None"
    dumps = [open_dump(side / "step_1") for side in (base, raw)]
    trees = {name: tuple(d.section(name).tree for d in dumps) for name in ("report", "params")}
    assert comparison.trees == trees
    assert comparison.first_trees == trees["params"]
    aligned = compare(base, raw, steps=[0])
    assert aligned.first_trees == aligned.trees["report"]
    assert hash(aligned) == hash(compare(base, raw, steps=[0]))


def test_ranks_pair_by_number(tmp_path: Path) -> None:
    base, raw = tmp_path / "base", tmp_path / "raw"
    for rank in (0, 1):
        write_dump(base, network(), step=0, rank=rank)
        write_dump(raw, network(*["first forward"] * rank), step=0, rank=rank)
    first = compare(base, raw).first_divergence
    assert first is not None
    assert (first.step, first.rank) == (0, 1)
    assert compare(base, raw, ranks=[0]).aligned


def test_a_step_that_one_side_lacks_is_listed(tmp_path: Path) -> None:
    base, raw = tmp_path / "base", tmp_path / "raw"
    for location, steps in ((base, (0, 1)), (raw, (1, 2))):
        for step in steps:
            write_dump(location, network(), step=step)
    comparison = compare(base, raw)
    assert comparison.aligned
    listed = [(item.side, item.kind, item.step) for item in comparison.unmatched]
    assert listed == [("base", "section", 0), ("raw", "section", 2)]
    assert not compare(base, raw, strict_structure=True).aligned


def test_single_dumps_pair_whatever_their_steps(tmp_path: Path) -> None:
    base, raw = tmp_path / "base.zarr", tmp_path / "raw.zarr"
    write_dump(base, network(), step=3)
    write_dump(raw, network("last forward"), step=7)
    first = compare(base / "step_3", raw / "step_7").first_divergence
    assert name_of(first) == "last forward"
    with pytest.raises(FormatError, match="step 3.* and .*step 7"):
        compare(base, raw)


def test_a_section_on_one_side_is_listed_and_asked_for_is_an_error(tmp_path: Path) -> None:
    base, raw = stores(tmp_path, network(), network())
    write_dump(base, parameters(), section="params")
    comparison = compare(base, raw)
    assert comparison.aligned
    assert [(item.side, item.section) for item in comparison.unmatched] == [("base", "params")]
    with pytest.raises(
        UsageError, match=r"expected params in both .* found report, params in .*base and report in"
    ):
        compare(base, raw, sections=["params"])


def test_a_section_of_no_common_step_is_an_error_that_names_the_steps(tmp_path: Path) -> None:
    for side, steps in (("base", (0, 1)), ("raw", (2,))):
        for step in range(3):
            write_dump(tmp_path / side, network(), step=step)
        for step in steps:
            write_dump(tmp_path / side, parameters(), section="params", step=step)
    found = (
        rf"params of one step .* report of steps 0, 1, 2, params of steps 0, 1 in {tmp_path}/base "
        rf"and report of steps 0, 1, 2, params of step 2 in {tmp_path}/raw: .* in the same step"
    )
    with pytest.raises(UsageError, match=found):
        compare(tmp_path / "base", tmp_path / "raw", sections=["params"])


def test_an_unfinished_section_is_an_error_unless_left_out(tmp_path: Path) -> None:
    base, raw = stores(tmp_path, network(), network())
    write_dump(base, parameters(), section="params")
    writer = DumpWriter(raw, "params").section("params")
    writer.add("fc~0/weight", X)
    for asked in (None, ["params"]):
        with pytest.raises(
            IncompleteError, match="params in .*writer was stopped.*leave its step"
        ) as error:
            compare(base, raw, sections=asked)
    assert compare(base, raw, sections=["report"]).aligned
    (named,) = re.findall(r"remove (\S+),", str(error.value))
    shutil.rmtree(named)
    assert compare(base, raw).aligned


def test_layers_without_a_partner_are_listed(tmp_path: Path) -> None:
    extra = Layer("extra", "Dropout", out=Y)
    comparison = compare(*stores(tmp_path, network(), network(extra=(extra,))))
    assert comparison.aligned
    (item,) = comparison.unmatched
    assert (item.side, item.kind, item.route, item.class_name) == (
        "raw",
        "layer",
        "extra",
        "Dropout",
    )
    strict = compare(tmp_path / "base", tmp_path / "raw", strict_structure=True)
    assert not strict.aligned
    assert strict.to_json()["verdict"] == "diverged"


def test_a_parameter_without_a_partner_is_a_divergence(tmp_path: Path) -> None:
    base = Layer("", "Net", children=[Layer("fc", "Linear", weights={"weight": X, "bias": Y})])
    raw = Layer("", "Net", children=[Layer("fc", "Linear", weights={"weight": X})])
    for one, other, lacking in ((base, raw, "raw"), (raw, base, "base")):
        locations = [
            write_dump(tmp_path / side, model, section="weights")
            for side, model in (("base", one), ("raw", other))
        ]
        comparison = compare(*locations)
        assert not comparison.aligned
        first = comparison.first_divergence
        assert first is not None
        assert first.status == "missing"
        assert getattr(first, lacking).tensor is None
        assert getattr(first, lacking).route == "fc"


def test_the_parameters_of_an_extra_layer_are_missed(tmp_path: Path) -> None:
    fc = Layer("fc", "Linear", weights={"weight": X})
    norm = Layer("norm", "LayerNorm", weights={"weight": Y})
    base = write_dump(tmp_path / "base", Layer("", "Net", children=[fc]), section="params")
    raw = write_dump(tmp_path / "raw", Layer("", "Net", children=[norm, fc]), section="params")
    first = compare(base, raw).first_divergence
    assert first is not None
    assert (first.status, first.base.route, first.raw.route) == ("missing", None, "norm")


def test_a_mapped_layer_that_returns_more_is_no_divergence(tmp_path: Path) -> None:
    two = Layer("mha", "MultiheadAttention", out={"0": Y, "1": Z})
    one = Layer("mha", "MultiHeadAttention", out=Y)
    base, raw = (Layer("", "Net", out=Y, children=[layer]) for layer in (two, one))
    comparison = compare(*stores(tmp_path, base, raw))
    assert comparison.aligned
    (item,) = comparison.unmatched
    assert (item.side, item.kind, item.phase, item.tensor) == ("base", "tensor", "forward", "1")
    assert compare(tmp_path / "base", tmp_path / "raw", strict_structure=True).aligned


@pytest.mark.parametrize("what", ["out", "inputs"])
def test_more_outputs_of_the_model_itself_are_a_matter_of_structure(
    tmp_path: Path, what: str
) -> None:
    base = Layer("", "Net", out=Y, inputs=X)
    given = {"0": X, "1": Z} if what == "inputs" else X
    returned = {"0": Y, "1": Z} if what == "out" else Y
    raw = dataclasses.replace(base, inputs=given, out=returned)
    locations = stores(tmp_path, base, raw)
    assert compare(*locations).aligned
    assert not compare(*locations, strict_structure=True).aligned
    assert not compare(*reversed(locations), strict_structure=True).aligned


def test_gradients_asked_for_on_one_side_are_no_matter_of_structure(tmp_path: Path) -> None:
    locations = stores(tmp_path, network(), without_gradients(network(), "", "first"))
    assert compare(*locations, strict_structure=True).aligned


def test_a_model_whose_outputs_cannot_be_paired_is_not_aligned(tmp_path: Path) -> None:
    inner = Layer("fc", "Linear", out=Y)
    base = Layer("", "Net", out={"a": Y, "b": X[:2]}, children=[inner])
    raw = Layer("", "Net", out={"c": X[:3]}, children=[inner])
    comparison = compare(*stores(tmp_path, base, raw))
    assert not comparison.aligned
    missing = [record for record in comparison.records if record.status == "missing"]
    assert [(r.base.tensor, r.raw.tensor) for r in missing] == [
        ("a", None),
        ("b", None),
        (None, "c"),
    ]
    assert compare(tmp_path / "base", tmp_path / "raw", layers=["fc"]).aligned


def test_a_model_called_once_more_is_not_aligned(tmp_path: Path) -> None:
    def called(call: int) -> Layer:
        return Layer("", "Net", out=Y, call=call)

    base = write_dump(tmp_path / "base", called(0), called(1))
    raw = write_dump(tmp_path / "raw", called(0))
    first = compare(base, raw).first_divergence
    assert first is not None
    assert (first.status, first.base.call, first.raw.call) == ("missing", 1, None)


def test_two_empty_reports_are_not_equal(tmp_path: Path) -> None:
    base, raw = (write_dump(tmp_path / side) for side in ("base", "raw"))
    with pytest.raises(FormatError, match="something to compare"):
        compare(base, raw)


def test_what_a_later_call_is_given_is_an_effect(tmp_path: Path) -> None:
    def loop(by: float) -> list[Layer]:
        first = Layer("fc", "Linear", out=Y + np.float32(by))
        calls = [Layer("", "Net", inputs=X, out=Y + np.float32(by), children=[first])]
        second = dataclasses.replace(first, call=1)
        given = Y + np.float32(by)
        return [*calls, Layer("", "Net", call=1, inputs=given, out=given, children=[second])]

    base, raw = write_dump(tmp_path / "base", *loop(0)), write_dump(tmp_path / "raw", *loop(0.1))
    first = compare(base, raw).first_divergence
    assert name_of(first) == "fc forward"
    assert first is not None
    assert first.base.call == 0


def without_gradients(layer: Layer, *names: str) -> Layer:
    children = [without_gradients(child, *names) for child in layer.children]
    back = None if layer.name in names else layer.back
    return dataclasses.replace(layer, back=back, children=children)


def test_a_layer_that_gradients_reach_on_one_side_alone_was_cut_off(tmp_path: Path) -> None:
    comparison = compare(*stores(tmp_path, network(), without_gradients(network(), "fc", "act")))
    assert not comparison.aligned
    assert name_of(comparison.first_divergence) == "block.act backward"
    missing = [name_of(record) for record in comparison.records if record.status == "missing"]
    assert missing == ["block.act backward", "block.fc backward"]


def test_gradients_that_only_one_side_asked_for_are_no_divergence(tmp_path: Path) -> None:
    """Those of the model's inputs, and with them those of its first layers; or all of them."""
    base, raw = stores(tmp_path, network(), without_gradients(network(), "", "first"))
    comparison = compare(base, raw)
    assert comparison.aligned
    assert {(item.side, item.route, item.phase) for item in comparison.unmatched} == {
        ("base", "", "backward"),
        ("base", "first", "backward"),
    }
    every = "", "first", "block", "fc", "act", "last"
    assert compare(
        base, write_dump(tmp_path / "forward", without_gradients(network(), *every))
    ).aligned


def test_gradients_on_neither_side_are_nothing_to_compare(tmp_path: Path) -> None:
    model = Layer("", "Net", out=Y)
    with pytest.raises(FormatError, match="something to compare"):
        compare(*stores(tmp_path, model, model), phase="backward")


def one_tensor(
    tmp_path: Path, base: np.ndarray[Any, Any], raw: np.ndarray[Any, Any], **options: Any
) -> Record:
    comparison = compare(
        *stores(tmp_path, Layer("", "N", out=base), Layer("", "N", out=raw)), **options
    )
    (record,) = comparison.records
    assert comparison.aligned == (record.status == "match")
    return record


@pytest.mark.parametrize("mode", ["mean", "strict"])
def test_neither_order_nor_sign_nor_shape_is_lost_in_a_mean(tmp_path: Path, mode: str) -> None:
    for name, raw in {
        "shuffled": X[::-1],
        "transposed": X.reshape(6, 4),
        "sign": -X,
        "nan": np.where(X[0, 0] == X, np.float32(math.nan), X),
    }.items():
        record = one_tensor(tmp_path, X - X.mean(), raw - X.mean(), mode=mode)
        expected = {"transposed": "shape", "nan": "nonfinite"}.get(name, "mismatch")
        assert record.status == expected, name


def test_shapes_do_not_broadcast(tmp_path: Path) -> None:
    record = one_tensor(tmp_path, np.ones((3, 1)), np.ones((3,)), mode="strict")
    assert (record.status, record.figures) == ("shape", None)


def test_mean_and_strict_differ_in_what_they_hold_against_the_tolerance(tmp_path: Path) -> None:
    base = np.ones(1000, np.float32)
    raw = base.copy()
    raw[7] += np.float32(0.05)
    mean = one_tensor(tmp_path, base, raw, mode="mean", atol=1e-4, rtol=0)
    strict = one_tensor(tmp_path, base, raw, mode="strict", atol=1e-4, rtol=0)
    assert (mean.status, strict.status) == ("match", "mismatch")
    assert mean.figures is not None
    assert strict.figures is not None
    assert mean.figures.required_atol == pytest.approx(0.05 / 1000)
    assert strict.figures.required_atol == pytest.approx(0.05)
    assert strict.figures.worst_index == (7,)
    assert strict.figures.mismatched == 1


@pytest.mark.parametrize("mode", ["mean", "strict"])
@pytest.mark.parametrize("rtol", [0.0, 1e-3])
def test_the_required_atol_is_the_least_that_passes(tmp_path: Path, mode: str, rtol: float) -> None:
    raw = X + RANDOM.uniform(-0.1, 0.1, X.shape).astype(np.float32)
    found = one_tensor(tmp_path, X, raw, mode=mode, rtol=rtol).figures
    assert found is not None
    need = found.required_atol
    below = math.nextafter(need, 0)
    assert one_tensor(tmp_path, X, raw, mode=mode, rtol=rtol, atol=need).status == "match"
    assert one_tensor(tmp_path, X, raw, mode=mode, rtol=rtol, atol=below).status == "mismatch"


def test_bfloat16_is_compared_by_value(tmp_path: Path) -> None:
    base = np.linspace(1, 2, 100).astype(ml_dtypes.bfloat16)
    raw = (base.astype(np.float32) * 1.01).astype(ml_dtypes.bfloat16)
    assert one_tensor(tmp_path, base, raw, atol=1e-3).status == "mismatch"


def test_another_dtype_is_compared_and_said(tmp_path: Path) -> None:
    record = one_tensor(tmp_path, X, X.astype(np.float64))
    assert record.status == "match"
    assert not record.identical
    assert "float32 and float64" in record.note
    assert (record.base.dtype, record.raw.dtype) == ("float32", "float64")


def test_whole_numbers_and_booleans_are_exact(tmp_path: Path) -> None:
    base = np.array([1000, 2000])
    record = one_tensor(tmp_path, base, base + 1, atol=10)
    assert record.status == "mismatch"
    assert record.figures is not None
    assert record.figures.required_atol == math.inf
    assert one_tensor(tmp_path, base > 1000, base >= 1000, atol=10).status == "mismatch"


def test_where_nothing_is_finite_on_both_sides_nothing_is_measured(tmp_path: Path) -> None:
    base = np.array([1, 2, np.nan])
    for raw, known in ((np.array([np.nan, np.inf, np.nan]), False), (base[::-1], True)):
        locations = stores(tmp_path, Layer("", "Net", out=base), Layer("", "Net", out=raw))
        document = json.loads(json.dumps(compare(*locations).to_json(), allow_nan=False))
        first = document["first_divergence"]
        assert first["nonfinite"] == 2
        for name in ("max_abs", "mean_abs", "max_rel", "rel_l2", "cosine"):
            assert (first[name] is not None) == known
        assert first["base_value"] == 1


def test_nan_alike_on_both_sides_is_equal_and_said(tmp_path: Path) -> None:
    base = np.array([1.0, math.nan, math.inf])
    record = one_tensor(tmp_path, base, base + 1e-9)
    assert record.status == "match"
    assert "alike in 2 places" in record.note


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_scalars_and_empty_tensors(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert one_tensor(tmp_path, np.zeros(shape), np.zeros(shape)).identical
    other = np.ones(()) if shape == () else np.zeros((0, 1))
    assert one_tensor(tmp_path, np.zeros(shape), other).status in ("mismatch", "shape")


def weights(*, dims: tuple[str, str] | None, values: np.ndarray[Any, Any]) -> Layer:
    named = {} if dims is None else {"weight": dims}
    fc = Layer("fc", "Linear", weights={"weight": values}, dims=named)
    return Layer("", "Net", children=[fc])


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (1200, 900)])
def test_weights_that_lie_transposed_are_compared_as_what_they_are(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    values = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    wrong = values.T.copy()
    wrong[3, 2] += 1
    out, into = "out_features", "in_features"
    base = write_dump(tmp_path / "base", weights(dims=(out, into), values=values), section="params")
    for name, raw, aligned in (("right", values.T, True), ("wrong", wrong, False)):
        location = write_dump(
            tmp_path / name, weights(dims=(into, out), values=raw), section="params"
        )
        comparison = compare(base, location, mode="strict")
        assert comparison.aligned == aligned
        (record,) = comparison.records
        assert record.figures is not None
        assert record.figures.worst_index == (None if aligned else (2, 3))
    # a square matrix that lies the same way must not be turned
    same = write_dump(tmp_path / "same", weights(dims=(out, into), values=values), section="params")
    assert compare(base, same).aligned
    turned = write_dump(
        tmp_path / "turned", weights(dims=(out, into), values=values.T), section="params"
    )
    assert not compare(base, turned).aligned


def large(change: int | None = None, nan: bool = False) -> np.ndarray[Any, Any]:
    """48 MiB: several chunks."""
    values = np.random.default_rng(2).standard_normal((3 * 1024, 4096), dtype=np.float32)
    if change is not None:
        values.reshape(-1)[change] += 1
    if nan:
        values[0, 0] = math.nan
    return values


@pytest.mark.parametrize("nan", [False, True])
def test_chunks_known_to_be_equal_change_no_figure(tmp_path: Path, nan: bool) -> None:
    change = 2 * 1024 * 4096 + 5
    base, raw = large(nan=nan), large(change, nan=nan)
    record = one_tensor(tmp_path, base, raw, mode="strict")
    with np.errstate(all="ignore"):
        b, r = (x[np.isfinite(base)].astype(np.float64) for x in (base, raw))
    found = record.figures
    assert found is not None
    assert (found.mismatched, found.worst_index) == (1, (2048, 5))
    assert found.rel_l2 == pytest.approx(np.linalg.norm(r - b) / np.linalg.norm(b), rel=1e-9)
    cosine = float(b @ r) / (np.linalg.norm(b) * np.linalg.norm(r))
    assert found.cosine == pytest.approx(cosine, abs=1e-12)
    assert found.mean_abs == pytest.approx(np.abs(r - b).mean(), rel=1e-9)


def test_equal_chunks_are_not_read_and_missing_ones_are_not_equal(tmp_path: Path) -> None:
    base, raw = stores(tmp_path, Layer("", "N", out=large()), Layer("", "N", out=large()))
    chunks = sorted(p for p in (raw / "report").rglob("c.*"))
    assert len(chunks) > 1
    # what a digest vouches for is not looked at: a byte that changed is for `verify` to find
    with chunks[0].open("r+b") as file:
        file.write(b"\0\0\0\0")
    assert compare(base, raw).aligned
    chunks[-1].unlink()
    with pytest.raises(CorruptError, match=chunks[-1].name):
        compare(base, raw)


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_chunk_is_an_error_even_where_digests_agree(tmp_path: Path, damage: str) -> None:
    base = write_dump(tmp_path / "base", network())
    raw = Path(shutil.copytree(base, tmp_path / "raw"))
    chunk = next(p for p in (raw / "report" / "last").rglob("c.*"))
    if damage == "remove":
        chunk.unlink()
    else:
        chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(CorruptError):
        compare(base, raw)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(tmp_path: Path, jobs: int) -> None:
    random = np.random.default_rng(3)
    outs = [random.standard_normal((1500, 1500), dtype=np.float32) for _ in range(3)]
    models = [
        Layer("", "N", children=[Layer(f"l{i}", "L", out=o * by) for i, o in enumerate(outs)])
        for by in (1, 1.001)
    ]
    locations = stores(tmp_path, models[0], models[1])
    alone = compare(*locations, jobs=1)
    assert compare(*locations, jobs=jobs).records == alone.records
    told: list[float] = []
    compare(*locations, jobs=jobs, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_layers_are_chosen_by_pattern_on_either_side(tmp_path: Path) -> None:
    locations = stores(tmp_path, network(), network("first forward"))
    comparison = compare(*locations, layers=["block.*", "last"])
    assert comparison.aligned
    assert {record.base.route for record in comparison.records} == {
        "block.fc",
        "block.act",
        "last",
    }
    assert not compare(*locations, layers=["first"]).aligned
    with pytest.raises(UsageError, match=r"route fits nothing\.\*"):
        compare(*locations, layers=["nothing.*"])


def test_layers_that_one_side_alone_has_are_said_to_have_no_partner(tmp_path: Path) -> None:
    locations = stores(tmp_path, network(), network(extra=(Layer("extra", "Dropout", out=Y),)))
    with pytest.raises(UsageError, match=r"no partner on the other side: extra \(Dropout\) in raw"):
        compare(*locations, layers=["ext*"])


def test_phases_are_chosen(tmp_path: Path) -> None:
    locations = stores(tmp_path, network(), network("first forward"))
    assert compare(*locations, phase="backward").aligned
    assert not compare(*locations, phase="forward").aligned
    assert {r.phase for r in compare(*locations, phase="forward").records} == {"forward", "input"}
    for location, weight, grad in zip(locations, (0, 0), (0, 1), strict=True):
        write_dump(location, parameters(weight, grad), section="params")
    params = compare(*locations, sections=["params"], phase="forward")
    assert params.aligned
    assert not compare(*locations, sections=["params"], phase="backward").aligned


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"atol": -1.0}, "atol to be a finite number >= 0, got -1"),
        ({"rtol": math.nan}, "rtol to be a finite number >= 0, got nan"),
        ({"atol": "small"}, "atol to be a finite number"),
        ({"mode": "max"}, "mean or strict, got 'max'"),
        ({"phase": "sideways"}, "both, forward, backward, got 'sideways'"),
        ({"sections": ["reports"]}, "report, params, weights, grads, got"),
        ({"sections": []}, "report, params, weights, grads, got"),
        ({"steps": [-1]}, "steps of at least 0"),
        ({"steps": 3}, "steps to be a list"),
        ({"steps": [7]}, "expected step 7 in"),
        ({"ranks": [2]}, "expected rank 2 in"),
        ({"jobs": 0}, "at least 1 job and at most 256, got 0"),
        ({"jobs": 100_000}, "at most 256, got 100000"),
    ],
)
def test_bad_arguments_name_the_right_ones(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    locations = stores(tmp_path, network(), network())
    with pytest.raises(ValueError, match=words) as raised:
        compare(*locations, **options)
    assert isinstance(raised.value, UsageError)
    assert "\n" not in str(raised.value)


def test_an_unknown_option_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="tolerance"):
        compare(tmp_path, tmp_path, tolerance=1)  # type: ignore[call-arg]


def test_what_is_not_there(tmp_path: Path) -> None:
    base = write_dump(tmp_path / "base", network())
    with pytest.raises(LocationError):
        compare(base, tmp_path / "nothing")
    file = tmp_path / "file"
    file.write_text("text")
    with pytest.raises(FormatError):
        compare(base, file)
    with pytest.raises(FormatError, match=r"report in .* and params in"):
        compare(base, write_dump(tmp_path / "raw", parameters(), section="params"))


def test_the_document_is_json_with_every_key(tmp_path: Path) -> None:
    raw = network("last forward", by=math.nan)
    document = compare(*stores(tmp_path, network(), raw)).to_json()
    text = json.dumps(document, allow_nan=False)
    assert set(document) >= {
        *("schema", "verdict", "criterion", "base", "raw", "totals"),
        *("first_divergence", "records", "unmatched"),
    }
    assert document["schema"] == "padiff-comparison/1"
    assert document["verdict"] == "diverged"
    record = document["first_divergence"]
    assert set(record) >= {
        *("step", "rank", "section", "phase", "order", "status", "base", "raw", "size"),
        *("mismatched", "max_abs", "mean_abs", "max_rel", "rel_l2", "cosine", "worst_index"),
        *("base_value", "raw_value", "required_atol"),
    }
    assert set(record["base"]) >= {"route", "class", "call", "tensor"}
    assert record["raw_value"] == "NaN"
    assert record["required_atol"] == "Infinity"
    assert json.loads(text) == document


def test_one_comparison_does_not_change_the_next(tmp_path: Path) -> None:
    locations = stores(tmp_path, network(), network("last forward"))
    assert compare(*locations, atol=1.0).aligned
    assert not compare(*locations).aligned


def test_the_function_is_not_hidden_by_the_modules_it_is_made_of() -> None:
    assert padiff.compare is compare


@pytest.mark.parametrize(("by", "when"), [(0.1, 0.0), (1e-6, 0.0), (1e-6, 1.0)])
def test_a_section_that_is_dumped_again_meanwhile_is_told(
    tmp_path: Path, by: float, when: float
) -> None:
    """What was read is of two sections then, so no verdict holds."""
    base, raw = stores(tmp_path, network(), network("last forward", by=by))

    def dump_again(share: float) -> None:
        if share >= when:
            write_dump(raw, network())

    with pytest.raises(CorruptError, match="raw/report as it was .* dumped again .*: open it"):
        compare(base, raw, progress=dump_again)
    report = open_dump(base).report
    write_dump(base, network())
    with pytest.raises(CorruptError, match="base/report as it was"):
        report.array(next(t for node in report.tree.walk() for t in node.tensors))
