"""Assertions for tests, whatever runs them: `assert_aligned`."""

import shlex
from collections.abc import Collection, Sequence
from typing import TypedDict, Unpack

from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.errors import PadiffError
from padiff.keywords import check_keywords
from padiff.render.terminal import render
from padiff.render.words import clean
from padiff.store.address import Location

__all__ = ["Options", "assert_aligned"]

_LONGEST_COMMAND = 10_000
_FLAGS = {  # of padiff-check, for the options that have another name there
    "sections": "--section",
    "steps": "--step",
    "ranks": "--rank",
    "layers": "--layer",
    "name_map": "--map",
    "strict_structure": "--strict-structure",
    "digests": "--no-digest",
}


class Options(TypedDict, total=False):
    """What `padiff.compare` takes beside the two locations; its defaults hold for what is left out.

    `jobs` is a number of threads; see there for the others.
    """

    sections: Sequence[str] | None
    phase: str
    mode: str
    atol: float
    rtol: float
    steps: Collection[int] | None
    ranks: Collection[int] | None
    layers: Sequence[str] | None
    rename: Sequence[str]
    name_map: Location | None
    strict_structure: bool
    digests: bool
    jobs: int | None
    close_ups: int


def assert_aligned(base: Location, raw: Location, **options: Unpack[Options]) -> Comparison:
    """Fail unless two stores, steps or ranks are aligned, with the text that `padiff-check` prints.

        assert_aligned("torch.zarr", "paddle.zarr", mode="strict", atol=1e-5)

    The options and their defaults are those of `padiff.compare`, and so is what is returned.

    Raises AssertionError where the two are not aligned, TypeError for another option, and what
    `padiff.compare` raises for what makes no sense or cannot be compared.
    """
    __tracebackhide__ = True  # a test's own line is what pytest is to show
    check_keywords("assert_aligned", options, Options.__annotations__)
    try:
        comparison = compare(base, raw, **options)
    except PadiffError as error:
        raise error.with_traceback(None) from None  # it is one sentence, and says all
    if not comparison.aligned:
        command = clean(_command(base, raw, options), _LONGEST_COMMAND)
        raise AssertionError(
            f"{render(comparison)}\nCompare them again, or make a page of it with --html FILE:\n"
            f"  {command}"
        )
    return comparison


def _command(base: Location, raw: Location, options: Options) -> str:
    """What one types to see the same in a terminal."""
    words = ["padiff-check", str(base), str(raw)]
    for name, value in options.items():
        flag = _FLAGS.get(name, f"--{name}")
        if value is None or name == "close_ups":  # which the command has for a page, by itself
            continue
        if isinstance(value, bool):
            words += [flag] if value != (name == "digests") else []
        elif isinstance(value, Collection) and not isinstance(value, str):
            words += [word for each in value for word in (flag, str(each))]
        else:
            words += [flag, str(value)]
    return shlex.join(words)
