"""The plot of a comparison: every record at its height, the first divergence by name."""

import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from math import inf, nan
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import msgspec
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from padiff.comparing.comparison import Comparison, Measure
from padiff.comparing.engine import compare
from padiff.errors import UsageError
from tests.stores import Layer, write_dump

Y = np.linspace(1, 2, 12, dtype=np.float64).reshape(3, 4)
MEASURES: tuple[Measure, ...] = ("max_abs", "mean_abs", "max_rel", "rel_l2", "required_atol")


def net(outs: Mapping[str, Any], back: float = 0) -> Layer:
    children = [Layer(name, "Tanh", out=out, back=Y + back) for name, out in outs.items()]
    return Layer("", "Net", out=Y, inputs={"x": Y}, children=children)


def compared(directory: Path, *raws: Mapping[str, Any], **options: Any) -> Comparison:
    """As many steps as there are descriptions of raw; base has `Y` everywhere."""
    base, raw = directory / "base.zarr", directory / "raw.zarr"
    for step, outs in enumerate(raws):
        write_dump(base, net(dict.fromkeys(outs, Y)), step=step)
        write_dump(raw, net(outs, back=1e-3 * step), step=step)
    return compare(base, raw, **options)


OUTS = {"same": Y, "near": Y + 1e-6, "off": Y + 0.5, "nan": np.where(Y == 1, nan, Y), "shape": Y.T}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(tmp_path_factory.mktemp("stores"), OUTS, OUTS)


def axes_of(figure: Figure) -> Axes:
    (ax,) = figure.axes
    return ax


def points(ax: Axes) -> dict[float, tuple[float, str, bool]]:
    """Height and marker of each record by its order, and whether it is filled."""
    return {
        x: (y, str(line.get_marker()), line.get_markerfacecolor() != "none")
        for line in ax.lines
        if line.get_marker() != "None"
        for x, y in np.asarray(line.get_xydata()).tolist()
    }


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def drawn(figure: Figure) -> int:
    """How many bytes the picture takes; each warning is an error."""
    into = BytesIO()
    figure.savefig(into, format="png")
    return into.tell()


@pytest.mark.parametrize("measure", MEASURES)
def test_a_point_is_a_record(comparison: Comparison, measure: Measure) -> None:
    ax = axes_of(comparison.plot(measure=measure))
    found, (floor, top) = points(ax), ax.get_ylim()
    assert set(found) == {record.order for record in comparison.records}
    for record in comparison.records:
        height, marker, is_filled = found[record.order]
        value = getattr(record.figures, measure, None)
        if record.status in ("nonfinite", "shape", "missing"):
            assert height == top
        else:
            assert height == (value or floor)
        assert is_filled == record.diverged
        assert marker == ("v" if record.phase == "backward" else "o")
    assert {height for height, *_ in found.values()} >= {floor, top}
    assert ("atol 0.0001" in [line.get_label() for line in ax.lines]) == (
        measure not in ("max_rel", "rel_l2")
    )
    assert {"no error", "NaN, Inf,\nno pair"} <= set(texts(ax))


def test_the_error_that_is_held_against_the_tolerance_is_shown(tmp_path: Path) -> None:
    for mode, name in (("mean", "mean absolute error"), ("strict", "largest absolute error")):
        found = compared(tmp_path / mode, {"off": Y + 0.5}, mode=mode, atol=1e-3)
        ax = axes_of(found.plot())
        assert ax.get_ylabel() == name
        (line,) = (line for line in ax.lines if line.get_label() == "atol 0.001")
        assert np.unique(line.get_ydata()).tolist() == [1e-3]
        assert ax.get_yscale() == "log"
        assert ax.get_title("left").startswith("NOT ALIGNED: 1 of 4 tensors")


def test_the_first_divergence_is_named_at_its_point(comparison: Comparison) -> None:
    first = comparison.first_divergence
    assert first is not None
    assert first.base.route == "off"
    ax = axes_of(comparison.plot())
    (named,) = (text for text in ax.texts if text.get_text().startswith("first divergence"))
    assert named.get_text().splitlines()[1:] == ["off (Tanh)", "Forward stage, step 0, output 0"]
    assert isinstance(named, Annotation)
    assert named.xy == (first.order, 0.5)


def test_where_nothing_parts_nothing_is_named(tmp_path: Path) -> None:
    ax = axes_of(compared(tmp_path, {"near": Y + 1e-6}).plot())
    assert texts(ax) == ["no error", "step 0"]
    assert not any(filled for *_, filled in points(ax).values())


def test_what_is_drawn_at_the_top_is_no_point_without_error(tmp_path: Path) -> None:
    one_nan = np.where(Y == 1, nan, Y)  # all else is equal
    base, raw = (
        write_dump(tmp_path / side, Layer("", "Net", out=out))
        for side, out in (("base", Y), ("raw", one_nan))
    )
    assert "no error" not in texts(axes_of(compare(base, raw).plot()))


def test_one_step_alone(comparison: Comparison) -> None:
    whole = axes_of(comparison.plot())
    assert [text for text in texts(whole) if "step" in text.split()[:1]] == ["step 0", "step 1"]
    ax = axes_of(comparison.plot(step=1))
    of_step = [record for record in comparison.records if record.step == 1]
    assert set(points(ax)) == {record.order for record in of_step}
    first = next(record for record in of_step if record.diverged)
    (named,) = (text for text in ax.texts if text.get_text().startswith("first divergence"))
    assert isinstance(named, Annotation)
    assert named.xy[0] == first.order


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"step": 7}, r"expected a step that was compared, got 7: there is 0, 1"),
        ({"measure": "cosine"}, r"expected the measure max_abs, .* or required_atol, got 'cosine'"),
        ({"ax": 3}, r"expected ax to be axes of matplotlib, got int"),
    ],
)
def test_what_does_not_fit_is_a_sentence(
    comparison: Comparison, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        comparison.plot(**options)


def test_axes_that_are_given_are_drawn_into(comparison: Comparison) -> None:
    figure = Figure()
    upper, lower = figure.subplots(2)
    assert comparison.plot(ax=lower) is figure
    assert comparison.plot(ax=figure.add_subfigure(lower.get_subplotspec()).add_subplot()) is figure
    assert points(lower)
    assert not points(upper)
    assert drawn(figure)


def test_pyplot_is_left_as_it_was(comparison: Comparison) -> None:
    before = dict(mpl.rcParams)
    figure = comparison.plot()
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before
    picture = getattr(figure, "_repr_png_")()  # noqa: B009 - what Jupyter does
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["$\\evil{$", "a$b_c^{$", "\x1b[31m\u202e\n", "x" * 150, "%&#~"])
def test_a_name_is_no_markup(tmp_path: Path, name: str) -> None:
    figure = compared(tmp_path, {name: Y + 1}).plot()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drawn(figure)
    (named,) = (text for text in texts(axes_of(figure)) if text.startswith("first divergence"))
    assert all(line.isprintable() and len(line) <= 90 for line in named.split("\n"))


def test_both_ends_of_a_long_route_can_be_read(tmp_path: Path) -> None:
    route = ".".join(["encoder", *(f"block{n}" for n in range(40)), "fc"])
    (first,) = (r for r in compared(tmp_path, {"a": Y + 1}).records if r.diverged)
    side = msgspec.structs.replace(first.base, route=route)
    comparison = compared(tmp_path, {"a": Y + 1})
    records = tuple(
        msgspec.structs.replace(record, base=side) if record.diverged else record
        for record in comparison.records
    )
    named = texts(axes_of(replace(comparison, records=records).plot()))[-1].splitlines()[1]
    assert named.startswith("encoder.block0")
    assert named.endswith("block39.fc (Tanh)")
    assert len(named) < 50


@pytest.mark.parametrize("error", [5e-324, 1e-310, 1e300, 1.7e308, 0.0, inf])
def test_errors_of_any_size_have_a_place(tmp_path: Path, error: float) -> None:
    figure = compared(tmp_path, {"a": np.full_like(Y, error) + (Y if error < 1 else 0)}).plot()
    ax = axes_of(figure)
    floor, top = ax.get_ylim()
    assert all(floor <= height <= top for height, *_ in points(ax).values())
    assert drawn(figure)


def test_of_many_steps_some_are_named_and_points_are_small(comparison: Comparison) -> None:
    """As many as there is room for, in order, the first among them."""
    count = len(comparison.records)
    records = tuple(
        msgspec.structs.replace(record, order=at * count + record.order, step=2 * at)
        for at in range(100)
        for record in comparison.records
    )
    few = axes_of(comparison.plot())
    ax = axes_of(replace(comparison, records=records).plot())
    named = [text for text in texts(ax) if text.startswith("step")]
    assert 3 < len(named) <= 6
    assert named == sorted({"step 0", *named}, key=lambda text: int(text.split()[1]))
    assert max(line.get_markersize() for line in ax.lines if line.get_marker() != "None") < min(
        line.get_markersize() for line in few.lines if line.get_marker() != "None"
    )


def test_no_records_are_no_points(comparison: Comparison) -> None:
    figure = replace(comparison, records=()).plot()
    assert points(axes_of(figure)) == {}
    assert drawn(figure)


def test_matplotlib_is_asked_for_in_a_sentence(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    sentence = r"expected matplotlib to be there.* pip install 'matplotlib>="
    with pytest.raises(UsageError, match=sentence):
        comparison.plot()
