"""Options that a function hands on, told as its own where they are unknown."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

__all__ = ["check_keywords"]


def check_keywords(function: str, given: Iterable[str], known: Collection[str]) -> None:
    """TypeError for an option that is not known to `function`, with the name that is near it."""
    __tracebackhide__ = True  # of pytest, which is to show the line that gave it
    for name in given:
        if name not in known:
            near = get_close_matches(name.casefold(), known, 1)
            cure = f"is it {near[0]}?" if near else f"it has {', '.join(sorted(known))}"
            raise TypeError(f"expected an option of {function}, got {name}: {cure}")
