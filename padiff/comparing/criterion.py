"""The rule that decides one pair of tensors, and the tolerance it works with."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from padiff.errors import UsageError

__all__ = ["MODES", "Criterion", "Mode"]

Mode = Literal["mean", "strict"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Criterion:
    """Which error of a pair is held against `atol + rtol * abs(base)`.

    `mean`: the mean of the absolute errors against the mean of `abs(base)`; `strict`: every
    element's. Raises UsageError for a mode or tolerance that makes no sense.
    """

    mode: Mode = "mean"
    atol: float = 1e-4
    rtol: float = 1e-7

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"expected the mode {' or '.join(MODES)}, got {self.mode!r}")
        for name in ("atol", "rtol"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise UsageError(f"expected {name} to be a finite number >= 0, got {value!r}")
            # an int would be a tolerance that prints and serialises in another way
            object.__setattr__(self, name, float(value))

    def required_atol(self, mean_abs: float, mean_base: float, excess: float) -> float:
        """The least `atol` with which a pair passes at this `rtol`.

        `excess` is the greatest `abs(raw - base) - rtol * abs(base)` of any element.
        """
        if self.mode == "strict":
            return max(0.0, excess)
        allowed = self.rtol * mean_base
        # where the sum of the values is too large for float64 their mean is not known
        return max(0.0, mean_abs - (allowed if math.isfinite(allowed) else 0.0))

    def accepts(self, required_atol: float) -> bool:
        """Whether a pair that needs `required_atol` is within tolerance."""
        return required_atol <= self.atol
