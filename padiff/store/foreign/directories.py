"""What tells a directory of arrays from one that happens to have some below: a project, a disk."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from padiff.store.files import unreadable
from padiff.store.leftovers import PARTIAL

__all__ = ["is_hidden", "is_note", "visible"]

_NOTES = (".json", ".txt", ".md", ".yaml", ".yml", ".csv", ".log")


def visible(path: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """The directories at and below a path, each with its files, and with those that come next.

    These may be taken out. None is hidden, or a link. Raises what reading one of them does.
    """
    for folder, folders, names in os.walk(path, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield Path(folder), names, folders


def _refuse(error: OSError) -> NoReturn:
    raise unreadable(error.filename, error) from None


def is_hidden(name: str) -> bool:
    """Whether a file or directory is none to look at; where we write is, to be told from others."""
    return name.startswith(".") and not name.endswith(PARTIAL)


def is_note(name: str) -> bool:
    """Whether a file may lie beside arrays: of JSON or text, or hidden."""
    return is_hidden(name) or name.endswith(_NOTES)
