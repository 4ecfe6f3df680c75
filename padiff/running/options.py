"""What `auto_diff` is asked for, checked before anything runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args

from padiff.comparing.criterion import Criterion
from padiff.errors import UsageError
from padiff.frameworks.interception import Args, Kwargs

__all__ = ["Options", "arguments", "pair_of"]

DiffPhase = Literal["both", "forward", "backward"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """The keyword options of `auto_diff`; UsageError (a ValueError) for one that makes no sense."""

    auto_init: bool
    atol: float
    rtol: float
    compare_mode: str
    diff_phase: str
    single_step: bool
    steps: int

    def __post_init__(self) -> None:
        Criterion(self.compare_mode, self.atol, self.rtol)  # type: ignore[arg-type]  # it checks
        for name in ("auto_init", "single_step"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(
                    f"expected {name} to be True or False, got {getattr(self, name)!r}"
                )
        if self.diff_phase not in get_args(DiffPhase):
            raise UsageError(
                f"expected diff_phase {', '.join(get_args(DiffPhase))}, got {self.diff_phase!r}"
            )
        if self.diff_phase == "backward" and not self.single_step:
            raise UsageError(
                "expected diff_phase 'backward' with single_step=True alone, got it without: "
                "gradients follow from a forward that is compared too, so ask for 'both'"
            )
        if type(self.steps) is not int or self.steps < 1:
            raise UsageError(f"expected steps to be a whole number from 1, got {self.steps!r}")

    def check_optimizers(self, optimizers: object) -> None:
        """UsageError when there are optimizers and nothing for them to do, or the other way."""
        if optimizers is None and self.steps > 1:
            raise UsageError(
                f"expected optimizers with steps={self.steps}, got none: "
                "without them each step is the same"
            )
        if optimizers is not None and self.diff_phase == "forward":
            raise UsageError(
                "expected no optimizers with diff_phase 'forward', got some: "
                "no gradient is computed that they could apply"
            )

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


def pair_of(name: str, value: object, each: str) -> tuple[Any, Any]:
    """The one for base and the one for raw; TypeError or UsageError says what was expected."""
    expected = f"expected {name} to be a pair (of base, of raw), {each} each"
    if isinstance(value, Mapping | str) or not isinstance(value, Sequence):
        raise TypeError(f"{expected}, got {type(value).__name__}")
    if len(value) != 2:
        raise UsageError(f"{expected}, got {len(value)} of them")
    return value[0], value[1]


def arguments(
    side: str, inputs: object, is_tensor: Callable[[object], bool]
) -> tuple[Args, Kwargs]:
    """What a model is called with: a dict by keyword; a tuple, list or lone tensor by position."""
    if isinstance(inputs, Mapping):
        wrong = [key for key in inputs if not isinstance(key, str)]
        if wrong:
            raise TypeError(
                f"expected the inputs of {side} by the names of arguments, got the key {wrong[0]!r}"
            )
        return (), dict(inputs)
    if is_tensor(inputs):
        return (inputs,), {}
    if isinstance(inputs, tuple | list):
        return tuple(inputs), {}
    raise TypeError(
        f"expected the inputs of {side} as a dict of arguments by name, got "
        f"{type(inputs).__name__}: a tuple or list is taken for arguments by position"
    )
