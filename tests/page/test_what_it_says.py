"""What the page says, in a real browser: no more than is known, and in words that fit."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from tests.page.browsing import Browser
from tests.page.runs import compared
from tests.stores import Layer, write_dump

pytestmark = pytest.mark.usefixtures("quiet")

FIRST = "blocks.2.fc1"


def test_why_there_is_no_picture_is_said(tab: Browser, tmp_path: Path) -> None:
    tab.open(tmp_path / "page.html", compared(tmp_path, wrong=0, steps=1), "layers/1")
    assert "Not among the 20 pairs" in tab.one("#detail").text or tab.all("#detail .map")
    assert "aligned" in (tab.one("html").get_attribute("class") or "")
    assert not tab.one("#to-first").is_displayed()


def test_what_has_no_number_and_what_has_no_error(tab: Browser, tmp_path: Path) -> None:
    y = np.ones((2, 3), np.float32)
    broken = {"nan": y * np.nan, "shape": np.ones((3, 3), np.float32), "equal": y, "near": y + 1}
    sides = []
    for side, values in (("base", dict.fromkeys(broken, y)), ("raw", broken)):
        layers = [Layer(name, "L", out=value) for name, value in values.items()]
        layers.append(Layer("missing", "L", weights={"w": y} if side == "base" else {}))
        net = Layer("", "N", out=y, children=layers)
        sides.append(write_dump(tmp_path / side, net))
        write_dump(tmp_path / side, net, section="params")
    tab.open(tmp_path / "page.html", compare(*sides, close_ups=9))
    drawn = tab.run("""
        const option = echarts.getInstanceByDom(document.getElementById("chart")).getOption();
        const [{ min, max }] = option.yAxis;
        const heights = Object.fromEntries(option.series.map(({ name, data }) =>
            [name, data.map((point) => point[1])]));
        return [min, max, heights["no number"], heights["forward, inputs and loss"]];
    """)
    floor, ceiling, top, forward = drawn
    assert top == [ceiling] * 3
    assert sorted(y for y in forward if y != "-") == [floor, floor, pytest.approx(1e4)]
    assert (
        "2 without any error stand on the floor. 3 without a number" in tab.one("#chart-words").text
    )
    tab.click("#tab-layers")
    badges = dict(zip(tab.texts("#tree .own"), tab.texts("#tree .node > .badge"), strict=True))
    assert badges == {
        "N": "= equal",
        "equal": "= equal",
        "near": "✕ 10000×",
        "nan": "⊘ NaN or Inf",
        "shape": "⊘ shape",
        "missing": "⊘ missing",
    }
    for name, why in (
        ("shape", "The shapes differ, so no element has a partner."),
        ("missing", "One side is missing, so there is nothing to subtract."),
        ("equal", "Both sides are equal: there is no error"),
    ):
        tab.type("#search", name)
        tab.press(Keys.ENTER)
        assert why in tab.one("#detail").text


@pytest.mark.parametrize(
    ("rtol", "badge", "title", "legend"),
    [
        (1e-3, "✕ 625×", "times the tolerance", "up to 1000 times"),
        (0.0, "✕ atol 0.125", "atol that it needs", "the atol that it needs"),
    ],
)
def test_an_atol_of_zero(
    tab: Browser, tmp_path: Path, rtol: float, badge: str, title: str, legend: str
) -> None:
    for side, off in (("base", 0.0), ("raw", 1.0)):
        for step in (0, 1):
            values = np.full(8, 0.2) + np.eye(8)[1] * off * step
            write_dump(tmp_path / side, Layer("", "N", out=values), step=step)
    compared = compare(tmp_path / "base", tmp_path / "raw", atol=0, rtol=rtol, close_ups=9)
    tab.open(tmp_path / "page.html", compared)
    measures = tab.one("#measure").text
    assert ("times the tolerance" in measures) == (rtol > 0)
    tab.click("#tab-layers")
    assert tab.texts("#tree .node > .badge") == [badge]
    assert title in tab.texts("#detail .tensors thead th")
    assert legend in tab.one("#legend").text
    assert ("up to 10 times" in tab.one("#legend").text) == (rtol > 0)


def test_over_the_steps_what_has_no_number_is_no_number(tab: Browser, tmp_path: Path) -> None:
    for side, off in (("base", 0.0), ("raw", np.nan)):
        for step in (0, 1):
            write_dump(
                tmp_path / side, Layer("", "N", out=np.full(8, off if step else 0.0)), step=step
            )
    tab.open(tmp_path / "page.html", compare(tmp_path / "base", tmp_path / "raw"), "layers")
    ends = tab.run("""
        const place = document.querySelector('[aria-label$="over the steps"]');
        const { yAxis: [{ min, max, axisLabel }], series: [{ data }] } =
            echarts.getInstanceByDom(place).getOption();
        const words = [min, max].map(axisLabel.formatter);
        return [data[0].value === min, data[1].value === max, ...words];
    """)
    assert ends == [True, True, "no error", "no number"]


def test_what_one_side_does_not_tell_is_no_difference(
    tab: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    told: Any = {"TF32": False, "threads": 2}, {"threads": 1, "amp": True}
    base, raw = (
        dataclasses.replace(source, environment=environment)
        for source, environment in zip((comparison.base, comparison.raw), told, strict=True)
    )
    told_apart = dataclasses.replace(comparison, base=base, raw=raw)
    tab.open(tmp_path / "page.html", told_apart, "settings")
    assert tab.texts("#settings [aria-label=Environment] tbody tr") == [
        *("TF32 no – base only", "threads 2 1 differs", "amp – yes raw only"),
    ]


def test_names_in_files_are_no_layers_that_a_side_lacks(tab: Browser, tmp_path: Path) -> None:
    weights: dict[str, Any] = {f"enc.{name}.w": np.ones(2, np.float32) for name in "qkv"}
    others: dict[str, Any] = {name.replace("enc", "a.b"): w for name, w in weights.items()}
    weights["enc.alone.w"] = np.ones(2)
    np.savez(tmp_path / "base.npz", **weights)
    np.savez(tmp_path / "raw.npz", **others)
    compared = compare(tmp_path / "base.npz", tmp_path / "raw.npz", rename=["^a.b=enc"])
    tab.open(tmp_path / "page.html", compared, "layers/0")
    tab.run("document.querySelector('#tree .node').focus()")
    tab.press(Keys.ARROW_DOWN, "*")
    words = {" ".join(text.split()[:-2]).lstrip("▸▾ ") for text in tab.texts("#tree .node")}
    assert words >= {"enc", "q raw: a.b.q"}
    assert {text for text in words if "only" in text} == {"alone base only ◀ first"}


def test_names_are_seen_on_a_narrow_screen(
    tab: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    tab.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        tab.open(tmp_path / "page.html", comparison, "layers")
        folded = tab.run("""
            return [...document.querySelectorAll("#tree .node")].map((node) =>
                [node.querySelector(".names").clientWidth, node.scrollWidth - node.clientWidth]);
        """)
        top = tab.run("""
            document.getElementById("tab-overview").click();
            return new Promise((done) => setTimeout(() => done(echarts.getInstanceByDom(
                document.getElementById("chart")).getOption().grid[0].top), 100));
        """)
    finally:
        tab.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert all(width >= 80 and over <= 0 for width, over in folded)
    assert top > 60  # the legend takes two lines


def test_who_hears_a_line_of_the_tree_hears_words(
    tab: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    tab.open(tmp_path / "page.html", comparison, "layers")
    heard = [
        node["name"]["value"]
        for node in tab.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        if node["role"]["value"] == "treeitem"
    ]
    assert "fc1 Linear ◀ first ✕ 1250×" in heard
    assert "norm BatchNorm2d raw: BatchNorm2D ✕ 1250×" in heard


def test_a_page_that_leaves_out_records_says_so(
    tab: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    tab.open(tmp_path / "page.html", comparison, most=20)
    assert tab.one("#left-out").text.startswith("This page leaves out 48 records")
    assert FIRST in tab.one("#first").text
