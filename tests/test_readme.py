"""Every block of README.md and of docs/ runs, and shows what it prints.

A `python` block runs as the script that its first line names; a `console` block is a command and
what it prints. Those of one document run in order in one directory, which is empty at first. A
`text` block that begins with a command shows ahead what comes of the others: it runs after them.
README.zh-CN.md has the blocks of README.md, so they are run once. Numbers may differ by 1 %, or
both be mere rounding errors; what else varies from one machine to another is in `VARIES`.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin.loading import ALONE
from tests.readers.javascript import installed_libraries
from tests.tools import need

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCUMENTS = [READMES[0], *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)?(#[^)]+)?\)")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\.?\w)")
ROUNDING = 1e-4  # the default atol
VARIES = re.compile(
    r"(?<=\d)\+(cpu|cu\d+)|(?<=, )\d+(?= of them bit for bit)|(?<= in )[\d.]+(?=s$)"
    r"|(?<=is dumped, )[\d.]+(?= s)|/\S+(?=/full\.zarr/)|[\d.]+ \w+(?= on disk)"
)

# Run here, make would set up .venv, and for `make test` run this very test: that these stand for
# what it does is tested below.
STANDS_FOR = {"make demo": f"cd {ROOT} && {sys.executable} -m demo"}
TEST_PRINTS = [
    "All checks passed!",
    r"\d+ files already formatted",
    r"Success: no issues found in \d+ source files",
    r"\d+ passed(, \d+ (skipped|xfailed|subtests passed))* in \d+\.\d+s( \(\d:\d+:\d+\))?",
]


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    for match in BLOCK.finditer(document.read_text()):
        yield match[1], match[2]


def command_of(console: str) -> tuple[str, str]:
    """The command of a console block, and what it is said to print."""
    command, _, output = console.partition("\n")
    assert command.startswith("$ ")
    return command[2:], output


def words(text: str) -> tuple[list[str], list[float]]:
    """The words of a text, numbers left out of them, and the numbers."""
    text = VARIES.sub("", " ".join(text.split()))  # wherever a line is broken
    return NUMBER.sub("#", text).split(), [float(number) for number in NUMBER.findall(text)]


def assert_same_output(shown: str, printed: str) -> None:
    """Compare what a document shows with what came, to 1 % or to rounding."""
    shown_words, shown_numbers = words(shown)
    printed_words, printed_numbers = words(printed)
    assert shown_words == printed_words, printed
    for a, b in zip(shown_numbers, printed_numbers, strict=True):
        assert abs(a - b) <= 0.01 * abs(a) or max(abs(a), abs(b)) < ROUNDING, printed


def output_of(command: str, directory: Path) -> str:
    """What a command prints, which may find a divergence but not fail."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=directory,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "COLUMNS": "80", **ALONE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def run_script(block: str, directory: Path) -> None:
    """Run a block as the script that a comment in its first line names."""
    name = re.match(r"# (\w+\.py)\n", block)
    assert name, f"a block that does not begin with its name: {block}"
    (directory / name[1]).write_text(block)
    subprocess.run([sys.executable, "-W", "ignore", name[1]], cwd=directory, check=True)


def run_command(block: str, directory: Path) -> None:
    """Run the command of a block, and hold what it prints against what is shown."""
    command, shown = command_of(block)
    if command.startswith("h5dump "):
        need("h5dump")
    if command != "make test":
        assert_same_output(shown, output_of(STANDS_FOR.get(command, command), directory))


def run_module(block: str, directory: Path) -> None:
    """Run a block of JavaScript, with the libraries of others that the tests have."""
    libraries = directory / "node_modules"
    if not libraries.exists():
        libraries.symlink_to(installed_libraries())
    (directory / "block.mjs").write_text(block)
    subprocess.run(["node", "block.mjs"], cwd=directory, check=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_runs(document: Path, tmp_path: Path) -> None:
    ahead = []
    for language, text in blocks(document):
        if language == "python":
            run_script(text, tmp_path)
        elif language == "console":
            run_command(text, tmp_path)
        elif language == "text" and text.startswith("$ "):
            ahead.append(text)
        elif language == "javascript":
            run_module(text, tmp_path)
        elif language == "json":
            json.loads(text)
        else:
            assert language == "text", f"a block of {document.name} that no test runs: {text}"
    for text in ahead:
        run_command(text, tmp_path)


def test_the_translation_has_the_same_blocks() -> None:
    readme, translation = (list(blocks(document)) for document in READMES)
    assert translation == readme


@pytest.mark.parametrize("document", READMES, ids=lambda path: path.name)
def test_the_answer_is_on_the_first_screen_and_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    lines = text.splitlines()
    assert len(lines) < 200
    assert any(line.startswith("NOT ALIGNED: ") for line in lines[:25])
    links = LINK.findall(text)
    assert [path for path, _ in links if path and not (ROOT / path).exists()] == []
    headings = {
        f"#{line.lstrip('# ').lower().replace(' ', '-')}" for line in lines if line[:1] == "#"
    }
    assert {anchor for path, anchor in links if not path} <= headings


def test_the_readme_starts_with_the_two_commands() -> None:
    console = [text for language, text in blocks(ROOT / "README.md") if language == "console"]
    (demo, _), (test, printed) = map(command_of, console[:2])
    assert (demo, test) == ("make demo", "make test")
    for pattern, line in zip(TEST_PRINTS, printed.splitlines(), strict=True):
        assert re.fullmatch(pattern, line)


@pytest.mark.parametrize(
    ("target", "steps"),
    [
        ("demo", ["python -m demo"]),
        ("test", ["ruff check", "ruff format", "mypy", "pytest"]),
        ("docs", ["mkdocs build --strict"]),
    ],
)
def test_make_runs_what_the_documents_say(target: str, steps: list[str]) -> None:
    command = ["make", "--dry-run", "--old-file=.venv/.ready", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [step for line in done.stdout.splitlines() for step in steps if step in line] == steps


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("aligned", "diverged"),
        ("max 0.5", "max 0.52"),
        ("max 0.5", "max 0.00001"),
        ("one 0.5", "one 0.5 0.5"),
        ("step 2", "step 3"),
        ("7020 of 16384", "7200 of 16384"),
        ("paddle 3.3.1", "paddle 3.3.2"),
    ],
)
def test_another_output_is_not_the_same(shown: str, printed: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        assert_same_output(shown, printed)


def test_rounding_is_the_same() -> None:
    assert_same_output("off by 1.2e-07, loss 2.3026", "off by  4e-8, loss 2.3027")
    assert_same_output("agree, 26 of them bit for bit", "agree, 9 of them bit for bit")
    assert_same_output("torch 2.13.0+cpu, 7020 left.", "torch 2.13.0, 7021 left.")
    assert_same_output("torch 2.13.0, 7020 left.", "torch 2.13.0+cu130, 7021 left.")
