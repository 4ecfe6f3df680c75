"""How fast a page of 10,000 layers opens and answers in a browser: `python -m benchmarks.page`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import padiff
from benchmarks.measure import Target, judge, scratch
from padiff.comparing.comparison import Comparison
from padiff.render.page import render
from padiff.store.storage import Storage
from tests.stores import Layer, write_dump

__all__ = ["comparison_of", "main"]

LAYERS = 10_000
CLOSE_UPS = 400
ROUNDS = 5
_MIDDLE = LAYERS // 20  # the block in which the second run goes wrong

# Each is done in the page and waits until what it asked for has been drawn.
_DRAWN = "await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));"
_ACTIONS = {
    "search": """
        const search = document.getElementById("search");
        search.value = "blocks.9 fc1"; search.dispatchEvent(new Event("input"));
        %s %s
        if (!document.getElementById("found").textContent.includes("of")) throw Error("not found");
    """,
    "click in the tree": """
        document.querySelectorAll("#tree .node")[%d].click();
        %s
        if (!document.querySelector("#detail h2")) throw Error("no layer");
    """,
    "sort the table": """
        document.querySelectorAll("#grid [role=columnheader] button")[7].click();
        %s
    """,
    "filter the table": """
        const filter = document.getElementById("filter");
        filter.value = "fc2 out"; filter.dispatchEvent(new Event("input"));
        %s %s
    """,
    "change the measure": """
        const measure = document.getElementById("measure");
        measure.value = measure.value === "ratio" ? "rel_l2" : "ratio";
        measure.dispatchEvent(new Event("change"));
        %s
    """,
}

_VIEWS = {"search": "layers", "click in the tree": "layers", "change the measure": "overview"}


_TABLE = ["section", "phase", "base_route", "status", "max_abs"]  # of all columns it takes minutes


class Values:
    """The same values for both sides, but for rounding, and an error behind the middle."""

    def __init__(self, off: float) -> None:
        self._random, self._noise = np.random.default_rng(0), np.random.default_rng(1)
        self._off = off

    def of(self, place: int) -> NDArray[np.float32]:
        """Of a block; the first ones that are off are large, so that their pictures are."""
        edge = 64 if 0 <= place - _MIDDLE < 40 else 8
        made = self._random.normal(size=(edge, edge))
        if self._off:
            made *= 1 + self._noise.normal(size=made.shape) * (
                1e-6 + self._off * (place >= _MIDDLE)
            )
        return made.astype(np.float32)


def model(off: float) -> Layer:
    """Blocks of ten layers with outputs, gradients, a weight and a bias."""
    values = Values(off)

    def layer(name: str, kind: str, place: int, *children: Layer) -> Layer:
        held: dict[str, Any] = {"out": values.of(place), "back": values.of(place)}
        if not children:
            weight = values.of(place)
            held["weights"] = {"weight": weight, "bias": weight[0]}
            held["grads"] = {"weight": values.of(place)}
        return Layer(name, kind, children=children, **held)

    def block(place: int) -> Layer:
        inner = [layer(f"fc{i}", "Linear", place) for i in range(9)]
        return layer(f"blocks.{place}", "Block", place, *inner)

    return layer("", "Tower", 0, *map(block, range(LAYERS // 10)))


def comparison_of(root: Path) -> Comparison:
    """Two runs of the model, one of which goes wrong in the middle."""
    for side, off in (("base", 0.0), ("raw", 1e-2)):
        described = model(off)
        write_dump(root / side, described, storage=Storage(durable=False))
        write_dump(root / side, described, section="params", storage=Storage(durable=False))
    return padiff.compare(root / "base", root / "raw", close_ups=CLOSE_UPS)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def opened(driver: webdriver.Chrome, page: Path) -> float:
    """Seconds from the navigation to the first view drawn, by the page's own clock."""
    driver.get("about:blank")
    driver.get(page.as_uri())
    drawn: float = driver.execute_async_script(
        f"const done = arguments[0]; (async () => {{ {_DRAWN}"
        "done(performance.getEntriesByType('navigation')[0].loadEventEnd); })();"
    )
    return drawn / 1000


def acted(driver: webdriver.Chrome, action: str) -> float:
    """Seconds of one action until it is drawn."""
    took: float | str = driver.execute_async_script(
        "const done = arguments[0]; (async () => { const start = performance.now();"
        f"{action}; done(performance.now() - start); }})().catch((error) => done(String(error)));"
    )
    if isinstance(took, str):
        raise RuntimeError(took)
    return took / 1000


def beside(driver: webdriver.Chrome, root: Path, comparison: Comparison, page: str) -> None:
    """What opening costs the browser alone, and a table of the same records; all take turns."""
    pages = {
        "the page": page,
        "as many bytes": page.replace("<script ", '<script type="text/plain" '),
        "a table by pandas": comparison.to_frame()[_TABLE].to_html(),
    }
    for name, text in pages.items():
        (root / f"{name}.html").write_text(text, "utf-8")
    seconds: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(ROUNDS):
        for name in pages:
            seconds[name].append(opened(driver, root / f"{name}.html"))
    ours = median(seconds["the page"])
    for name in pages:
        found = median(seconds[name])
        print(f"  opening {name:<18} {found:.2f} s, the page takes {ours / found:.2f} times that")


def main() -> int:
    """Make the page, open it, use it; 1 when a target is missed."""
    with scratch(needed=1 << 30) as root, browser() as driver:
        comparison = comparison_of(root)
        start = time.perf_counter()
        text = render(comparison)
        rendered = time.perf_counter() - start
        page = root / "page.html"
        page.write_text(text)
        size = page.stat().st_size / 1e6
        print(f"{LAYERS} layers, {len(comparison.records)} records, {size:.1f} MB")
        print(f"  written in           {rendered:.2f} s")
        seconds = {"open": median(opened(driver, page) for _ in range(ROUNDS))}
        for name, action in _ACTIONS.items():
            driver.get("about:blank")
            driver.get(f"{page.as_uri()}#/{_VIEWS.get(name, 'table')}")
            script = action.replace("%s", _DRAWN)
            rounds = (acted(driver, script.replace("%d", str(turn + 2))) for turn in range(ROUNDS))
            seconds[name] = median(rounds)
        for name, value in seconds.items():
            print(f"  {name:<20} {value:.2f} s")
        beside(driver, root, comparison, text)
    return judge(
        [Target(name, value, 2.0, "s") for name, value in seconds.items()]
        + [Target("size", size, 15.0, "MB")]
    )


if __name__ == "__main__":
    sys.exit(main())
