"""What padiff's results show in a notebook: inert HTML, from trees alone."""

import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import padiff
from padiff.notebook import html_of
from padiff.render.inspection import render as render_inspection
from padiff.render.markup import details, safe, table
from padiff.render.printable import clean
from padiff.showing import Shown
from tests.stores import Layer, write_dump

Y = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' style='position:fixed",
    "</pre></details><b>",
    "&lt;b&gt;",
    "\x1b[2J\u202e\n",
    "{{ x }} $\\frac{1}{0}$",
]

# Of each the HTML is asked for by a real kernel, and in this process.
SHOWN = """
padiff.compare(base, raw)
padiff.open_dump(base)
padiff.open_dump(base).params
padiff.open_dump(base).report["a"]
padiff.open_dump(base).report["a"].forward
padiff.open_dump(base).report["a"].forward[0]
padiff.inspect(base)
padiff.diff_tree(base, raw)
""".strip().splitlines()


def net(name: str = "a", kind: str = "Linear", off: float = 0) -> Layer:
    hostile = Layer(name, kind, out={"0": Y, name: Y + off}, repr=f"{kind}({name})")
    return Layer("", kind, out=Y, children=[Layer("a", "Linear", out=Y), hostile])


def stores(directory: Path, name: str = "b", kind: str = "Linear", off: float = 1) -> list[Path]:
    """Two stores that part in a parameter and in a tensor called like its layer."""
    locations = [directory / side for side in ("base.zarr", "raw.zarr")]
    for at, location in enumerate(locations):
        write_dump(location, net(name, kind, off * at))
        write_dump(location, Layer("", kind, weights={name: Y + off * at}), section="params")
    return locations


class Tags(HTMLParser):
    """All that is markup in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.depth: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.depth, self.depth

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)
        self.depth.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.depth.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def markup_of(shown: Any) -> tuple[Tags, set[str]]:
    """What is in the HTML of an object, and the styles in it."""
    found = Tags(shown._repr_html_())
    assert found.tags <= {"div", "table", "tr", "th", "td", "pre", "details", "summary"}
    assert {name for name, _ in found.attributes} <= {"style", "open"}
    return found, {value or "" for name, value in found.attributes if name == "style"}


def objects(base: Path, raw: Path) -> Iterator[Any]:
    for line in SHOWN:
        yield eval(line, {"padiff": padiff, "base": base, "raw": raw})


def test_a_notebook_shows_each_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))  # nothing of who runs this is loaded or changed
    base, raw = stores(tmp_path)
    setup = f"import padiff\nbase, raw = {str(base)!r}, {str(raw)!r}"
    plot = "padiff.compare(base, raw).plot()"  # pyplot was never imported there
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    for text in (setup, *SHOWN, plot):
        cell = nbformat.v4.new_code_cell(text)  # type: ignore[no-untyped-call]
        notebook.cells.append(cell)
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    first, *others = (cell.outputs for cell in notebook.cells)
    assert first == []
    *shown, drawn = (output.data for (output,) in others)
    for line, data in zip(SHOWN, shown, strict=True):
        assert data["text/html"].startswith("<div"), line
        markup_of(type("Given", (), {"_repr_html_": lambda _, html=data["text/html"]: html})())
    assert "First divergence" in shown[0]["text/html"]
    assert len(drawn["image/png"]) > 10_000
    for line, data in zip(SHOWN[1:6], shown[1:6], strict=True):
        assert len(data["text/plain"]) < 200, line


def test_whatever_shows_itself_has_a_line() -> None:
    left, found = [Shown], set()
    while left:
        left += left.pop().__subclasses__()
        found |= {cls for cls in left if cls.__module__.startswith("padiff.")}
    # of a dataclass with slots there is another before it gets them
    found = {cls for cls in found if getattr(sys.modules[cls.__module__], cls.__name__) is cls}
    assert len(found) > 8
    for cls in found:
        assert html_of.dispatch(cls) is not html_of.dispatch(object), cls
    with pytest.raises(TypeError, match="expected a result of padiff, got int"):
        html_of(3)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_text_and_never_markup(tmp_path: Path, name: str) -> None:
    plain = [markup_of(shown)[1] for shown in objects(*stores(tmp_path / "plain"))]
    hostile = list(objects(*stores(tmp_path / "hostile", name.replace("/", "|"), name)))
    for shown, styles in zip(hostile, plain, strict=True):
        found, of_hostile = markup_of(shown)
        assert of_hostile == styles
        assert "\x1b" not in found.text
        assert "\u202e" not in found.text
    assert clean(name.replace("/", "|"), 40) in markup_of(hostile[0])[0].text


def test_the_pieces_take_any_text() -> None:
    for name in HOSTILE:
        for html in (details(name, ""), table([[name]], [name])):
            assert Tags(html).tags <= {"details", "summary", "table", "tr", "td", "th"}
        assert '"' not in safe(name)
        assert "'" not in safe(name)


def test_a_comparison_says_where_and_how_far(tmp_path: Path) -> None:
    base, raw = stores(tmp_path)
    text = markup_of(padiff.compare(base, raw))[0].text
    for said in (
        "NOT ALIGNED: Linear (torch) and Linear (torch) part in the weights, at the model itself",
        "2 of 5 tensors of report, params differ",
        "First divergence: Weights, parameter b",
        "12 of 12 elements are out of tolerance; atol 1 would have passed, 0.0001 was given",
        "The two models have different weights",
        "Linear  <---  *** HERE ***",
        "All 2 that differ",
        "Forward stageboutput b10.65312 of 12",
    ):
        assert said in text, text


def test_an_aligned_comparison_is_short(tmp_path: Path) -> None:
    base, _ = stores(tmp_path)
    html = padiff.compare(base, base)._repr_html_()
    text = Tags(html).text
    assert text.startswith("ALIGNED: 5 tensors")
    assert "divergence" not in text
    assert "#2e9e4f" in html


def test_what_a_mean_hides_is_said(tmp_path: Path) -> None:
    locations = [
        write_dump(tmp_path / f"{off}.zarr", Layer("", "N", out=Y + np.eye(3, 4) * off))
        for off in (0, 1e-4)
    ]
    text = Tags(padiff.compare(*locations, atol=9e-5)._repr_html_()).text
    assert text.startswith("ALIGNED")
    assert "Of one tensor single elements are out of tolerance" in text


def test_of_weights_alone_nothing_says_that_they_are_updated(tmp_path: Path) -> None:
    locations = [
        write_dump(
            tmp_path / f"{off}.zarr", Layer("", "N", weights={"w": Y + off}), section="weights"
        )
        for off in (0, 1)
    ]
    comparison = padiff.compare(*locations)
    assert "First divergence: Weights, parameter w" in Tags(comparison._repr_html_()).text
    assert "Weights, parameter w" in " ".join(
        text.get_text() for text in comparison.plot().axes[0].texts
    )


def test_what_one_side_lacks_is_counted_in_a_line(tmp_path: Path) -> None:
    layers = [Layer(name, "Tanh", out=Y) for name in "pq"]
    base = write_dump(tmp_path / "base.zarr", Layer("", "Net", out=Y))
    raw = write_dump(tmp_path / "raw.zarr", Layer("", "Net", out=Y, children=layers))
    text = Tags(padiff.compare(base, raw)._repr_html_()).text
    assert "Without a partner: 2 layers of raw." in text


def test_a_dump_says_what_it_holds(tmp_path: Path) -> None:
    base, _ = stores(tmp_path)
    dump = padiff.open_dump(base)
    text = markup_of(dump)[0].text
    for said in (
        "Linear, torch 1.0",
        "recorded 2026-01-01 00:00:00 UTC",
        "report34192 bytes",
        "params1148 bytes",
        "No NaN or Inf in 5 tensors.",
        "a (Linear)  float32[3, 4]",
        "Linear  b float32[3, 4]",
    ):
        assert said in text, text
    layer = markup_of(dump.report["a"])[0].text
    assert "output 0float32[3, 4]48 bytes121.500" in layer
    assert "3, 4" in markup_of(dump.report["a"].forward[0])[0].text
    assert "no tensors" in markup_of(dump.report["a"].backward)[0].text


def test_no_element_is_read(tmp_path: Path) -> None:
    base, _ = stores(tmp_path)
    dump = padiff.open_dump(base)
    before = dump._repr_html_(), dump.report["a"]._repr_html_()
    chunks = [path for path in base.rglob("c.*") if path.is_file()]
    assert chunks
    for path in chunks:
        path.unlink()
    again = padiff.open_dump(base)
    assert (again._repr_html_(), again.report["a"]._repr_html_()) == before


def test_a_section_that_is_damaged_hides_no_other(tmp_path: Path) -> None:
    base, _ = stores(tmp_path)
    document = base / "params" / "zarr.json"
    document.write_text(document.read_text().replace("Linear", "Linaer"))
    text = Tags(padiff.open_dump(base)._repr_html_()).text
    assert "params cannot be opened: expected" in text
    assert "a (Linear)" in text


def test_files_of_other_tools_show_themselves(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", allow_pickle=False, **{"fc.weight": Y})
    text = Tags(padiff.open_dump(tmp_path / "w.npz")._repr_html_()).text
    assert "fc" in text
    assert "recorded" not in text
    assert "NaN" not in text


def test_no_option_of_the_command_is_advised(tmp_path: Path) -> None:
    location = tmp_path / "run.zarr"
    for step in range(2):
        layers = [Layer(f"l{n}", "Linear", out=Y) for n in range(40)]
        write_dump(location, Layer("", "Net", out=Y, children=layers), step=step)
    inspection = padiff.inspect(location)
    assert "--layer" in render_inspection(inspection)
    assert "--" not in Tags(inspection._repr_html_()).text
    assert "l0 to l39" in Tags(inspection._repr_html_()).text


def test_a_store_that_is_gone_is_shown_as_it_was(tmp_path: Path) -> None:
    base, _ = stores(tmp_path)
    report = padiff.open_dump(base).report
    shutil.rmtree(base)
    assert "a (Linear)" in report._repr_html_()
