"""The layers that a report pairs are paired in the parameters' sections too."""

from pathlib import Path

import numpy as np
import pytest

from padiff import compare
from padiff.store.format import SectionName
from tests.stores import Layer, write_dump

X = np.arange(6, dtype="float32").reshape(2, 3)
KINDS: dict[str, float] = {"first": 1.0, "second": 2.0}


def model(names: dict[str, str], ran: list[str], defined: list[str]) -> tuple[Layer, Layer]:
    """Two linear layers, as their calls and as their parameters; `names` are those of one side."""
    layers = {
        what: Layer(
            names[what], "Linear", out=X * scale, weights={"weight": np.full((3, 3), scale)}
        )
        for what, scale in KINDS.items()
    }
    return (
        Layer("", "Net", out=X, children=[layers[what] for what in ran]),
        Layer("", "Net", children=[layers[what] for what in defined]),
    )


def write(where: Path, calls: Layer, parameters: Layer, sections: list[SectionName]) -> Path:
    for section in sections:
        write_dump(where, calls if section == "report" else parameters, section=section)
    return where


@pytest.mark.parametrize("section", ["params", "weights"])
def test_parameters_go_with_what_ran_in_the_same_place(
    tmp_path: Path, section: SectionName
) -> None:
    """One side defines its layers in another order than it runs them in, under other names."""
    order = ["first", "second"]
    base = model({"first": "a", "second": "b"}, order, order)
    raw = model({"first": "y", "second": "x"}, order, order[::-1])
    told = [
        write(tmp_path / f"told{at}", *side, ["report", section])
        for at, side in enumerate((base, raw))
    ]
    assert compare(*told).aligned
    assert compare(*told, sections=[section]).aligned
    alone = [
        write(tmp_path / f"alone{at}", *side, [section]) for at, side in enumerate((base, raw))
    ]
    assert not compare(*alone).aligned
    assert not compare(told[0], alone[1], sections=[section]).aligned
