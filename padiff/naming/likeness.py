"""How alike two names of parameters are, in either framework's words."""

import re
from functools import lru_cache

__all__ = ["similarity", "words_of"]

# What the frameworks, and older files, call the same thing.
_SYNONYMS = {
    "_mean": "running_mean",
    "moving_mean": "running_mean",
    "_variance": "running_var",
    "moving_variance": "running_var",
    "gamma": "weight",
    "beta": "bias",
    "kernel": "weight",
    "embeddings": "weight",
    "scale": "weight",
    "_weight": "weight",
    "w": "weight",
    "b": "bias",
}
_SPLIT = re.compile(r"[^a-z0-9_]+")


@lru_cache(2**16)
def words_of(name: str) -> tuple[str, ...]:
    """The parts of a dotted name, in small letters and each in one spelling."""
    parts = (part for part in _SPLIT.split(name.casefold()) if part)
    return tuple(_SYNONYMS.get(part, part) for part in parts)


@lru_cache(2**18)
def similarity(base: str, raw: str) -> float:
    """From 0 to 1: how much of two names is the same, the ends and the numbers before all."""
    ours, theirs = words_of(base), words_of(raw)
    if ours == theirs:
        return 1.0
    last = 0.4 * (ours[-1:] == theirs[-1:])
    numbers = 0.2 * (_numbers(ours) == _numbers(theirs))
    common = len(set(ours) & set(theirs)) / max(1, len(set(ours) | set(theirs)))
    return last + numbers + 0.39 * common


def _numbers(words: tuple[str, ...]) -> list[str]:
    return [word for word in words if word.isdecimal()]
