"""Single step: a fault shows where it is made, and nowhere else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import padiff
from padiff import auto_diff, compare, set_dump_root_path
from tests.running.nets import BackwardScaled, Fault, inputs, pair
from tests.zoo import SIDES, ZOO

PAIRINGS = [(base, raw) for base in SIDES for raw in SIDES]
across = pytest.mark.parametrize(("base", "raw"), PAIRINGS, ids=["-".join(p) for p in PAIRINGS])
PHASES = ("forward", "backward", "both")


@pytest.fixture(autouse=True)
def _root(tmp_path: Path) -> Any:
    before = padiff.get_dump_root_path()
    set_dump_root_path(tmp_path)
    yield
    set_dump_root_path(before)


def run(base: str, raw: str, fault: Fault | None, root: Path, **options: Any) -> set[Any]:
    """Where the two diverge: phase of the run, layer, and what of it."""
    models = pair(base, raw, fault)
    settings: dict[str, Any] = {"atol": 1e-6, "rtol": 1e-6, "compare_mode": "strict"}
    settings |= {"single_step": True} | options
    aligned = auto_diff(*models, inputs(base, raw), **settings)
    comparison = compare(
        root / "auto_diff/base_Net",
        root / "auto_diff/raw_Net",
        sections=["report"],
        phase=options.get("diff_phase", "both"),
        mode="strict",
        atol=1e-6,
        rtol=1e-6,
    )
    assert comparison.totals.compared > 24
    found = {(r.phase, r.base.route) for r in comparison.records if r.diverged}
    assert aligned == (not found)
    return found


def at(place: str, number: int, change: Callable[[Any], Any]) -> Fault:
    def fault(where: str, which: int, value: Any) -> Any:
        return change(value) if (where, which) == (place, number) else value

    return fault


@across
@pytest.mark.parametrize("phase", PHASES)
def test_clean_twins_are_aligned(base: str, raw: str, phase: str, tmp_path: Path) -> None:
    assert run(base, raw, None, tmp_path, diff_phase=phase) == set()


@across
def test_a_fault_inside_a_layer(base: str, raw: str, tmp_path: Path) -> None:
    fault = at("layer", 5, lambda h: h * 1.25)
    assert run(base, raw, fault, tmp_path, diff_phase="forward") == {("forward", "layer5")}


@across
def test_its_gradient_alone(base: str, raw: str, tmp_path: Path) -> None:
    # the code is after the layer's own linear one: that has the wrong gradient of its output
    fault = at("layer", 5, lambda h: h * 1.25)
    found = run(base, raw, fault, tmp_path, diff_phase="backward")
    assert found == {("grad_output", "layer5.fc")}


@across
def test_a_fault_between_two_layers(base: str, raw: str, tmp_path: Path) -> None:
    fault = at("between", 5, lambda h: h * 1.25)
    assert run(base, raw, fault, tmp_path, diff_phase="forward") == {("input", "layer6")}


@across
def test_a_fault_in_forward_and_backward_is_seen_in_both(
    base: str, raw: str, tmp_path: Path
) -> None:
    fault = at("between", 5, lambda h: h * 1.25)
    assert run(base, raw, fault, tmp_path) == {("input", "layer6"), ("grad_output", "layer5")}


@across
@pytest.mark.parametrize("phase", ["backward", "both"])
def test_a_detached_branch(base: str, raw: str, phase: str, tmp_path: Path) -> None:
    fault = at("between", 5, lambda h: h.detach())
    found = run(base, raw, fault, tmp_path, diff_phase=phase)
    assert found == {("grad_output", "layer5")}


@across
@pytest.mark.parametrize("phase", ["backward", "both"])
def test_a_wrong_custom_gradient(base: str, raw: str, phase: str, tmp_path: Path) -> None:
    fault = at("layer", 5, BackwardScaled[raw].apply)
    found = run(base, raw, fault, tmp_path, diff_phase=phase)
    assert found == {("grad_output", "layer5.fc")}


@across
def test_a_backward_fault_is_none_in_the_forward(base: str, raw: str, tmp_path: Path) -> None:
    fault = at("between", 5, lambda h: h.detach())
    assert run(base, raw, fault, tmp_path, diff_phase="forward") == set()


@across
def test_two_independent_faults(base: str, raw: str, tmp_path: Path) -> None:
    first, second = at("layer", 2, lambda h: h + 0.5), at("between", 8, lambda h: h.detach())

    def both(place: str, number: int, value: Any) -> Any:
        return second(place, number, first(place, number, value))

    assert run(base, raw, both, tmp_path) == {("forward", "layer2"), ("grad_output", "layer8")}


@across
def test_without_single_step_the_same_fault_travels(base: str, raw: str, tmp_path: Path) -> None:
    fault = at("layer", 5, lambda h: h + 0.5)
    found = run(base, raw, fault, tmp_path, single_step=False, diff_phase="forward")
    assert ("forward", "layer11") in found


def test_the_first_calls_of_a_layer_are_not_those_of_the_second(tmp_path: Path) -> None:
    """A layer called in a loop computes on the inputs of the same call, with its gradients."""
    twin = ZOO["loop"]
    for base, raw in PAIRINGS:
        models = twin.build(base), twin.build(raw)
        given = twin.inputs(base)[0], twin.inputs(raw)[0]
        options: dict[str, Any] = {"atol": 1e-5, "compare_mode": "strict", "single_step": True}
        assert auto_diff(*models, given, **options)


RUNNING = {n: t for n, t in ZOO.items() if not t.raises and n not in ("inward", "keywords")}


@across
@pytest.mark.parametrize("single_step", [False, True])
@pytest.mark.parametrize("twin", RUNNING.values(), ids=RUNNING)
def test_awkward_twins_are_aligned(twin: Any, base: str, raw: str, single_step: bool) -> None:
    """Outputs of any structure, in-place layers, shared ones, checkpointing, half precision."""
    models = twin.build(base), twin.build(raw, seed=1)
    if twin.name in ("words", "encoder"):  # dropout
        for model in models:
            model.eval()
    args = [twin.inputs(name) for name in (base, raw)]
    losses = SIDES[base].loss, SIDES[raw].loss
    assert auto_diff(
        *models,
        [positional or named for positional, named in args],
        losses,
        atol=1e-5,
        rtol=1e-5,
        compare_mode="strict",
        single_step=single_step,
    )
