"""The functions that check one section of two dumps, log what they find, and answer yes or no."""

from collections.abc import Iterable, Mapping
from typing import Any

from padiff.batches import compare_batches
from padiff.comparing.criterion import Criterion
from padiff.comparing.engine import compare
from padiff.errors import UsageError
from padiff.render.terminal import render
from padiff.store.address import Location
from padiff.store.format import SectionName

__all__ = ["check_dataloader", "check_grads", "check_params", "check_report", "check_weights"]

_ARGUMENTS = {"atol": "atol", "rtol": "rtol", "compare_mode": "mode"}


def check_report(
    report_path_0: Location, report_path_1: Location, cfg: Mapping[str, Any] | None = None
) -> bool:
    """Whether the layers of two runs gave the same numbers, forward and backward, in every step.

    `report_path_0` and `report_path_1` are what `dump_report` or `try_dump` was given; the first
    is the reference.
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


def check_dataloader(first: Iterable[Any], second: Iterable[Any], **cfg: Any) -> bool:
    """Whether two data loaders give the same batches, whatever these are made of.

    Tensors of either framework, NumPy arrays, numbers and texts are compared, in tuples, lists,
    dicts and dataclasses within one another; `first` is the reference, `second` is held against it.
    `cfg` is that of `check_report`. Where the loaders part is logged to standard output: in which
    batch, at which place of it, by how much; or after how many batches one of them ends.

    Raises ValueError for another option, TypeError for what cannot be iterated over.
    """
    outcome = compare_batches(first, second, Criterion(**_arguments(cfg)))
    print("\n".join(outcome.lines))
    print(f"check_dataloader: {'SUCCESS' if outcome.aligned else 'FAILED'}\n", flush=True)
    return outcome.aligned


def _check(
    section: SectionName, base: Location, raw: Location, cfg: Mapping[str, Any] | None
) -> bool:
    comparison = compare(base, raw, sections=[section], **_arguments(cfg))
    print(render(comparison), end="")
    outcome = "SUCCESS" if comparison.aligned else "FAILED"
    print(f"check_{section}: {outcome}\n", flush=True)
    return comparison.aligned


def _arguments(cfg: Mapping[str, Any] | None) -> dict[str, Any]:
    """A user's cfg by the names that `compare` has for the same; UsageError for another key."""
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
    return {_ARGUMENTS[key]: value for key, value in options.items()}
