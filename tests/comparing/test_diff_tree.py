"""What `diff_tree` finds: each planted difference, at its place, and nothing where none is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff import TreeDifference, compare, diff_tree
from padiff.comparing.structure import Difference
from padiff.errors import FormatError, LocationError, UsageError
from padiff.render.structure import render
from tests.stores import Layer, write_dump

Y = np.arange(12, dtype=np.float32).reshape(3, 4)
NORM = "LayerNorm((4,), eps=1e-05)"
Change = Callable[[Layer], Layer]


def net(**changes: Change) -> Layer:
    """A small model; each keyword changes the layer of that name."""
    layers = [
        Layer("norm", "LayerNorm", out=Y, inputs=Y, weights={"weight": Y[0]}, repr=NORM),
        Layer("act", "GELU", out=Y, repr="GELU(approximate='none')", training=True),
        Layer("drop", "Dropout", out=Y, repr="Dropout(p=0.1)", training=True),
        Layer("fc", "Linear", out=Y, weights={"weight": Y.T}, buffers={"scale": Y[0]}),
    ]
    same: Change = lambda layer: layer  # noqa: E731
    children = [changes.get(layer.name, same)(layer) for layer in layers]
    model = Layer("", "Net", inputs=Y, out=Y, back=Y, children=children)
    return changes.get("model", same)(model)


def write(location: Path, model: Layer, **options: Any) -> Path:
    write_dump(location, model, **options)
    return write_dump(location, model, section="params", **options)


def difference(tmp_path: Path, raw: Layer, framework: str = "torch") -> TreeDifference:
    base = write(tmp_path / "base", net(), framework="torch")
    return diff_tree(base, write(tmp_path / "raw", raw, framework=framework))


def counted(found: TreeDifference) -> list[Difference]:
    return [item for item in found.differences if item.counts]


def changing(**fields: Any) -> Change:
    return lambda layer: replace(layer, **fields)


def swapped(model: Layer) -> Layer:
    first, second, *others = model.children
    return replace(model, children=[second, first, *others])


def without(name: str) -> Change:
    return lambda model: replace(model, children=[c for c in model.children if c.name != name])


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_the_same_structure(tmp_path: Path, framework: str) -> None:
    """Other values are none of its business."""
    found = difference(tmp_path, net(fc=changing(out=Y + 9)), framework)
    assert (found.same, found.differences, found.dumps) == (True, (), 1)
    assert found.tensors == compare(tmp_path / "base", tmp_path / "raw").totals.compared
    assert render(found).startswith("SAME STRUCTURE: 10 pairs of layers and 11 of tensors of")


CHANGES: dict[str, tuple[Layer, str, str, str]] = {
    "class": (net(act=changing(kind="ReLU")), "class", "act", "GELU in base, ReLU in raw: act"),
    "setting": (
        net(norm=changing(repr=NORM.replace("5", "6"))),
        "setting",
        "norm",
        "eps is 1e-05 in base and 1e-06 in raw: norm",
    ),
    "setting that one side prints": (
        net(drop=changing(repr="Dropout(p=0.1, inplace=True)")),
        "setting",
        "drop",
        "inplace is not there in base and True in raw: drop",
    ),
    "argument without a name": (
        net(norm=changing(repr=NORM.replace("4", "8"))),
        "setting",
        "norm",
        "argument 0 is (4,) in base and (8,) in raw: norm",
    ),
    "mode": (
        net(drop=changing(training=False)),
        "setting",
        "drop",
        "training is True in base and False in raw: drop",
    ),
    "shape": (
        net(act=changing(out=Y[:2])),
        "shape",
        "act",
        "[3, 4] in base, [2, 4] in raw: output 0 of act",
    ),
    "shape of a parameter": (
        net(fc=changing(weights={"weight": Y[:2].T})),
        "shape",
        "fc",
        "[4, 3] in base, [4, 2] in raw: parameter weight of fc",
    ),
    "dtype": (
        net(fc=changing(out=Y.astype(np.float16))),
        "dtype",
        "fc",
        "float32 in base, float16 in raw: output 0 of fc",
    ),
    "order": (
        net(model=swapped),
        "order",
        "norm",
        "norm ran first in base, after act in raw",
    ),
    "layer": (net(model=without("drop")), "layer", "drop", "base  layer of class Dropout: drop"),
    "output": (
        net(fc=changing(out={"0": Y, "state": Y})),
        "tensor",
        "fc",
        "raw   output state: fc",
    ),
    "input": (
        net(norm=changing(inputs={"0": Y, "mask": Y})),
        "tensor",
        "norm",
        "raw   input mask: norm",
    ),
    "parameter": (
        net(fc=changing(weights={"weight": Y.T, "bias": Y[0]})),
        "tensor",
        "fc",
        "raw   parameter bias: fc",
    ),
    "buffer": (net(fc=changing(buffers={})), "tensor", "fc", "base  buffer scale: fc"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_planted_difference_is_found_and_nothing_else(tmp_path: Path, name: str) -> None:
    raw, kind, route, words = CHANGES[name]
    found = difference(tmp_path, raw)
    assert {(item.kind, item.base.route or item.raw.route) for item in counted(found)} == {
        (kind, route)
    }
    assert not found.same
    text = render(found)
    assert words in text
    assert text.startswith("NOT THE SAME STRUCTURE: 1 ")


def test_classes_that_two_frameworks_spell_otherwise(tmp_path: Path) -> None:
    assert difference(tmp_path, net(act=changing(kind="GELU")), "paddle").same
    assert difference(tmp_path, net(act=changing(kind="Gelu")), "paddle").same


@pytest.mark.parametrize(
    ("momentum", "same"), [("0.9", True), ("0.1", False), ("0.99", False), ("None", True)]
)
def test_settings_of_two_frameworks(tmp_path: Path, momentum: str, same: bool) -> None:
    """Those that mean the same; what one prints alone is its own affair."""

    def norm(text: str) -> Layer:
        return net(norm=changing(kind="BatchNorm2D", repr=f"BatchNorm2D({text})"))

    base = write(tmp_path / "base", norm("4, eps=1e-05, momentum=0.1, affine=True"))
    raw = norm(f"num_features=4, epsilon=1e-05, momentum={momentum}, data_format=NCHW")
    found = diff_tree(base, write(tmp_path / "raw", raw, framework="paddle"))
    assert found.same == same
    names = [item.name for item in found.differences]
    assert names == ([] if same else ["momentum"])


def test_what_two_runs_of_one_structure_may_differ_in(tmp_path: Path) -> None:
    """It is told and not counted: inputs that were recorded, gradients, buffers of frameworks."""
    base = write(tmp_path / "base", net())
    raw = net(
        norm=changing(inputs=None),
        fc=changing(buffers={}),
        model=changing(back=None),
    )
    raw = replace(raw, children=[replace(c, back=Y) for c in raw.children])
    found = diff_tree(base, write(tmp_path / "raw", raw, framework="paddle"))
    assert found.same
    assert {(item.kind, item.phase) for item in found.differences} == {
        ("tensor", "input"),
        ("tensor", "backward"),
        ("tensor", None),
    }
    assert "Not counted, as it is no part of a structure:" in render(found)


def test_what_one_framework_makes_of_several_layers_is_not_counted(tmp_path: Path) -> None:
    parts = [Layer(name, "Linear", out=Y) for name in ("q_proj", "k_proj")]

    def attention(children: list[Layer]) -> Layer:
        inner = Layer("attn", "MultiHeadAttention", out=Y, children=children)
        return Layer("", "Net", out=Y, children=[inner])

    base = write_dump(tmp_path / "base", attention([]))
    raw = write_dump(tmp_path / "raw", attention(parts), framework="paddle")
    found = diff_tree(base, raw)
    assert found.same
    assert [item.raw.route for item in found.differences] == ["attn.q_proj", "attn.k_proj"]


def test_a_gradient_tells_only_what_its_tensor_does_not(tmp_path: Path) -> None:
    half = Y.astype(np.float16)

    def parameters(weight: np.ndarray, gradient: np.ndarray) -> Layer:
        fc = Layer("fc", "Linear", weights={"weight": weight}, grads={"weight": gradient})
        return Layer("", "Net", children=[fc])

    base = write_dump(tmp_path / "base", parameters(Y, Y), section="params")
    both = write_dump(tmp_path / "both", parameters(half, half), section="params")
    alone = write_dump(tmp_path / "alone", parameters(Y, half), section="params")
    assert [item.phase for item in diff_tree(base, both).differences] == [None]
    assert [item.phase for item in diff_tree(base, alone).differences] == ["backward"]


def test_each_difference_once_for_all_steps(tmp_path: Path) -> None:
    for step in range(3):
        write(tmp_path / "base", net(), step=step, rank=0)
        raw = net(act=changing(kind="ReLU"), drop=changing(repr=f"Dropout(p=0.{step % 2 + 1})"))
        write(tmp_path / "raw", raw, step=step, rank=0)
    write_dump(tmp_path / "raw", net(), section="weights", step=1, rank=0)
    found = diff_tree(tmp_path / "base", tmp_path / "raw")
    assert sorted((item.kind, len(item.found)) for item in found.differences) == [
        ("class", 6),  # in two sections of three steps
        ("section", 1),
        ("setting", 2),
    ]
    text = render(found)
    assert "GELU in base, ReLU in raw: act\n" in text
    assert "p is 0.1 in base and 0.2 in raw: drop (step 1, rank 0)\n" in text
    assert "raw   all of weights (step 1, rank 0)\n" in text


def test_what_says_the_same_of_many_layers_is_one_line(tmp_path: Path) -> None:
    def deep(eps: str) -> Layer:
        blocks = [
            Layer(
                str(n), "Block", out=Y, children=[Layer("norm", "LayerNorm", Y, repr=f"L({eps})")]
            )
            for n in range(50)
        ]
        return Layer("", "Net", out=Y, children=[Layer("blocks", "ModuleList", children=blocks)])

    locations = [write_dump(tmp_path / eps, deep(f"eps={eps}")) for eps in ("1e-5", "1e-6")]
    text = render(diff_tree(*locations))
    assert text.count("\n") < 12
    assert (
        "  eps is 1e-5 in base and 1e-6 in raw: 50 layers, blocks.0.norm, blocks.1.norm,\n"
        "      blocks.2.norm, ...\n"
    ) in text


def test_what_another_tool_wrote_has_no_classes_to_differ_in(tmp_path: Path) -> None:
    base = write_dump(tmp_path / "base", net(), section="weights")
    held = {"norm.weight": Y[0], "fc.weight": Y.T, "fc.scale": Y[0]}
    np.savez(tmp_path / "raw.npz", **held)
    found = diff_tree(base, tmp_path / "raw.npz")
    assert (found.same, found.differences, found.has_classes) == (True, (), False)
    assert " agree in names,\n  shapes and dtypes.\n" in render(found)
    write_dump(base, net())  # a report, for which such a file has no room
    found = diff_tree(base, tmp_path / "raw.npz")
    assert [(item.kind, item.counts) for item in found.differences] == [("section", False)]
    np.savez(tmp_path / "other.npz", **{"x.norm.weight": Y[0]})
    text = render(diff_tree(tmp_path / "raw.npz", tmp_path / "other.npz"))
    assert "  base  of a class that is not known: 2 layers, norm, fc\n" in text


def test_names_are_changed_as_for_a_comparison(tmp_path: Path) -> None:
    base = write(tmp_path / "base", net())
    renamed = [replace(layer, name=f"x_{layer.name}") for layer in net().children]
    raw = write(tmp_path / "raw", replace(net(), children=[Layer("x", "Odd"), *renamed[::-1]]))
    assert not diff_tree(base, raw).same
    found = diff_tree(base, raw, rename=["^x_="])
    assert {item.kind for item in counted(found)} == {"layer", "order"}  # as planted
    table = tmp_path / "names.csv"
    table.write_text("base,raw\n" + "".join(f"{c.name},x_{c.name}\n" for c in net().children))
    assert diff_tree(base, raw, name_map=table) == found
    with pytest.raises(UsageError, match="expected --rename 'y' to fit a name of raw"):
        diff_tree(base, raw, rename=["y=z"])


def test_layers_are_narrowed_down_and_must_be_there(tmp_path: Path) -> None:
    base = write(tmp_path / "base", net())
    raw = write(tmp_path / "raw", net(act=changing(kind="ReLU"), model=without("drop")))
    assert {i.kind for i in diff_tree(base, raw).differences} == {"class", "layer"}
    assert {i.kind for i in diff_tree(base, raw, layers=["a*"]).differences} == {"class"}
    assert {i.kind for i in diff_tree(base, raw, layers=["drop"]).differences} == {"layer"}
    assert diff_tree(base, raw, layers=["norm", "fc"]).same
    with pytest.raises(UsageError, match=r"route fits x in .*base and .*raw, found none"):
        diff_tree(base, raw, layers=["x"])


def test_no_element_is_read(tmp_path: Path) -> None:
    base = write(tmp_path / "base", net())
    raw = write(tmp_path / "raw", net(norm=changing(repr=NORM.replace("5", "6"))))
    before = diff_tree(base, raw)
    chunks = [chunk for side in (base, raw) for chunk in side.rglob("c.*")]
    assert len(chunks) == 22
    for chunk in chunks:
        chunk.unlink()
    assert diff_tree(base, raw) == before
    with pytest.raises(FormatError):
        compare(base, raw, digests=False)


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    base = write(tmp_path / "base", net())
    weights = write_dump(tmp_path / "weights", net(), section="weights")
    report = write_dump(tmp_path / "report", net(), section="report")
    with pytest.raises(FormatError, match="expected a section of one step in both"):
        diff_tree(report, weights)
    with pytest.raises(LocationError):
        diff_tree(base, tmp_path / "nothing")
    none = write_dump(tmp_path / "none")
    with pytest.raises(FormatError, match="expected layers in .*none and .*none, found none"):
        diff_tree(none, none)
    with pytest.raises(UsageError, match="path of a padiff store for raw, got 3"):
        diff_tree(base, 3)  # type: ignore[arg-type]
