"""The functions that check one section of two dumps, log what they find, and answer yes or no."""

from collections.abc import Mapping
from typing import Any

from padiff.comparing.engine import compare
from padiff.errors import UsageError
from padiff.render.text import render
from padiff.store.format import SectionName
from padiff.store.location import Location

__all__ = ["check_grads", "check_params", "check_report", "check_weights"]

_ARGUMENTS = {"atol": "atol", "rtol": "rtol", "compare_mode": "mode"}


def check_report(
    report_path_0: Location, report_path_1: Location, cfg: Mapping[str, Any] | None = None
) -> bool:
    """Whether the layers of two runs gave the same numbers, forward and backward, in every step.

    The paths are those that `dump_report` or `try_dump` was given; the first is the reference.
    `cfg` may set `atol` (1e-4), `rtol` (1e-7) and `compare_mode` (`"mean"` or `"strict"`). What was
    found is logged to standard output.

    Raises ValueError for another key or a value that makes no sense, and what `padiff.compare`
    raises for a location that cannot be compared.
    """
    return _check("report", report_path_0, report_path_1, cfg)


def check_params(
    report_path_0: Location, report_path_1: Location, cfg: Mapping[str, Any] | None = None
) -> bool:
    """Whether parameters and their gradients, as `dump_params` wrote them, are the same.

    See `check_report` for the arguments.
    """
    return _check("params", report_path_0, report_path_1, cfg)


def check_weights(
    report_path_0: Location, report_path_1: Location, cfg: Mapping[str, Any] | None = None
) -> bool:
    """Whether parameters, as `dump_weights` wrote them, are the same.

    After a step of the optimizers it tells whether these do the same. See `check_report` for the
    arguments.
    """
    return _check("weights", report_path_0, report_path_1, cfg)


def check_grads(
    report_path_0: Location, report_path_1: Location, cfg: Mapping[str, Any] | None = None
) -> bool:
    """Whether the parameters' gradients, as `dump_grads` wrote them, are the same.

    See `check_report` for the arguments.
    """
    return _check("grads", report_path_0, report_path_1, cfg)


def _check(
    section: SectionName, base: Location, raw: Location, cfg: Mapping[str, Any] | None
) -> bool:
    options = {} if cfg is None else cfg
    if not isinstance(options, Mapping):
        raise UsageError(
            f"expected cfg to be a dict of {', '.join(_ARGUMENTS)}, got {options!r}: "
            "leave it out for the defaults"
        )
    unknown = sorted(str(key) for key in options if key not in _ARGUMENTS)
    if unknown:
        raise UsageError(
            f"expected cfg to have the keys {', '.join(_ARGUMENTS)}, got {', '.join(unknown)}"
        )
    arguments = {_ARGUMENTS[key]: value for key, value in options.items()}
    comparison = compare(base, raw, sections=[section], **arguments)
    print(render(comparison), end="")
    outcome = "SUCCESS" if comparison.aligned else "FAILED"
    print(f"check_{section}: {outcome}\n", flush=True)
    return comparison.aligned
