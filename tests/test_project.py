"""What a contributor relies on: make, the hooks before a commit, the version, the changelog."""

import os
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from click.testing import CliRunner

import padiff
from padiff.cli.commands import group
from tests.stores import Layer, write_dump

ROOT = Path(__file__).parents[1]
HOOKS = ".pre-commit-config.yaml"
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def printed_by_make(*arguments: str) -> list[str]:
    command = ["make", "--no-print-directory", "--old-file=.venv/.ready", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def unlisted(makefile: str, listed: list[str]) -> set[str]:
    """The targets that the list does not have."""
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    return set(phony.split()) - {line.split()[1] for line in listed}


def test_make_alone_lists_every_target() -> None:
    makefile, listed = (ROOT / "Makefile").read_text(), printed_by_make()
    assert unlisted(makefile, listed) == set()
    assert unlisted(makefile.replace("demo test", "demo another test", 1), listed) == {"another"}


def test_every_target_is_phony() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) == set(phony.split())


def test_the_hooks_are_what_make_runs() -> None:
    held: dict[str, list[str]] = {}
    for key, value in re.findall(r"^[ -]*(\w+): (.*)$", (ROOT / HOOKS).read_text(), re.MULTILINE):
        held.setdefault(key, []).append(value)
    assert held["repo"] == ["local"]  # nothing is fetched
    assert held["entry"] == printed_by_make("--dry-run", "lint")
    assert held["language"] == ["system"] * len(held["entry"])
    assert held["pass_filenames"] == ["false"] * len(held["entry"])


def commit_hooks(clone: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the hooks on what is staged, but for mypy, which would look at all of padiff."""
    environment = {**os.environ, "SKIP": "mypy", "PRE_COMMIT_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "run"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_not_formatted_is_not_committed(tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    clone.mkdir()
    for name in (HOOKS, "pyproject.toml", ".gitignore"):
        copy(ROOT / name, clone)
    (clone / ".venv").symlink_to(sys.prefix)
    module = clone / "planted.py"
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    for source, failing in (("x = [1,2]\n", ["ruff format"]), ("x = [1, 2]\n", [])):
        module.write_text(source)
        subprocess.run(["git", "add", HOOKS, "pyproject.toml", module], cwd=clone, check=True)
        done = commit_hooks(clone, home)
        assert (done.returncode == 0) == (not failing), done.stdout + done.stderr
        failed = [line for line in done.stdout.splitlines() if line.endswith("Failed")]
        assert [line.split("...")[0].rstrip(".") for line in failed] == failing
    module.write_text("import os\n")
    subprocess.run(["git", "add", module], cwd=clone, check=True)
    assert "F401" in commit_hooks(clone, home).stdout


def test_the_version_is_told_in_one_place(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", padiff.__version__)
    assert version("padiff") == padiff.__version__
    printed = CliRunner().invoke(group, ["--version"], catch_exceptions=False).output
    assert printed.split()[-1] == padiff.__version__
    store = write_dump(tmp_path / "run.zarr", Layer("", "Net", out=np.ones(2)))
    assert padiff.inspect(store).producer == f"padiff {padiff.__version__}"
    told = [
        path.relative_to(ROOT)
        for path in (ROOT / "padiff").rglob("*.py")
        if f'"{padiff.__version__}"' in path.read_text()
    ]
    assert told == [Path("padiff/version.py")]
    assert f'"{padiff.__version__}"' not in (ROOT / "pyproject.toml").read_text()


def complaints(changelog: str, current: str) -> list[str]:
    """What is not as Keep a Changelog and Semantic Versioning have it."""
    first, *released = HEADING.findall(changelog)
    found = [] if first == "[Unreleased]" else [f"{first} stands above what is unreleased"]
    parsed = [RELEASE.fullmatch(heading) for heading in released]
    found += [name for name, match in zip(released, parsed, strict=True) if match is None]
    versions = [tuple(map(int, match.groups()[:3])) for match in parsed if match]
    dates = [date.fromisoformat(match[4]) for match in parsed if match]
    if versions != sorted(set(versions), reverse=True) or dates != sorted(dates, reverse=True):
        found.append("the newest is not the first")
    now = tuple(int(part) for part in re.findall(r"\d+", current)[:3])
    if versions and versions[0] > now:
        found.append(f"{versions[0]} is released, and the version is {current}")
    kinds = re.findall(r"^### (.*)$", changelog, re.MULTILINE)
    return found + [kind for kind in kinds if kind not in KINDS]


def test_the_changelog_is_kept_as_such() -> None:
    assert complaints((ROOT / "CHANGELOG.md").read_text(), padiff.__version__) == []


@pytest.mark.parametrize(
    ("changelog", "count"),
    [
        ("## [Unreleased]\n### Added\n## [1.1.0] - 2026-02-01\n### Fixed\n", 0),
        ("## [1.1.0] - 2026-02-01\n", 1),
        ("## [Unreleased]\n## [1.1.0]\n", 1),
        ("## [Unreleased]\n## 1.1.0 - 2026-02-01\n", 1),
        ("## [Unreleased]\n## [1.0.0] - 2026-02-01\n## [1.1.0] - 2026-03-01\n", 1),
        ("## [Unreleased]\n## [1.3.0] - 2026-02-01\n", 1),
        ("## [Unreleased]\n### News\n", 1),
    ],
)
def test_another_changelog_is_complained_about(changelog: str, count: int) -> None:
    assert len(complaints(changelog, "1.2.0")) == count
