"""Where names, numbers and classes speak against each other: one case for each that decides."""

from pathlib import Path

import numpy as np
import pytest

from padiff import compare
from padiff.errors import CorruptError
from padiff.matching.trees import match_trees
from padiff.tree import LayerTree, Node
from tests.matching.test_trees import net, node, routes, same
from tests.stores import Layer, write_dump


def holder(route: str, kind: str, *inside: str) -> Node:
    return node(route, kind, *(node(f"{route}.{at}", name) for at, name in enumerate(inside)))


def test_a_container_and_a_layer_do_not_change_places_for_their_names() -> None:
    base = net(node("s", "Sequential", node("s.fc", "Linear")), node("fc", "Linear"))
    raw = net(node("fc", "Linear"), node("s", "Sequential", node("s.fc", "Linear")))
    assert {("s.fc", "fc"), ("fc", "s.fc")} <= routes(base, raw)[0]


def test_containers_of_other_layers_change_places_for_their_names() -> None:
    base = net(holder("s", "Sequential", "Linear", "ReLU"), node("fc", "Linear"))
    raw = net(node("fc", "Linear"), holder("s", "Sequential", "Linear", "ReLU"))
    assert routes(base, raw) == (same("s", "s.0", "s.1", "fc"), set(), set())


def test_a_layer_of_another_width_that_runs_elsewhere_goes_with_its_namesake() -> None:
    base = net(node("fc", "Linear", shape=(2, 4)), node("norm", "LayerNorm"))
    raw = net(node("norm", "LayerNorm"), node("fc", "Linear", shape=(2, 8)))
    assert routes(base, raw) == (same("fc", "norm"), set(), set())


def test_a_layer_of_another_width_is_left_for_a_twin() -> None:
    base = net(node("a", "Linear", shape=(4,)))
    raw = net(node("a", "Linear", shape=(8,)), node("b", "Linear", shape=(4,)))
    assert routes(base, raw) == ({("a", "b")}, set(), {"a"})


def test_a_model_of_double_width_is_paired_by_name() -> None:
    widths = (64, 128, 256, 512)
    base = net(*(node(f"conv{w}", "Conv2d", shape=(w,)) for w in widths))
    raw = net(*(node(f"conv{w}", "Conv2D", shape=(2 * w,)) for w in widths))
    assert routes(base, raw)[0] == same(*(f"conv{w}" for w in widths))


def test_layers_counted_from_one_go_with_those_counted_from_zero() -> None:
    base = net(*(node(f"layer{at}", "Linear") for at in range(3)))
    raw = net(*(node(f"layer{at + 1}", "Linear") for at in range(3)))
    assert routes(base, raw)[0] == {(f"layer{at}", f"layer{at + 1}") for at in range(3)}


def test_numbers_of_which_one_is_of_another_kind_tell_nothing() -> None:
    base_kinds = ("Linear", "Linear", "ReLU", "Linear", "Linear")
    raw_kinds = ("Linear", "ReLU", "Linear", "Linear", "LayerNorm")
    base, raw = (
        net(*(node(str(at), kind) for at, kind in enumerate(kinds)))
        for kinds in (base_kinds, raw_kinds)
    )
    assert len(routes(base, raw)[0]) == 4


def test_layers_of_users_classes_that_run_in_another_order() -> None:
    base = net(*(node(name, "TorchMine") for name in ("q", "k", "v")))
    raw = net(*(node(name, "PaddleMine") for name in ("v", "k", "q")))
    assert routes(base, raw) == (same("q", "k", "v"), set(), set())


def test_blocks_of_users_classes_that_run_in_another_order() -> None:
    base = net(*(holder(name, "TorchBlock", "Linear") for name in ("left", "right")))
    raw = net(*(holder(name, "PaddleBlock", "Linear") for name in ("right", "left")))
    assert routes(base, raw)[0] == same("left", "left.0", "right", "right.0")


def test_containers_of_one_class_go_by_what_they_hold() -> None:
    three = holder("a", "Sequential", "Linear", "Linear", "Linear")
    base = net(three, holder("b", "Sequential", "Linear", "ReLU"))
    raw = net(holder("x", "Sequential", "Linear", "ReLU"))
    assert routes(base, raw)[0] == {("b", "x"), ("b.0", "x.0"), ("b.1", "x.1")}


def pairs_of(base: LayerTree, raw: LayerTree, *known: tuple[str, str]) -> set[tuple[str, str]]:
    return {(a.route, b.route) for a, b in match_trees(base, raw, known=known).pairs if a.route}


def test_a_layer_known_to_go_with_one_that_is_taken_gets_no_other() -> None:
    base = net(node("shared", "Linear"), node("spare", "Linear"))
    raw = net(node("one", "Linear"), node("two", "Linear"))
    assert pairs_of(base, raw, ("shared", "one"), ("shared", "two")) == {("shared", "one")}


def test_containers_that_never_run_go_by_the_known_layers_in_them() -> None:
    base = net(*(holder(name, "ModuleList", "Linear") for name in ("a", "b")))
    raw = net(*(holder(name, "LayerList", "Linear") for name in ("y", "x")))
    found = pairs_of(base, raw, ("a.0", "x.0"), ("b.0", "y.0"))
    assert found == {("a", "x"), ("a.0", "x.0"), ("b", "y"), ("b.0", "y.0")}


def test_a_layer_whose_partner_in_the_map_is_missing_gets_no_other() -> None:
    base = net(node("a", "Linear"), node("b", "Linear"))
    raw = net(node("p", "Linear"), node("z", "Linear"))
    assert routes(base, raw, ["a", "b"], ["p", "q"]) == ({("a", "p")}, {"b"}, {"z"})


def test_damage_to_a_report_is_an_error_though_only_parameters_are_asked_for(
    tmp_path: Path,
) -> None:
    x = np.ones((2, 2), dtype="float32")
    tree = Layer("", "Net", out=x, children=[Layer("fc", "Linear", out=x, weights={"weight": x})])
    for side in ("base", "raw"):
        write_dump(tmp_path / side, tree, section="report")
        write_dump(tmp_path / side, tree, section="params")
    assert compare(tmp_path / "base", tmp_path / "raw", sections=["params"]).aligned
    header = tmp_path / "raw" / "report" / "zarr.json"
    header.write_text(header.read_text().replace("Linear", "Linger"))
    with pytest.raises(CorruptError, match="report"):
        compare(tmp_path / "base", tmp_path / "raw", sections=["params"])
