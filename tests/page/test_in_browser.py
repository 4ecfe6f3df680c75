"""The page in a real browser: what it shows first, and what clicks, keys and searches do."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.store.storage import Storage
from tests.page.browsing import Browser
from tests.stores import Layer, write_dump

pytestmark = pytest.mark.usefixtures("quiet")

CHOSEN = "#tree .node.chosen"
FIRST = "blocks.2.fc1"


def test_the_fault_is_seen_at_once(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    tab.open(tmp_path / "page.html", comparison)
    assert tab.one("h1").text.startswith("NOT ALIGNED: Net (torch) and Net (paddle) part in the")
    assert f"at layer {FIRST} (Linear) in both" in tab.one("h1").text
    assert tab.one(".count").text.startswith("9 of 68 tensors")
    first = tab.one("#first").text
    assert "Forward stage, step 1, output 0" in first
    assert "x = self.fc1(x)" in first
    assert "torch_net.py:7" in first
    assert tab.texts("#first .name") == [FIRST, FIRST]
    for picture in ("#first-picture canvas", "#chart canvas"):
        canvas = tab.one(picture)
        assert tab.run("return arguments[0].getBoundingClientRect().top < innerHeight", canvas)
    tab.click("#first button")
    assert FIRST in tab.one("#detail h2").text


def test_the_chart_marks_the_first_divergence(
    tab: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    tab.open(tmp_path / "page.html", comparison)
    series = """
        const option = echarts.getInstanceByDom(document.getElementById("chart")).getOption();
        return option.series.map(({ name, data, symbol }) => [name, symbol, data]);
    """
    drawn = {name: (symbol, data) for name, symbol, data in tab.run(series)}
    first = comparison.first_divergence
    assert first is not None
    assert first.figures is not None
    ((x, y, _),) = drawn["first divergence"][1]
    assert x == first.order + 1
    assert y == pytest.approx(first.figures.required_atol / 1e-4, rel=1e-3)
    symbols = [drawn[name][0] for name in ("forward, inputs and loss", "backward")]
    assert len(set(symbols)) == 2
    points = [p for _, data in drawn.values() for p in data if p[1] != "-"]
    assert len(points) == len(comparison.records) + 1
    tab.choose("#measure", "largest absolute error")
    assert {n: d for n, _, d in tab.run(series)}["first divergence"][0][1] == pytest.approx(1, 1e-3)
    tab.choose("#step", "step 0")
    assert "first divergence" not in {name for name, _, _ in tab.run(series)}
    assert tab.one("#chart-words").text.startswith("34 pairs")


def test_a_click_on_a_point_opens_its_layer(
    tab: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    tab.open(tmp_path / "page.html", comparison)
    x, y = tab.run("""
        const place = document.getElementById("chart");
        place.scrollIntoView();
        const chart = echarts.getInstanceByDom(place);
        const { data } = chart.getOption().series[0];
        const box = place.getBoundingClientRect();
        const [x, y] = chart.convertToPixel({ gridIndex: 0 }, data[1].slice(0, 2));
        return [box.left + x, box.top + y];
    """)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        tab.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)
        tab.settle()
    second = comparison.records[1]
    assert str(second.base.route) in tab.one("#detail h2").text
    assert "step 0" in tab.one("#detail .cards").text


def test_a_layer_shows_both_sides_and_where_its_error_sits(
    tab: Browser, comparison: Comparison, tmp_path: Path
) -> None:
    tab.open(tmp_path / "page.html", comparison, "layers")
    assert FIRST in tab.one("#detail h2").text
    titles = tab.texts("#detail h3")
    assert titles[:3] == ["Tensors", "Where the error sits", "output 0, step 1"]
    assert set(titles) > {
        *("Both sides", "Worst elements", "How many elements are off by how much"),
        *("Largest error along each axis", "Over the steps", "Source and settings"),
    }
    assert all(
        int(canvas.get_attribute("width") or 0) > 100 for canvas in tab.all("#detail canvas")
    )
    cells = tab.run("""
        const place = document.querySelector("#detail .map");
        const [heat] = echarts.getInstanceByDom(place).getOption().series;
        return heat.data.filter((cell) => cell[2] > -1).map((cell) => cell[1]);
    """)
    assert set(cells) == {5}  # the channel that is off
    worst = tab.texts("#detail .elements tbody th")
    assert len(worst) == 10
    assert all(re.fullmatch(r"\[\d, 5, \d+\]", index) for index in worst)
    assert "≠" in tab.one("#detail .sides").text
    assert "Linear(8, 8)" in tab.one("#detail .code").text
    tab.click("#detail .tensors tr:nth-child(2) button")
    assert "gradient of input 0, step 1" in tab.texts("#detail h3")
    tab.choose("#detail label select", "step 0")
    assert "gradient of input 0, step 0" in tab.texts("#detail h3")


def test_the_tree_is_walked_by_keys(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    tab.open(tmp_path / "page.html", comparison, "layers")
    (chosen,) = tab.all(CHOSEN)
    assert "fc1" in chosen.text
    assert "first" in chosen.text
    assert "✕ 1250×" in chosen.text
    assert len(tab.all("#tree [role=treeitem][tabindex='0']")) == 1
    tab.run("arguments[0].focus()", chosen)
    tab.press(Keys.ARROW_DOWN)
    assert tab.focus().startswith("act ReLU")
    tab.press(Keys.ARROW_LEFT)
    assert tab.focus().startswith("▾ blocks.2 Block")
    tab.press(Keys.ARROW_LEFT)
    assert tab.focus().startswith("▸ blocks.2 Block inside ✕ 1250×")
    focused = tab.driver.switch_to.active_element
    assert focused.get_attribute("aria-expanded") == "false"
    assert focused.get_attribute("aria-level") == "2"
    tab.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert tab.focus().startswith("fc1")
    tab.press(Keys.END)
    assert tab.focus().startswith("▸ blocks.3")
    tab.press(Keys.HOME)
    assert tab.focus().startswith("▾ Net")
    tab.press("b", "l")
    assert tab.focus().startswith("▸ blocks.0")
    tab.press(Keys.ENTER)
    assert "blocks.0" in tab.one("#detail h2").text
    assert tab.focus().startswith("▸ blocks.0")
    tab.driver.back()
    tab.settle()
    assert FIRST in tab.one("#detail h2").text


def test_layers_are_searched(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    tab.open(tmp_path / "page.html", comparison)
    tab.press("/")
    tab.press("1 drop")
    assert tab.one("#found").text == "1 of 18 layers"
    assert tab.texts("#tree .node .own") == ["Net", "blocks.1", "drop"]
    assert tab.texts("#tree .fold") == ["▾", "▾", ""]
    assert "base only" in tab.one("#tree .node:last-child").text
    tab.press(Keys.ENTER)
    assert "blocks.1.drop" in tab.one("#detail h2").text
    assert "Without a partner, or not stored" in tab.texts("#detail h3")
    tab.type("#search", "batchnorm2D norm")
    assert tab.one("#found").text == "4 of 18 layers"
    tab.type("#search", "no such")
    assert tab.one("#found").text == "0 of 18 layers"
    tab.press(Keys.ESCAPE)
    assert len(tab.all("#tree .node")) > 4


def test_rows_are_sorted_and_filtered(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    tab.open(tmp_path / "page.html", comparison, "table")
    assert tab.one("#rows-found").text == "70 of 70 rows"
    headers = tab.all("#grid [role=columnheader]")
    by_tolerance = next(header for header in headers if "tolerance" in header.text)
    by_tolerance.find_element("css selector", "button").click()
    tab.settle()
    assert by_tolerance.get_attribute("aria-sort") == "descending"
    assert "1250×" in tab.texts("#grid .rows .row")[0]
    by_tolerance.find_element("css selector", "button").click()
    tab.settle()
    assert by_tolerance.get_attribute("aria-sort") == "ascending"
    assert "✓" in tab.texts("#grid .rows .row")[0]
    tab.choose("#status", "all that diverged")
    assert tab.one("#rows-found").text == "9 of 70 rows"
    tab.choose("#status", "no partner")
    assert ["drop" in row and "base only" in row for row in tab.texts("#grid .rows .row")] == [
        True,
        True,
    ]
    tab.choose("#status", "all")
    tab.type("#filter", "blocks.3 gradient")
    assert tab.one("#rows-found").text == "8 of 70 rows"
    tab.choose("#stage", "Forward stage")
    assert tab.one("#rows-found").text == "0 of 70 rows"
    tab.choose("#stage", "all")
    tab.run("arguments[0].focus()", tab.all("#grid .rows .row")[0])
    tab.press(Keys.ARROW_DOWN, Keys.ENTER)
    assert "blocks.3" in tab.one("#detail h2").text


def test_tabs_are_walked_by_keys(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    tab.open(tmp_path / "page.html", comparison)
    tab.run("document.getElementById('tab-overview').focus()")
    tab.press(Keys.ARROW_LEFT)
    assert tab.focus() == "Settings"
    facts = tab.one("#settings").text
    assert "mean: the mean error" in facts
    assert re.search(r"framework torch 1\.0 paddle 1\.0 differs", facts)
    tab.press(Keys.HOME)
    assert tab.one("#overview").is_displayed()
    assert not tab.one("#settings").is_displayed()


def test_light_and_dark(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    def contrast(selector: str) -> float:
        measured: float = tab.run(
            """
            const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
                .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const element = document.querySelector(arguments[0]);
            let ground = element;
            const filled = (e) => { const c = rgb(getComputedStyle(e).backgroundColor);
                return c.length < 4 || c[3] > 0; };
            while (!filled(ground)) ground = ground.parentElement;
            const [a, b] = [getComputedStyle(element).color,
                getComputedStyle(ground).backgroundColor].map(rgb).map(light);
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            """,
            selector,
        )
        return measured

    seen = []
    for theme in ("dark", "light"):
        tab.emulate(prefers_color_scheme=theme)
        tab.open(tmp_path / "page.html", comparison, "layers")
        names = ("equal", "within", "over", "far", "worst", "broken")
        texts = ["body", "h1", ".class", ".words", "#first .note, .cause", ".trap, .figures"]
        texts += [f"#legend .badge.{name}" for name in names]
        texts += ["#tab-layers", "#tab-table", ".here", ".link", ".inside", ".frame small"]
        for selector in texts:
            assert contrast(selector) >= 4.5, (theme, selector)
        seen.append(tab.run("return getComputedStyle(document.body).backgroundColor"))
    tab.click("#theme")
    assert tab.run("return getComputedStyle(document.body).backgroundColor") == seen[0]
    assert len(set(seen)) == 2


def test_paper(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    tab.emulate(prefers_color_scheme="dark")
    tab.open(tmp_path / "page.html", comparison, "table")
    tab.run("""
        window.seen = null;
        window.addEventListener("beforeprint", () => { window.seen = [
            document.documentElement.dataset.theme,
            [...document.querySelectorAll("#print-rows :is(h2, tbody tr)")].map((e) => e.innerText),
            ...["#chart canvas", "#detail .map canvas"].map((s) => document.querySelector(s).width),
        ]; });
    """)
    printed = tab.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    theme, rows, chart, heat = tab.run("return window.seen")
    assert theme == "light"
    assert rows[0] == "The first 9 of 9 rows that diverged"
    assert FIRST in rows[1]
    assert len(rows) == 10
    assert chart > 500
    assert heat > 200
    document = base64.b64decode(printed["data"])
    assert document.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", document)) <= 8
    assert tab.run("return document.documentElement.dataset.theme") == "dark"
    assert tab.one("#table").is_displayed()
    assert not tab.one("#overview").is_displayed()
    tab.emulate(prefers_color_scheme="light")


def test_of_many_layers_what_is_in_sight_is_drawn(tab: Browser, tmp_path: Path) -> None:
    def model(off: float) -> Layer:
        layers = [Layer(f"l{i}", "L", out=np.ones(1) + off * (i == 1200)) for i in range(1700)]
        return Layer("", "N", out=np.ones(1), children=layers)

    sides = [
        write_dump(tmp_path / side, model(off), storage=Storage(durable=False))
        for side, off in (("base", 0), ("raw", 1))
    ]
    tab.open(tmp_path / "page.html", compare(*sides, close_ups=9))
    drawn = tab.run("""
        const { series } = echarts.getInstanceByDom(document.getElementById("chart")).getOption();
        return series.map(({ data }) => data);
    """)
    assert len(drawn[0]) < 400  # of 1701: the others would stand on the same places
    assert drawn[0][-1][0] > 1690
    assert 1200 in [point[2] for point in drawn[0]]
    assert "Of points in one place the worst is drawn" in tab.one("#chart-words").text
    tab.click("#tab-layers")
    nodes = tab.texts("#tree .node")
    assert len(nodes) < 60
    assert any(text.startswith("l1200 L ◀ first") for text in nodes)
    tab.run("document.querySelector('#tree .window').scrollTop = 30000")
    tab.settle()
    assert "l999 L = equal" in tab.texts("#tree .node")
    tab.click("#tab-table")
    assert len(tab.all("#grid .rows .row")) < 60
    assert tab.one("#rows-found").text == "1,701 of 1,701 rows"
