"""A comparison of damaged stores: never a divergence, and aligned only as to what it did read."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from padiff.cli.check_command import command as check_command
from tests.store.test_verify import cuts, damaged, deleted, flips, make


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make(tmp_path / "run.zarr")


def may_go_unnoticed(run: Path, path: Path, whole: bool) -> bool:
    """Whether a comparison may say aligned: what is damaged is not what it compares by content.

    It looks at no document of a layer's group. Where the digests of two chunks are equal it looks
    whether they are there, and whole; likewise it takes from the documents of groups and arrays
    what it needs, and holds them to no digest.
    """
    below = path.relative_to(run).parts
    of_layer = len(below) == 5
    of_section = len(below) == 4 and path.name == "zarr.json"
    return of_layer or (whole and not of_section)


def assert_told_as_what_it_is(run: Path, intact: Path, path: Path, *, whole: bool) -> None:
    for pair in ((run, intact), (intact, run)):
        result = CliRunner().invoke(check_command, [*map(str, pair), "--jobs", "1"])
        assert result.exit_code in ((0, 2) if may_go_unnoticed(run, path, whole) else (2,)), (
            path,
            result.output,
        )
        if result.exit_code == 2:
            assert re.fullmatch(r"padiff-check: expected .*\n", result.stderr)
            assert result.stdout == ""


@pytest.mark.parametrize("scale", [1, 1 + 1e-6])
def test_a_comparison_never_takes_damage_for_a_divergence(
    run: Path, tmp_path: Path, scale: float
) -> None:
    """Whether chunks are equal by their digests, or are read."""
    intact = make(tmp_path / "intact", scale)
    for path in damaged(run, lambda data: (flip for flip in [*flips(data)][::8])):
        assert_told_as_what_it_is(run, intact, path, whole=True)
    for path in damaged(run, cuts):
        assert_told_as_what_it_is(run, intact, path, whole=False)
    for path in deleted(run):
        assert_told_as_what_it_is(run, intact, path, whole=False)
