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
EVIL = " ".join(HOSTILE.values())


def hostile(off: float) -> Layer:
    """A network in which all that can be named has such a name."""
    values = np.linspace(1, 2, 24, dtype=np.float32).reshape(4, 6)

    def layer(evil: str) -> Layer:
        return Layer(
            evil.replace(".", ""),
            evil,
            out={evil: values + off},
            back={evil: values},
            device=evil,
            stack=(Frame(evil, 1, evil, evil),),
            repr=evil,
        )

    evils = list(HOSTILE.values())
    lone = [dataclasses.replace(layer(evil), name=f"lone-{i}") for i, evil in enumerate(evils)]
    children = [*map(layer, evils), *(lone if off else [])]
    return Layer("", EVIL, out={EVIL: values + off}, children=children, device=EVIL)


def compared(root: Path) -> Comparison:
    locations = [
        write_dump(root / side, hostile(off), framework=EVIL)
        for side, off in (("base", 0.0), ("raw", 1.0))
    ]
    found = padiff.compare(*locations, close_ups=50)
    environment = {evil: evil for evil in HOSTILE.values()}
    sources: Any = {
        side: dataclasses.replace(
            getattr(found, side), location=EVIL, foreign=EVIL, created=EVIL, environment=environment
        )
        for side in ("base", "raw")
    }
    return dataclasses.replace(found, notes=tuple(HOSTILE.values()), **sources)


def test_hostile_names_are_text(tab: Browser, tmp_path: Path) -> None:
    comparison = compared(tmp_path)
    tab.open(tmp_path / "page.html", comparison)
    starts = [clean(evil, 10_000)[:40] for evil in HOSTILE.values()]
    for place in range(len(comparison.records)):
        tab.run(
            "echarts.getInstanceByDom(document.getElementById('chart')).dispatchAction("
            "{ type: 'showTip', seriesIndex: 0, dataIndex: arguments[0] });",
            place,
        )
    tips = "return [...document.querySelectorAll('.tip')].map((tip) => tip.textContent).join()"
    assert any(start[:16] in tab.run(tips) for start in starts)
    for view in ("overview", "layers", "table", "settings"):
        tab.click(f"#tab-{view}")
        seen = tab.run(f"return document.getElementById('{view}').textContent")
        assert [start for start in starts if start not in seen] == [], view
    for layer in range(1, 1 + len(starts)):
        tab.run("location.hash = arguments[0]", f"#/layers/{layer}")
        tab.settle()
        shown = tab.run("return document.getElementById('detail').textContent")
        assert starts[layer - 1].replace(".", "") in shown
        assert shown.count(starts[layer - 1]) >= 4  # class, tensor, repr, source
    tab.type("#search", "lone-1")
    assert tab.one("#found").text == "6 of 31 layers"
    tab.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert tab.run("return [typeof window.pwned, typeof {}.pwned]") == ["undefined", "undefined"]
    assert tab.run("return document.querySelectorAll('script').length") == 3
    made = "iframe, link, object, embed, img, svg, b > b, [onerror], [onload], a[href]"
    assert tab.run(f"return [...document.querySelectorAll('{made}')].map((e) => e.outerHTML)") == []
    assert tab.said() == []
    assert tab.requests() == []


@pytest.mark.parametrize("view", ["overview", "layers", "settings"])
def test_long_names_do_not_widen_the_page(tab: Browser, tmp_path: Path, view: str) -> None:
    tab.open(tmp_path / "page.html", compared(tmp_path), view)
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")


def test_a_string_never_becomes_markup(tab: Browser, tmp_path: Path) -> None:
    """What would be if a script of the page made a mistake: the browser holds it to its policy."""
    tab.open(tmp_path / "page.html", compared(tmp_path))
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
