"""Names, source lines and settings of hostile stores are text in the page, and do nothing."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padiff
from padiff.comparing.comparison import Comparison
from padiff.render.printable import clean
from padiff.tree import Frame
from tests.page.browsing import Browser
from tests.stores import Layer, write_dump

HOSTILE = {
    "script": "</script><script>window.pwned = 1</script>",
    "comment": "<!--<script>window.pwned = 1</script>",
    "image": '<img src=x onerror="window.pwned = 1">',
    "style": "</style><svg/onload=window.pwned=1>",
    "title": "</title></textarea><iframe srcdoc='<script>parent.pwned = 1</script>'>",
    "link": "javascript:window.pwned=1",
    "network": '"><img src="https://example.invalid/leak"><link rel=stylesheet href=//x.invalid>',
    "prototype": "__proto__",
    "constructor": "constructor",
    "template": "${window.pwned = 1}{{document}}{a|b}{@x}%s",
    "direction": "abc\u202edef\u2066ghi\u200b",
    "control": "\x1b[31m\x00\x07\r\n\x7f\u2028\u2029",
    "half": "\ud800x",
    "long": "n" * 300,
    "longest": "<b>" * 3334,
}


def hostile(evil: str, off: float) -> Layer:
    """A network in which all that can be named is named that."""
    values = np.linspace(1, 2, 24, dtype=np.float32).reshape(4, 6)
    frame = Frame(evil, 1, evil, evil)
    inner = Layer(
        evil,
        evil,
        out={evil: values + off},
        back={evil: values},
        device=evil,
        stack=(frame,),
        repr=evil,
    )
    lone = [Layer(f"lone{evil}", evil, out=values)] if off else []
    return Layer("", evil, out={evil: values + off}, children=[inner, *lone], stack=(frame,))


def compared(root: Path, evil: str) -> Comparison:
    locations = [
        write_dump(root / side, hostile(evil, off), framework=evil)
        for side, off in (("base", 0.0), ("raw", 1.0))
    ]
    found = padiff.compare(*locations, close_ups=5)
    sources: Any = {
        side: dataclasses.replace(getattr(found, side), location=evil, foreign=evil)
        for side in ("base", "raw")
    }
    return dataclasses.replace(found, notes=(evil,), **sources)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(tab: Browser, tmp_path: Path, name: str) -> None:
    evil = HOSTILE[name]
    tab.open(tmp_path / "page.html", compared(tmp_path, evil))
    tab.run("""
        const chart = echarts.getInstanceByDom(document.getElementById("chart"));
        chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: 0 });
    """)
    tab.settle()
    start = clean(evil, 10_000)[:40]
    assert start in tab.run("return document.querySelector('.tip').textContent")
    for view in ("layers", "table", "settings"):
        tab.click(f"#tab-{view}")
        assert start in tab.run(f"return document.getElementById('{view}').textContent"), view
    tab.click("#tab-layers")
    tab.type("#search", "lone")
    tab.settle()
    assert tab.one("#found").text == "1 of 3 layers"
    tab.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert tab.run("return [typeof window.pwned, typeof {}.pwned]") == ["undefined", "undefined"]
    assert tab.run("return document.querySelectorAll('script').length") == 3
    made = "iframe, link, object, embed, img, svg, b > b, [onerror], [onload], a[href]"
    assert tab.run(f"return [...document.querySelectorAll('{made}')].map((e) => e.outerHTML)") == []
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    assert tab.said() == []
    assert tab.requests() == []


def test_a_string_never_becomes_markup(tab: Browser, tmp_path: Path) -> None:
    """What would be if a script of the page made a mistake: the browser holds it to its policy."""
    tab.open(tmp_path / "page.html", compared(tmp_path, "x"))
    left = tab.run("""
        const place = document.createElement("div");
        place.innerHTML = "<img src=x onerror='window.pwned = 1'>";
        document.body.append(place);
        return place.childNodes.length;
    """)
    assert left == 0
    refused = tab.run("""
        const script = document.createElement("script");
        try { script.textContent = "window.pwned = 1"; document.body.append(script); }
        catch (error) { return error.name; }
        return typeof window.pwned;
    """)
    assert refused in ("TypeError", "undefined")
    tab.run("fetch('https://example.invalid/leak').catch(() => {})")
    tab.settle()
    assert any("violates" in message for message in tab.said())
    assert tab.run("return typeof window.pwned") == "undefined"
