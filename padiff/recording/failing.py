"""What becomes of a training whose dumps cannot be written."""

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

from padiff.errors import PadiffError, PadiffWarning, UsageError

__all__ = ["Failing", "OnError"]

OnError = Literal["raise", "warn"]


@dataclass(frozen=True, slots=True)
class Failing:
    """Around a dump: what the store refuses is an error, or with `warn` a PadiffWarning.

    A UsageError is an error always. Raises one itself for another word than these.
    """

    on_error: OnError

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            known = " or ".join(map(repr, get_args(OnError)))
            raise UsageError(f"expected on_error to be {known}, got {self.on_error!r}")

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        is_ours = isinstance(error, PadiffError) and not isinstance(error, UsageError)
        if self.on_error == "raise" or not is_ours:
            return False
        warnings.warn(str(error), PadiffWarning, stacklevel=3)  # the line of who dumps
        return True
