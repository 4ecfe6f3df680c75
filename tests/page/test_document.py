"""The document that a page carries: all of the comparison, small, and inert."""

import base64
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff.comparing.engine import compare
from padiff.jsonio import dumps
from padiff.render.page import render
from padiff.render.page.columns import quantised, short
from padiff.render.page.document import document
from tests.page.runs import compared
from tests.stores import Layer, write_dump

Y = np.ones((2, 3), np.float32)


def column(table: dict[str, Any], name: str) -> list[Any]:
    found = table[name]
    return found if isinstance(found, list) else [found] * table["count"]


def named(found: dict[str, Any], table: str, name: str) -> list[str | None]:
    return [None if i < 0 else found["strings"][i] for i in column(found[table], name)]


def tree(found: dict[str, Any]) -> list[tuple[str | None, str | None, str | None]]:
    """Base's route, raw's, and that of the parent, in order."""
    base, raw = named(found, "layers", "base_route"), named(found, "layers", "raw_route")
    parents = column(found["layers"], "parent")
    return [
        (b, r, None if p < 0 else base[p] if base[p] is not None else raw[p])
        for b, r, p in zip(base, raw, parents, strict=True)
    ]


def test_it_holds_every_record_with_its_figures(tmp_path: Path) -> None:
    comparison = compared(tmp_path)
    found = json.loads(dumps(document(comparison)))
    records = found["records"]
    assert records["count"] == len(comparison.records)
    layers = column(records, "layer")
    routes = named(found, "layers", "base_route")
    for i, record in enumerate(comparison.records):
        assert record.figures is not None
        assert routes[layers[i]] == record.base.route
        for name in ("max_abs", "mean_abs", "max_rel", "rel_l2", "required_atol"):
            figure = getattr(record.figures, name)
            assert column(records, name)[i] == float(f"{figure:.4g}"), name
        assert named(found, "records", "status")[i] == record.status
        stats = found["stats"][column(records, "raw_stats")[i]]
        assert record.raw.stats is not None
        assert stats[1] == float(f"{record.raw.stats.max:.4g}")
    first = comparison.first_divergence
    assert first is not None
    assert routes[layers[found["first"]]] == first.base.route


@pytest.mark.parametrize(
    ("mode", "atol", "rtol", "times"),
    [
        *(("mean", 1e-2, 0.0, 50.0), ("strict", 1e-2, 0.0, 100.0)),
        *(
            ("mean", 0.0, 1e-2, 40.0),
            ("strict", 0.0, 1e-2, 50.0),
        ),  # of 1.25 and 2, which rtol is of
        *(("mean", 0.0, 0.0, "Infinity"), ("strict", 2.0, 0.0, 0.5), ("strict", 0.0, 1.0, 0.0)),
    ],
)
def test_an_error_is_told_in_what_is_allowed(
    tmp_path: Path, mode: Any, atol: float, rtol: float, times: float
) -> None:
    base, raw = np.array([2, 0.5], np.float64), np.array([3, 0.5], np.float64)
    sides = [
        write_dump(tmp_path / name, Layer("", "N", out=values))
        for name, values in (("base", base), ("raw", raw))
    ]
    found = document(compare(*sides, mode=mode, atol=atol, rtol=rtol))
    assert column(found["records"], "times") == [pytest.approx(times)]


def test_partners_share_a_row_and_what_raw_alone_has_stands_where_it_ran(tmp_path: Path) -> None:
    def net(*names: str) -> Layer:
        children = [Layer(name, kind, out=Y) for name, kind in (n.split(":") for n in names)]
        return Layer("", "N", out=Y, children=children)

    base = write_dump(tmp_path / "base", net("a:Linear", "b:ReLU", "gone:Dropout", "c:Conv"))
    raw = write_dump(tmp_path / "raw", net("first:Linear", "new:Norm", "b:ReLU", "c:Conv"))
    found = document(compare(base, raw, rename=["^first$=a"]))
    assert tree(found) == [
        ("", "", None),
        ("a", "first", ""),
        (None, "new", ""),
        ("b", "b", ""),
        ("gone", None, ""),
        ("c", "c", ""),
    ]
    assert named(found, "unmatched", "side") == ["base", "raw"]
    assert [tree(found)[i][:2] for i in column(found["unmatched"], "layer")] == [
        ("gone", None),
        (None, "new"),
    ]


def test_a_partner_that_has_another_name_in_another_step_is_told(tmp_path: Path) -> None:
    def net(name: str) -> Layer:
        return Layer("", "N", out=Y, children=[Layer(name, "Linear", out=Y + 1)])

    for step, name in enumerate(("a", "b")):
        write_dump(tmp_path / "base", net("a"), step=step)
        write_dump(tmp_path / "raw", net(name), step=step)
    found = document(compare(tmp_path / "base", tmp_path / "raw"))
    assert tree(found) == [("", "", None), ("a", "a", "")]
    steps = column(found["records"], "step")
    others = zip(steps, named(found, "records", "raw_layer"), strict=True)
    assert {other for other in others if other[1] is not None} == {(1, "b")}


def test_layers_of_all_sections_are_one_tree(tmp_path: Path) -> None:
    def net(*, frozen: bool) -> Layer:
        parts = [Layer("a", "Linear", out=Y, weights={"w": Y})]
        parts += [Layer("never.ran", "Linear", weights={"w": Y})] if frozen else []
        return Layer("", "N", out=Y, children=parts)

    for side in ("base", "raw"):
        write_dump(tmp_path / side, net(frozen=False))
        write_dump(tmp_path / side, net(frozen=True), section="params")
    found = document(compare(tmp_path / "base", tmp_path / "raw"))
    assert [row[0] for row in tree(found)] == ["", "a", "never.ran"]


def test_of_too_many_records_the_diverged_are_kept(tmp_path: Path) -> None:
    comparison = compared(tmp_path)
    found = document(comparison, most=12)
    assert found["left_out"] == [len(comparison.records) - 12, 0]
    kept = column(found["records"], "order")
    assert kept == sorted(kept)
    diverged = [record.order for record in comparison.records if record.diverged]
    assert set(diverged) < set(kept)
    assert {0, 1, 2} < set(kept)
    assert {close_up["record"] for close_up in found["close_ups"]} <= set(range(12))


def test_what_would_end_a_script_is_escaped(tmp_path: Path) -> None:
    comparison = dataclasses.replace(
        compared(tmp_path, steps=1), notes=("</script><!--<script>&\u2028\u2029\u202e\x1b",)
    )
    page = render(comparison)
    start = page.index('<script type="application/json"')
    inert = page[page.index(">", start) + 1 : page.index("</script>", start)]
    assert not set(inert) & set("<>&\u2028\u2029\u202e\x1b")
    (note,) = json.loads(inert)["notes"]
    assert note == "</script><!--<script>&\\u2028\\u2029\\u202e\\x1b"


def test_a_map_keeps_its_cells_within_a_step_of_its_scale() -> None:
    cells = np.array([[0.0, 1e-12, math.inf], [3.0, 0.7, 1e6]])
    found = quantised(cells.tolist())
    shades = np.frombuffer(base64.b64decode(found["cells"]), np.uint8).reshape(2, 3)
    assert (shades[0, 0], shades[0, 1], shades[0, 2], shades[1, 2]) == (0, 1, 255, 254)
    step = (found["high"] - found["low"]) / 253
    back = 2 ** (found["low"] + (shades[1].astype(float) - 1) * step)
    assert np.allclose(np.log2(back), np.log2(cells[1]), atol=step)


@pytest.mark.parametrize("values", [[[0.0]], [[5.0]], [[5.0, 5.0]], [[math.inf]], []])
def test_a_map_without_a_range(values: list[list[float]]) -> None:
    found = quantised(values)
    assert (found["rows"], found["columns"]) == (len(values), len(values[0]) if values else 0)
    assert all(math.isfinite(found[end]) for end in ("low", "high"))


def test_numbers_are_short_and_strict() -> None:
    assert dumps([short(v) for v in (1 / 3, math.inf, -math.nan, 7, None, 1.23456e-7)]) == (
        '[0.3333,"Infinity","NaN",7,null,1.235e-07]'
    )
