"""Attacks by their names: each writes into a directory what is to be read."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["ATTACKS", "Attack", "attack", "several"]

Attack = Callable[[Path], Path]
ATTACKS: dict[str, Attack] = {}


def attack(write: Attack) -> Attack:
    ATTACKS[write.__name__] = write
    return write


def several(name: str, cases: Mapping[str, Any], write: Callable[[Path, Any], Path]) -> None:
    for each, case in cases.items():
        ATTACKS[f"{name}: {each}"] = partial(_with, write, case)


def _with(write: Callable[[Path, Any], Path], case: Any, path: Path) -> Path:
    return write(path, case)
