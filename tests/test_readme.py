"""Every block of the README and of docs/ runs, and shows what it prints.

`python` blocks run in order, one namespace a document; in `console` blocks each `$` command runs
and must print what stands below it. All run in one empty directory a document. Figures need not be
the same to the last digit on another machine: they may differ by 1 %, or both be mere rounding.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+")
ROUNDING = 1e-4  # the default atol

# What a command of the README runs as here: make would set up .venv first, or run this very test.
STANDS_FOR = {
    "make demo": f"cd {ROOT} && {sys.executable} -m demo",
    "make test": f"cd {ROOT} && make --dry-run test | grep -c 'python -m pytest'",
}
PRINTS = {"make test": "1\n"}


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    for match in BLOCK.finditer(document.read_text()):
        yield match[1], match[2]


def commands(console: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what it is said to print."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command.strip(), output


def words(text: str) -> tuple[list[str], list[float]]:
    """The words of a text, figures left out of them, and the figures."""
    return FIGURE.sub("#", text).split(), [float(figure) for figure in FIGURE.findall(text)]


def assert_same_output(shown: str, printed: str) -> None:
    """Compare what a document shows with what came, to 1 % or to rounding."""
    (shown_words, shown_figures), (words_printed, figures_printed) = words(shown), words(printed)
    assert shown_words == words_printed, printed
    for a, b in zip(shown_figures, figures_printed, strict=True):
        assert abs(a - b) <= 0.01 * abs(a) or max(abs(a), abs(b)) < ROUNDING, printed


def run_console(block: str, directory: Path) -> None:
    """Run each command of a block, and compare what it prints."""
    for command, shown in commands(block):
        done = subprocess.run(
            STANDS_FOR.get(command, command),
            shell=True,
            cwd=directory,
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "COLUMNS": "80"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert_same_output(PRINTS.get(command, shown), done.stdout)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_runs(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for language, text in blocks(document):
        if language == "python":
            exec(compile(text, str(document), "exec"), namespace)
        elif language == "console":
            run_console(text, tmp_path)
        elif language == "json":
            json.loads(text)
        else:
            assert language == "text", f"a block of {document.name} that no test runs: {text}"


def test_the_readme_starts_with_the_two_commands() -> None:
    first = next(text for _, text in blocks(ROOT / "README.md"))
    assert [command for command, _ in commands(first)] == ["make demo", "make test"]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("aligned", "diverged"),
        ("max 0.5", "max 0.52"),
        ("max 0.5", "max 0.00001"),
        ("one 0.5", "one 0.5 0.5"),
        ("step 2", "step 3"),
    ],
)
def test_another_output_is_not_the_same(shown: str, printed: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        assert_same_output(shown, printed)


def test_rounding_is_the_same() -> None:
    assert_same_output("off by 1.2e-07, loss 2.3026", "off by  4e-8, loss 2.3027")
