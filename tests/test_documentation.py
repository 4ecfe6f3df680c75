"""The site of docs/ builds without a warning, and its reference has all that is public."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import padiff
from padiff import errors

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="?https?:|url\(https?:')
ELSEWHERE = re.compile(r"\b(?:[Ss]ee|[Ll]ike) `(\w+)`")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds; any warning fails it."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory


def public_functions() -> Iterator[tuple[str, Any]]:
    """Each public function, and each public method of a public class, by its name."""
    for name in padiff.__all__:
        found = getattr(padiff, name)
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found):
            for method, function in inspect.getmembers(found, inspect.isfunction):
                if not method.startswith("_") and function.__module__.startswith("padiff"):
                    yield f"{name}.{method}", function


def named_in(docstring: str) -> set[str]:
    """All words between backticks."""
    return {*re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", docstring)))}


def test_the_site_is_built_and_needs_no_network(site: Path) -> None:
    pages = [page for page in site.rglob("*") if page.suffix in (".html", ".css")]
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))
    for page in pages:
        assert not LOADED.search(page.read_text()), page


def test_the_reference_has_every_public_name(site: Path) -> None:
    page = (site / "reference" / "index.html").read_text()
    for name in padiff.__all__:
        assert f'id="padiff.{name}"' in page, name
    for name in errors.__all__:
        assert f'.{name}"' in page, name


FUNCTIONS = dict(public_functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_described(name: str) -> None:
    function = FUNCTIONS[name]
    known = named_in(inspect.getdoc(function) or "")
    home = getattr(padiff, name.partition(".")[0]) if "." in name else padiff
    for other in ELSEWHERE.findall(inspect.getdoc(function) or ""):
        known |= named_in(inspect.getdoc(getattr(home, other)) or "")
    arguments = {
        argument.name
        for argument in inspect.signature(function).parameters.values()
        if argument.name not in ("self", "unknown")
    }
    assert arguments <= known, sorted(arguments - known)
