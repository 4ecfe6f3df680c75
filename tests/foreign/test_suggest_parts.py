"""Tensors that are several on the other side, found by values and by names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from padiff.naming.suggest import suggest_map
from padiff.naming.table import NamedPair
from tests.foreign.test_suggest_map import assert_aligned_by_table, found_for

Row = tuple[str | None, str | None, str, str | None]
WIDTH = 8
ROWS = {"q": 16, "k": 4, "v": 4}


def drawn(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def told(rows: list[NamedPair]) -> set[Row]:
    return {(row.base, row.raw, str(row.layout), row.certainty) for row in rows}


def projections(layers: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Queries of four heads and keys and values of one, as many models have them."""
    return {
        f"layers.{n}.self_attn.{role}_proj.weight": drawn(rows, WIDTH, seed=seed + 10 * n + at)
        for n in range(layers)
        for at, (role, rows) in enumerate(ROWS.items())
    }


def fused(parts: dict[str, Any], order: str, layers: int) -> dict[str, Any]:
    """The same as one tensor a layer, under a name of its own."""
    return {
        f"h.{n}.attn.Wqkv.weight": np.concatenate(
            [parts[f"layers.{n}.self_attn.{role}_proj.weight"] for role in order]
        )
        for n in range(layers)
    }


@pytest.mark.parametrize("order", ["qkv", "kvq"])
def test_parts_of_unequal_lengths_by_values(tmp_path: Path, order: str) -> None:
    parts = projections(2, 0)
    whole = fused(parts, order, 2)
    start, expected = 0, set[Row]()
    for role in order:
        layout = f"base {start}:{start + ROWS[role]}"
        start += ROWS[role]
        for n in range(2):
            name = f"layers.{n}.self_attn.{role}_proj.weight"
            expected.add((f"h.{n}.attn.Wqkv.weight", name, layout, "certain"))
    rows = found_for(tmp_path, whole, parts)
    assert told(rows) == expected
    sides = tmp_path / "base.npz", tmp_path / "raw.npz"
    assert_aligned_by_table(rows, *sides, tmp_path / "names.csv")
    turned = {name: np.ascontiguousarray(part.T) for name, part in parts.items()}
    rows = found_for(tmp_path, turned, whole)
    assert {str(row.layout) for row in rows} == {
        f"{layout.replace('base', 'raw')}, transposed" for _, _, layout, _ in expected
    }
    assert {row.certainty for row in rows} == {"certain"}
    assert_aligned_by_table(rows, *sides, tmp_path / "back.csv")


def test_parts_of_which_there_are_others_are_not_certain(tmp_path: Path) -> None:
    parts = projections(1, 0)
    whole = fused(parts, "qkv", 1)
    (name,) = whole
    query, *others = parts
    twice = found_for(tmp_path, whole | {"teacher.weight": whole[name]}, parts)
    assert {(row.base, row.raw, row.certainty) for row in twice} == {
        (one, part, "likely") for one in (name, "teacher.weight") for part in parts
    }
    again = found_for(tmp_path, whole | {"a.w": parts[query], "b.w": parts[query]}, parts)
    assert not [row for row in again if row.raw == query and row.certainty == "certain"]
    copied = found_for(tmp_path, whole, parts | {"other.weight": parts[query]})
    assert {row.raw: row.certainty for row in copied if row.base} == {
        query: "likely",
        "other.weight": "likely",
        **dict.fromkeys(others, "certain"),
    }


@pytest.mark.parametrize("turned", [False, True])
def test_parts_by_names_where_values_differ(tmp_path: Path, turned: bool) -> None:
    base, raw = fused(projections(2, 100), "qkv", 2), projections(2, 200)
    for n in range(2):
        base[f"h.{n}.mlp.gate_up_proj.weight"] = drawn(40, WIDTH, seed=n)
        base[f"h.{n}.mlp.down_proj.weight"] = drawn(WIDTH, 20, seed=n + 2)
        raw[f"layers.{n}.feed_forward.w1.weight"] = drawn(20, WIDTH, seed=n + 4)
        raw[f"layers.{n}.feed_forward.w3.weight"] = drawn(20, WIDTH, seed=n + 6)
        raw[f"layers.{n}.feed_forward.w2.weight"] = drawn(WIDTH, 20, seed=n + 8)
    if turned:
        raw = {name: np.ascontiguousarray(value.T) for name, value in raw.items()}
    end = ", transposed" if turned else ""
    rows = found_for(tmp_path, base, raw)
    for n in range(2):
        spans = {"q": "0:16", "k": "16:20", "v": "20:24"}
        whole, above = f"h.{n}.attn.Wqkv.weight", f"layers.{n}.self_attn"
        expected: set[Row] = {
            (whole, f"{above}.{role}_proj.weight", f"base {span}{end}", "guess")
            for role, span in spans.items()
        }
        whole, above = f"h.{n}.mlp.gate_up_proj.weight", f"layers.{n}.feed_forward"
        expected.add((whole, f"{above}.w1.weight", f"base 1/2{end}", "guess"))
        expected.add((whole, f"{above}.w3.weight", f"base 2/2{end}", "guess"))
        assert expected <= told(rows)
    assert len([row for row in rows if row.base and row.raw]) == len(raw)


@pytest.mark.parametrize("turned", [False, True])
def test_of_square_matrices_near_values_tell_how_they_lie(tmp_path: Path, turned: bool) -> None:
    """As after a step of training: neither shapes nor equal values do."""
    parts = {role: drawn(WIDTH, WIDTH, seed=at) for at, role in enumerate("qkv")}
    whole = {"h.0.attn.qkv.weight": np.concatenate(list(parts.values()))}
    whole["h.0.attn.proj.weight"] = drawn(WIDTH, WIDTH, seed=9)
    near = {f"enc.0.attn.{role}_proj.weight": part for role, part in parts.items()}
    near["enc.0.attn.out.weight"] = whole["h.0.attn.proj.weight"]
    for at, (name, value) in enumerate(near.items()):
        value = value + np.float32(1e-4) * drawn(WIDTH, WIDTH, seed=20 + at)
        near[name] = np.ascontiguousarray(value.T) if turned else value
    end = ", transposed" if turned else ""
    for side, (base, raw) in {"base": (whole, near), "raw": (near, whole)}.items():
        layouts = {str(row.layout) for row in found_for(tmp_path, base, raw)}
        assert layouts == {f"{side} {at}/3{end}" for at in (1, 2, 3)} | {end.removeprefix(", ")}


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_biases_of_parts_go_with_their_weights(tmp_path: Path, constant: float) -> None:
    parts = projections(2, 0)
    base, raw = fused(parts, "qkv", 2), dict(parts)
    for name in parts:
        raw[name.replace("weight", "bias")] = np.full(len(parts[name]), constant, np.float32)
    for name in list(base):
        base[name.replace("weight", "bias")] = np.full(24, constant, np.float32)
    rows = found_for(tmp_path, base, raw)
    biases = [row for row in rows if row.base and row.base.endswith("bias")]
    assert {row.certainty for row in biases} == {"likely"}
    assert {(row.base, row.raw, str(row.layout)) for row in biases} == {
        (row.base.replace("weight", "bias"), row.raw.replace("weight", "bias"), str(row.layout))
        for row in rows
        if row.base and row.raw and row.base.endswith("weight")
    }
    assert_aligned_by_table(
        rows, tmp_path / "base.npz", tmp_path / "raw.npz", tmp_path / "names.csv"
    )


def test_three_that_have_words_of_their_own_go_by_order(tmp_path: Path) -> None:
    base = {"a.zip.weight": drawn(24, 8), "a.bend.weight": drawn(3, 8, seed=1)}
    raw = {f"x.{word}.weight": drawn(8, 8, seed=2) for word in ("tok", "rak", "sel")}
    raw["x.dim.weight"] = drawn(3, 8, seed=3)
    rows = found_for(tmp_path, base, raw)
    found = {(row.raw, str(row.layout)) for row in rows if row.base == "a.zip.weight"}
    assert found == {
        ("x.tok.weight", "base 1/3"),
        ("x.rak.weight", "base 2/3"),
        ("x.sel.weight", "base 3/3"),
    }


def test_a_part_that_two_have_is_certain_of_neither(tmp_path: Path) -> None:
    one, two, shared = (drawn(4, WIDTH, seed=seed) for seed in range(3))
    base = {"x.table": np.concatenate([one, shared]), "y.table": np.concatenate([one, two])}
    raw = {"x.b": shared, "y.a": one, "y.b": two}
    rows = found_for(tmp_path, base, raw)
    assert told(rows) == {
        ("x.table", "y.a", "base 1/2", "likely"),
        ("x.table", "x.b", "base 2/2", "certain"),
        ("y.table", "y.a", "base 1/2", "likely"),
        ("y.table", "y.b", "base 2/2", "certain"),
    }
    sides = tmp_path / "base.npz", tmp_path / "raw.npz"
    assert_aligned_by_table(rows, *sides, tmp_path / "names.csv")
    back = suggest_map(*sides[::-1])
    assert told(back) == {
        (b, a, layout.replace("base", "raw"), certainty) for a, b, layout, certainty in told(rows)
    }
    assert_aligned_by_table(back, *sides[::-1], tmp_path / "back.csv")


def test_each_of_two_wholes_takes_the_copy_that_is_beside_its_other_parts(tmp_path: Path) -> None:
    one, two, shared = (drawn(4, WIDTH, seed=seed) for seed in range(3))
    base = {"l.0.qk": np.concatenate([one, shared]), "l.1.qk": np.concatenate([two, shared])}
    raw = {"l.0.q": one, "l.1.q": two, "l.1.k": shared, "l.0.k": shared}
    assert told(found_for(tmp_path, base, raw)) == {
        (f"l.{n}.qk", f"l.{n}.{role}", f"base {at}/2", certainty)
        for n in range(2)
        for at, role, certainty in ((1, "q", "certain"), (2, "k", "likely"))
    }


@pytest.mark.parametrize("at", [0, 3])
def test_a_part_is_not_certain_that_lies_among_other_rows(tmp_path: Path, at: int) -> None:
    one, two, rest = drawn(4, WIDTH), drawn(4, WIDTH, seed=1), drawn(16, WIDTH, seed=2)
    rest[at : at + 4] = two
    base = {"l.0.qk": np.concatenate([one, two]), "l.1.qk": rest}
    rows = found_for(tmp_path, base, {"l.0.q": one, "l.1.k": two})
    assert told(rows) == {
        ("l.0.qk", "l.0.q", "base 1/2", "certain"),
        ("l.0.qk", "l.1.k", "base 2/2", "likely"),
        ("l.1.qk", None, "", None),
    }
    flat = {name: value.ravel() for name, value in base.items()}
    rows = found_for(tmp_path, flat, {"l.0.q": one.ravel(), "l.1.k": two.ravel()})
    assert {row.raw: row.certainty for row in rows} == {
        "l.0.q": "certain",
        "l.1.k": "likely",
        None: None,
    }


def test_a_part_that_lies_along_another_axis_in_another_whole_is_not_certain(
    tmp_path: Path,
) -> None:
    one, two, shared = (drawn(WIDTH, WIDTH, seed=seed) for seed in range(3))
    base = {"x": np.concatenate([one, shared]), "y": np.concatenate([two.T, shared.T], axis=1)}
    assert told(found_for(tmp_path, base, {"a": one, "b": two, "c": shared})) == {
        ("x", "a", "base 1/2", "certain"),
        ("x", "c", "base 2/2", "likely"),
        ("y", "b", "base 1/2 of axis 1, transposed", "certain"),
        ("y", "c", "base 2/2 of axis 1, transposed", "likely"),
    }


def test_parts_that_others_may_have_are_not_certain(tmp_path: Path) -> None:
    one, eye = drawn(8, WIDTH), np.eye(WIDTH, dtype=np.float32)
    rows = found_for(tmp_path, {"w": np.concatenate([one, eye])}, {"a": one, "b": eye})
    assert told(rows) == {("w", "a", "base 1/2", "certain"), ("w", "b", "base 2/2", "likely")}


def test_parts_of_short_rows_are_certain(tmp_path: Path) -> None:
    one, two = drawn(8, 2, 3), drawn(4, 2, 3, seed=1)
    rows = found_for(tmp_path, {"w": np.concatenate([one, two])}, {"a": one, "b": two})
    assert told(rows) == {("w", "a", "base 0:8", "certain"), ("w", "b", "base 8:12", "certain")}
