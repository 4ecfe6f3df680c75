"""How far a comparison of many steps is, while it goes on."""

from collections.abc import Callable

from padiff.comparing.streaming import Progress

__all__ = ["Told"]

_COMPARING = 0.25  # of the time that a step takes whose pairs are looked at once more


class Told:
    """What `progress` is told: the share of all steps that is done, and the bytes read for them."""

    def __init__(
        self, progress: Callable[[float, int], None] | None, steps: int, *, close_ups: bool
    ) -> None:
        self._progress, self._steps = progress, steps
        self._comparing = _COMPARING if close_ups else 1
        self._done = -1
        self._bytes = 0

    def of_next_step(self) -> Progress | None:
        """What to call while that step is compared."""
        self._done += 1
        return self._between(0, self._comparing)

    def of_close_ups(self) -> Progress | None:
        """What to call while pairs of that step are looked at once more."""
        return self._between(self._comparing, 1)

    def _between(self, begin: float, end: float) -> Progress | None:
        progress, before = self._progress, self._bytes
        if progress is None:
            return None

        def tell(done: int, total: int, read: int) -> None:
            self._bytes = before + read
            share = begin + (end - begin) * (done / total if total else 1)
            progress((self._done + share) / self._steps, self._bytes)

        return tell
