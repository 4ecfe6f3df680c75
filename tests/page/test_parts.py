"""What a page is put together from: whole, bundled, and allowed by the page's own policy."""

import re
import tomllib
from base64 import b64encode
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

from padiff.render.page import SCRIPTS, render
from tests.page.runs import compared

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "padiff/render/page"


class Parts(HTMLParser):
    """The text of each script and style of a page, and the attributes of all elements."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[str, str]] = []
        self.styles: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self._open: tuple[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("script", "style"):
            self._open = tag, dict(attrs).get("type") or ""

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            tag, kind = self._open
            if tag == "style":
                self.styles.append(data)
            else:
                self.scripts.append((kind, data))


def digest(part: str) -> str:
    return f"'sha256-{b64encode(sha256(part.encode()).digest()).decode()}'"


def test_the_policy_allows_these_scripts_and_this_style_and_nothing_else(tmp_path: Path) -> None:
    page = render(compared(tmp_path, steps=1))
    parts = Parts()
    parts.feed(page)
    found = re.search('Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    policy = dict(part.split(" ", 1) for part in unescape(found[1]).split("; "))
    run = [text for kind, text in parts.scripts if kind != "application/json"]
    assert len(run) == 2
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == " ".join(map(digest, run))
    assert policy["style-src"] == " ".join(map(digest, parts.styles))
    assert not [a for a in parts.attributes if a[1] in ("src", "href", "style") or a[1][:2] == "on"]


def test_every_part_is_in_the_page_and_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["padiff"]
    files = [
        path for path in PAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    packed = {p for pattern in patterns for p in (ROOT / "padiff").glob(pattern)}
    assert {path.relative_to(PAGE).as_posix() for path in files if path not in packed} == set()
    assert {path.name for path in files if path.suffix == ".js"} == {*SCRIPTS, "echarts.min.js"}
    assert {path.name for path in PAGE.glob("vendor/*")} >= {"LICENSE", "NOTICE", "LICENSE-d3"}


def test_the_library_is_the_one_that_its_note_names() -> None:
    note = (PAGE / "vendor/README.md").read_text()
    library = (PAGE / "vendor/echarts.min.js").read_bytes()
    assert sha256(library).hexdigest() in note
    version = re.search(r't\.version="([\d.]+)"', library.decode()[-400:])
    assert version is not None
    assert f"Apache ECharts {version[1]}" in note


def test_scripts_make_no_markup_of_text_and_are_short() -> None:
    for name in SCRIPTS:
        source = (PAGE / "parts" / name).read_text()
        assert source.count("\n") < 300, name
        assert source.startswith('"use strict";\n// '), name
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
            assert forbidden not in source, (name, forbidden)
        # a string would be a template of the library, in which names stand for markup of its own
        assert not re.search(r"formatter: [\"'`]", source), name
