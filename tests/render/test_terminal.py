"""The text of a comparison: the answer first, what is known of the cause, and one screen of it."""

import dataclasses
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from padiff.comparing.engine import compare
from padiff.render.outline import outline
from padiff.render.page import render as render_html
from padiff.render.terminal import render
from padiff.render.words import clean
from padiff.store.format import SectionName
from padiff.tree import LayerTree, Node
from tests.stores import Layer, write_dump

Y = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)


def text_of(tmp_path: Path, base: Layer, raw: Layer, **options: Any) -> str:
    return render(
        compare(write_dump(tmp_path / "base", base), write_dump(tmp_path / "raw", raw), **options)
    )


def flat(text: str) -> str:
    """Its sentences, wherever they were wrapped."""
    return " ".join(text.split())


def net(**off: Any) -> Layer:
    """Layers `a`, then `block` around `block.inner`; each keyword says how its tensors are off."""

    def layer(name: str, kind: str, *children: Layer) -> Layer:
        delta = off.get(name, {})
        return Layer(
            "" if name == "model" else name,
            kind,
            out=Y + delta.get("out", 0),
            back=Y + delta.get("back", 0),
            inputs=Y + delta["inputs"] if "inputs" in delta else None,
            children=children,
        )

    inner = layer("inner", "ReLU")
    return layer("model", "Net", layer("a", "Linear"), layer("block", "Block", inner))


@pytest.mark.parametrize(
    ("off", "base_off", "sentence"),
    [
        ({"model": {"inputs": 1}}, {"model": {"inputs": 0}}, "were fed different inputs"),
        ({"a": {"out": 1}}, {}, "No output before it was compared."),
        ({"a": {"out": 1, "inputs": 0}}, {"a": {"inputs": 0}}, "Its inputs agree"),
        ({"inner": {"out": 1}}, {}, "All outputs before it agree"),
        ({"block": {"out": 1}}, {}, "The one layer compared inside it agrees: the code"),
        ({"model": {"out": 1}}, {}, "All 3 layers compared inside it agree"),
        ({"block": {"inputs": 1}}, {"block": {"inputs": 0}}, "the code that calls this layer"),
        ({"inner": {"back": 1}}, {}, "It is the first gradient: the loss differs"),
        ({"a": {"back": 1}}, {}, "The gradients behind it agree"),
    ],
)
def test_the_cause_is_told_from_what_was_compared(
    tmp_path: Path, off: dict[str, Any], base_off: dict[str, Any], sentence: str
) -> None:
    assert sentence in flat(text_of(tmp_path, net(**base_off), net(**off)))


@pytest.mark.parametrize("inputs", [True, False])
def test_weights_that_were_left_out_may_be_what_differs(tmp_path: Path, inputs: bool) -> None:
    for side, off in (("base", 0), ("raw", 1)):
        given = {"inputs": 0} if inputs else {}
        write_dump(tmp_path / side, net(inner={"out": off, **given}))
        write_dump(tmp_path / side, parameters(0), section="params")
    said = "No weights were compared: its own, if it has any, may differ."
    for sections, expected in ((["report"], True), (["report", "params"], False)):
        text = flat(render(compare(tmp_path / "base", tmp_path / "raw", sections=sections)))
        assert "the difference is made in this layer" in text
        assert (said in text) == expected


def parameters(off: float) -> Layer:
    fc = Layer("fc", "Linear", weights={"weight": Y + off}, grads={"weight": Y + off})
    return Layer("", "Net", children=[fc])


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (["params"], "The two models have different weights"),
        (["grads"], "No gradients between the layers were compared."),
        (
            ["weights"],
            "No gradients were compared: they or the optimizers differ, or the weights did before.",
        ),
    ],
)
def test_the_cause_among_parameters(
    tmp_path: Path, sections: list[SectionName], sentence: str
) -> None:
    for section in sections:
        write_dump(tmp_path / "base", parameters(0), section=section)
        write_dump(tmp_path / "raw", parameters(1), section=section)
    text = flat(render(compare(tmp_path / "base", tmp_path / "raw")))
    assert sentence in text
    assert "pdated weights" not in text  # of weights alone nothing is known but that they are


def test_an_optimizer_that_differs(tmp_path: Path) -> None:
    for section, off in (("grads", 0), ("weights", 1)):
        name: SectionName = "grads" if section == "grads" else "weights"
        write_dump(tmp_path / "base", parameters(0), section=name)
        write_dump(tmp_path / "raw", parameters(off), section=name)
    text = render(compare(tmp_path / "base", tmp_path / "raw"))
    assert "Updated weights, parameter weight" in text
    assert "The gradients agree: the optimizers differ." in text


def test_what_a_mean_hides_is_said(tmp_path: Path) -> None:
    off = np.zeros_like(Y)
    off[1, 2] = 1e-3
    text = text_of(tmp_path, net(), net(a={"out": off}))
    assert text.startswith("ALIGNED")
    assert "Of one tensor single elements are out of tolerance" in text
    assert "error is 0.001, in output 0 of a (Forward stage). --mode strict" in " ".join(
        text.split()
    )
    for options in ({"mode": "strict"}, {"atol": 1e-2}):
        assert "single elements" not in text_of(tmp_path, net(), net(a={"out": off}), **options)


def test_what_differs_in_kind_is_said(tmp_path: Path) -> None:
    shapes = text_of(tmp_path, Layer("", "N", out=Y), Layer("", "N", out=Y.T))
    assert "the shapes differ: [3, 4], [4, 3]" in shapes
    nan = np.where(Y[0, 0] == Y, np.float32(np.nan), Y)
    assert "1 of 12 elements are NaN or infinite on one side only" in text_of(
        tmp_path, Layer("", "N", out=Y), Layer("", "N", out=nan)
    )
    for base, raw in ((Y, Y * np.float32(np.nan)), (Y * np.float32(np.inf), Y)):
        text = text_of(tmp_path, Layer("", "N", out=base), Layer("", "N", out=raw))
        assert "12 of 12 elements are NaN or infinite on one side only\n  no element is" in text
        assert "cosine" not in text
    whole = np.arange(5)
    assert "1 of 5 whole numbers differ" in text_of(
        tmp_path, Layer("", "N", out=whole), Layer("", "N", out=whole + (whole == 2))
    )
    assert "float32 and float64 compared by value" in text_of(
        tmp_path, Layer("", "N", out=Y), Layer("", "N", out=Y.astype(np.float64) + 1)
    )


def test_what_has_no_partner_is_listed_with_its_outermost_layer(tmp_path: Path) -> None:
    extra = Layer("x", "Extra", out=Y, children=[Layer("deep", "Linear", out=Y)])
    text = text_of(tmp_path, Layer("", "N", out=Y), Layer("", "N", out=Y, children=[extra]))
    assert text.startswith("ALIGNED")
    assert "Without a partner (2 in all):\n  raw   x (Extra) in report\n" in text
    assert "deep" not in text
    strict = text_of(
        tmp_path,
        Layer("", "N", out=Y),
        Layer("", "N", out=Y, children=[extra]),
        strict_structure=True,
    )
    assert strict.startswith("NOT ALIGNED: 1 tensor of report agree")
    assert "structures differ" in strict


def test_notes_stand_below_the_sources(tmp_path: Path) -> None:
    locations = [write_dump(tmp_path / side, net()) for side in ("base", "raw")]
    comparison = dataclasses.replace(compare(*locations), notes=("Mind\x1b the <gap>.",))
    lines = render(comparison, 118).splitlines()
    assert lines[2].startswith("  raw ")
    assert lines[3] == "  Mind\\x1b the <gap>."
    assert "<p>Mind\\x1b the &lt;gap&gt;.</p>" in render_html(comparison)
    assert comparison.to_json()["notes"] == ["Mind\x1b the <gap>."]


def test_a_large_model_fits_a_screen(tmp_path: Path) -> None:
    def model(off: float) -> Layer:
        blocks = [
            Layer(
                f"blocks.{i}",
                "TransformerBlock",
                out=Y + off * (i > 20),
                children=[
                    Layer(name, "Linear", out=Y + off * (i > 20)) for name in ("q", "k", "v", "o")
                ],
            )
            for i in range(48)
        ]
        return Layer("", "Transformer", out=Y + off, children=blocks)

    text = text_of(tmp_path, model(0), model(1))
    lines = text.splitlines()
    assert len(lines) < 50
    assert max(map(len, lines)) <= 120
    assert "blocks.21.q  Linear" in text
    assert "... 19 layers" in text


@pytest.mark.parametrize(
    ("base", "raw", "options", "said"),
    [
        (Y, Y + 1, {}, "the mean error of output 0 is 1, 9990 times the 0.0001 that is allowed."),
        (Y, Y + 1, {"atol": 0.0, "rtol": 0.0}, "of output 0 is 1, and none is allowed."),
        (Y, Y + 1, {"atol": 0.5, "rtol": 0.1}, "is 1, 1.54 times the 0.65 that is allowed."),
        (
            Y,
            np.where(Y > 1.9, Y + 1, Y),
            {"mode": "strict", "atol": 0.3, "rtol": 0.1},
            "the worst error of output 0 is 1, 2.04 times the 0.491 that is allowed.",
        ),
        (  # the worst is within tolerance, as it is an error of a large value
            np.array([100, 1], np.float32),
            np.array([105, 1.5], np.float32),
            {"mode": "strict", "rtol": 0.1},
            "output 0 needs an atol of 0.4, 0.0001 was given.",
        ),
        (Y, Y.T, {}, "the shape of output 0 is [3, 4] in base and [4, 3] in raw."),
        (Y, Y * np.float32(np.nan), {}, "12 of 12 elements of output 0 are NaN or infinite on one"),
        (np.arange(3), np.arange(3) * 2, {}, "2 of 3 whole numbers of output 0 differ."),
    ],
)
def test_the_first_sentence_says_how_much_beside_what_is_allowed(
    tmp_path: Path, base: Any, raw: Any, options: dict[str, Any], said: str
) -> None:
    text = flat(text_of(tmp_path, Layer("", "N", out=base), Layer("", "M", out=raw), **options))
    assert text.startswith(
        "NOT ALIGNED: N (torch) and M (torch) part in the forward stage, at the model itself (N) "
        "in base, the model itself (M) in raw: "
    )
    assert said in text


def test_the_first_sentence_says_where(tmp_path: Path) -> None:
    text = flat(text_of(tmp_path, net(), net(inner={"out": 1})))
    assert "in the forward stage, at layer block.inner (ReLU) in both: the mean error" in text
    assert "that is allowed. All outputs before it agree: the difference is made in" in text
    lone = Layer("fc", "Linear", weights={"weight": Y, "bias": Y})
    for side, layer in (("base", lone), ("raw", dataclasses.replace(lone, weights={"weight": Y}))):
        write_dump(tmp_path / side, Layer("", "N", children=[layer]), section="weights", step=3)
    text = flat(render(compare(tmp_path / "base", tmp_path / "raw", sections=["weights"])))
    assert (
        "part in the weights of step 3, at layer fc (Linear) in both: raw has no parameter" in text
    )
    assert "0 of 1 tensor of weights in 1 step differ and 1 more is missing on one side" in text


LONG = ("stages.0.blocks." * 20)[:300], "x" * 150 + "y" * 150, "层" * 150 + "末" * 150


def large(off: float, name: str = "", extra: int = 0) -> Layer:
    layers = [Layer(f"{name}{n}", f"L{name}", out=Y + off * (n > 9)) for n in range(30)]
    lone = [Layer(f"{name}.own{n}", "Extra", out=Y) for n in range(extra)]
    return Layer("", "Net", out=Y + off, children=[*layers, *lone])


@pytest.mark.parametrize("name", LONG, ids=["dots", "no dots", "wide"])
@pytest.mark.parametrize("width", [60, 80, 118])
@pytest.mark.parametrize("height", [48, None])
def test_long_names_are_cut_in_the_middle(
    tmp_path: Path, name: str, width: int, height: int | None
) -> None:
    locations = [
        write_dump(tmp_path / side, large(off, name, extra))
        for side, off, extra in (("base", 0, 0), ("raw", 1, 10))
    ]
    text = render(compare(*locations), width, height)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    starts = tuple(f"  {side}  {name[:3]}" for side in ("base", "raw "))
    sides = [line for line in lines if line.startswith(starts)]
    for line in sides:
        assert re.search(r"\.\.\..*(10|own\d)", line), "both ends of the route"
    assert len(sides) > 3
    at = next(i for i, line in enumerate(lines) if line.startswith("  stage "))
    table = [line for line in lines[at:] if line.startswith(("  stage ", "  Forward "))]
    assert len(table) > 5
    ends = {cell_len(line[: re.search(r"rel L2|0\.653", line).start()]) for line in table}  # type: ignore[union-attr]
    assert len(ends) == 1, "the columns stand below each other"


@pytest.mark.parametrize("width", [40, 60, 80, 118])
def test_names_give_way_to_how_much_and_why(tmp_path: Path, width: int) -> None:
    name = "multi_head_attention." * 14
    locations = [
        write_dump(
            tmp_path / side,
            Layer(
                "",
                f"Model{side}" * 20,
                out=Y + off,
                children=[Layer(f"{name}{side}", f"Kind{side}" * 20, inputs=Y, out=Y + off)],
            ),
            layer_map=[f"{name}{side}"],
        )
        for side, off in (("base", 0), ("raw", 1))
    ]
    lines = render(compare(*locations), width).splitlines()
    text = flat("\n".join(lines[: lines.index("")]))
    assert "the mean error of output 0 is 1, 9990 times the 0.0001 that is allowed." in text
    assert "Its inputs agree: the difference is made in this layer." in text
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [40, 60, 80])
def test_of_what_is_missing_a_table_tells_no_figures(tmp_path: Path, width: int) -> None:
    for side, rank in product(("base", "raw"), range(2)):
        held = {"a_long_weight": Y}
        layers = [
            Layer(f"a_long_layer{n}", "Linear", weights=held, grads=held if side == "base" else {})
            for n in range(2)
        ]
        write_dump(
            tmp_path / side, Layer("", "N", children=layers), section="params", step=0, rank=rank
        )
    lines = render(compare(tmp_path / "base", tmp_path / "raw"), width).splitlines()
    assert "All 4 that differ:" in lines  # and no word of a column that is not there
    assert sum(line.startswith("  0     ") for line in lines) == 4
    assert max(map(len, lines)) <= width


def test_what_is_left_out_is_said_in_a_narrow_terminal_too(tmp_path: Path) -> None:
    locations = [
        write_dump(tmp_path / side, large(off, "layer", extra))
        for side, off, extra in (("base", 0, 0), ("raw", 1, 10))
    ]
    *_, last = render(compare(*locations), 40, 24).splitlines()
    assert last.startswith("With padiff-check --all: ")
    assert last.endswith("...")
    assert len(last) <= 40


def test_a_layer_far_down_stands_below_those_that_it_is_in(tmp_path: Path) -> None:
    def model(off: float) -> Layer:
        layer = Layer("x", "L", out=Y + off)
        for _ in range(40):
            layer = Layer("x", "L", out=Y, children=[layer])
        return Layer("", "Net", out=Y, children=[layer])

    lines = text_of(tmp_path, model(0), model(1)).splitlines()
    marked = next(at for at, line in enumerate(lines) if "*** HERE ***" in line)
    above, at = (lines[marked - 1], lines[marked])
    assert at.index("x") == above.index("x") + 2


@pytest.mark.parametrize("height", [23, 24, 30, 36, 48, 70])
def test_each_part_keeps_some_lines(tmp_path: Path, height: int) -> None:
    locations = [
        write_dump(tmp_path / side, large(off, "layer", extra))
        for side, off, extra in (("base", 0, 0), ("raw", 1, 10))
    ]
    lines = render(compare(*locations), 80, height).splitlines()
    assert len(lines) <= height
    for part in ("NOT ALIGNED", "First div", "  base  layer10", "differ", "Without a partner"):
        assert any(part in line for line in lines), part
    assert sum("*** HERE ***" in line for line in lines) in (1, 2)
    unmatched = sum("(Extra) in report" in line for line in lines)
    rows = sum(line.startswith("  Forward ") for line in lines)
    assert re.fullmatch(
        rf"With padiff-check --all: .*whole trees, {21 - rows} that differ, {10 - unmatched} "
        r"unmatched\.",
        lines[-1],
    )
    assert unmatched <= 6
    assert 1 <= rows <= 5


def test_all_has_no_end(tmp_path: Path) -> None:
    locations = [
        write_dump(tmp_path / side, large(off, "layer", extra))
        for side, off, extra in (("base", 0, 0), ("raw", 1, 10))
    ]
    lines = render(compare(*locations), 80, None).splitlines()
    assert not any("--all" in line for line in lines)
    assert [line.split()[1] for line in lines if line.startswith("  Forward ")] == [
        *(f"layer{n}" for n in range(10, 30)),
        "the",
    ]
    for n in range(30):
        assert sum(f" layer{n} (Llayer)" in line for line in lines) >= 1
    for n in range(10):
        assert f"  raw   layer.own{n} (Extra) in report" in lines


def test_a_comparison_prints_as_one_short_line(tmp_path: Path) -> None:
    name = "layer\x1b" * 60
    for off, expected in ((0, "ALIGNED, 31 compared, 0 diverged"), (1, "NOT ALIGNED, 31 compared")):
        comparison = compare(
            write_dump(tmp_path / "base", large(0, name)),
            write_dump(tmp_path / "raw", large(off, name)),
        )
        assert repr(comparison) == str(comparison)
        assert repr(comparison).startswith(f"<Comparison {expected}")
        assert repr(comparison).isprintable()
        assert len(repr(comparison)) < 200


def tree(*routes: str) -> LayerTree:
    return LayerTree((Node("Net", "", 0, 0, children=tuple(Node("L", r, 0, 0) for r in routes)),))


def test_a_small_tree_is_shown_whole_and_a_large_one_folded() -> None:
    small = outline(tree("a", "b", "c"), "b", 0)
    assert [(line.depth, line.text, line.marked) for line in small] == [
        (0, "Net", False),
        (1, "a (L)", False),
        (1, "b (L)", True),
        (1, "c (L)", False),
    ]
    large = outline(tree(*(f"l{n}" for n in range(100))), "l50", 0)
    assert [line.text for line in large] == [
        "Net",
        "... 47 layers",
        *(f"l{n} (L)" for n in range(47, 54)),
        "... 46 layers",
    ]


@pytest.mark.parametrize("name", ["b", "c"])
def test_trees_that_look_alike_are_shown_once(tmp_path: Path, name: str) -> None:
    def model(name: str, off: float) -> Layer:
        layers = [Layer("a", "L", out=Y + off), Layer(name, "L", out=Y + off)]
        return Layer("", "Net", out=Y + off, children=layers)

    text = text_of(tmp_path, model("b", 0), model(name, 1))
    assert ("\n  base and raw\n  Net\n" in text) == (name == "b")
    assert text.count("*** HERE ***") == (1 if name == "b" else 2)


def test_a_layer_that_is_not_there_marks_nothing() -> None:
    assert not any(line.marked for line in outline(tree("a"), None, None))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egnp", "\\u202egnp"),
        ("\ud800", "\\ud800"),
        ("层", "层"),
        ("x" * 130, "x" * 117 + "..."),
    ],
)
def test_no_character_steers_a_terminal(given: str, shown: str) -> None:
    assert clean(given) == shown
    assert clean(given).isprintable()
