"""Where captured tensors wait between the run that made them and the dump."""

from typing import Any

from numpy.typing import NDArray

__all__ = ["Kept", "Spool"]


class Kept:
    """A tensor in the keeping of a spool, for as long as this object lives."""

    __slots__ = ("_values",)

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def values(self) -> NDArray[Any]:
        """The elements as they were when captured; not to be written to."""
        return self._values


class Spool:
    """Takes tensors in the order they are captured; keeps them in memory."""

    def keep(self, values: NDArray[Any]) -> Kept:
        """Hold on to `values`, which nobody else may change any more."""
        return Kept(values)
