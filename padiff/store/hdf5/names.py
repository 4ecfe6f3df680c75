"""What files of HDF5 dumps are called, and where a path of names leads among them."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from padiff.errors import CorruptError
from padiff.store.format import SECTIONS, SectionName, has_meaning
from padiff.store.leftovers import PARTIAL

__all__ = [
    "DUMP_FILE",
    "ROOT_DOCUMENT",
    "SUFFIXES",
    "Place",
    "begun_in",
    "file_named",
    "group_named",
    "holds_dump_files",
    "is_number",
    "refuse_link",
    "resolve",
]

SUFFIXES = (".h5", ".hdf5")
ROOT_DOCUMENT = "padiff.json"
DUMP_FILE = "dump.h5"  # in a directory, the dump of no step and no rank
_BEGUN = re.compile(rf"\.(.+)\.({'|'.join(SECTIONS)})\.[^.]*{re.escape(PARTIAL)}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: to a directory of dumps, to a file that is one, or to both.

    `inner` is the rest of the path, inside the file. `directory` is None where none is there.
    """

    directory: Path | None
    file: Path | None
    inner: str = ""


def is_number(name: str) -> bool:
    """Whether a group of that name is a step or a rank."""
    return has_meaning(name) and name not in SECTIONS


def group_named(file: str) -> str:
    """The name of the group that a file is: without the suffix where it is a step or a rank."""
    stem = Path(file).stem
    return stem if is_number(stem) else file


def file_named(directory: Path, group: str) -> Path:
    """The file of a group, the one that is there where there is one."""
    if group.endswith(SUFFIXES):
        return directory / group
    files = [directory / f"{group}{suffix}" for suffix in SUFFIXES]
    return next((file for file in files if file.exists()), files[0])


def begun_in(directory: Path) -> Mapping[str, Mapping[SectionName, str]]:
    """The sections whose writers are at work or were stopped, by group, with their workplaces.

    It is asked for every step of a directory, so the answer is kept as long as nothing is made or
    removed in there. Clocks of file systems are too coarse, by up to two seconds, to tell that of
    what has just changed.
    """
    changed = directory.stat().st_mtime_ns
    begun = _begun_in if time.time_ns() - changed > 3 * 10**9 else _begun_in.__wrapped__
    return begun(str(directory), changed)


@lru_cache(maxsize=64)
def _begun_in(directory: str, changed: int) -> Mapping[str, Mapping[SectionName, str]]:
    found: dict[str, dict[SectionName, str]] = {}
    with os.scandir(directory) as entries:
        hidden = sorted(entry.name for entry in entries if entry.name.startswith("."))
    for name in hidden:
        if match := _BEGUN.fullmatch(name):
            for section in SECTIONS:
                if section == match[2]:
                    found.setdefault(group_named(match[1]), {})[section] = name
    return found


def holds_dump_files(directory: Path, *, nested: bool = True) -> bool:
    """Whether a directory holds dumps of steps or ranks, finished or not, or such directories."""
    for entry in directory.iterdir():
        if is_number(group_named(entry.name)):
            if entry.suffix in SUFFIXES and entry.is_file():
                return True
            below = nested and entry.is_dir() and not entry.is_symlink()
            if below and holds_dump_files(entry, nested=False):
                return True
    return any(map(is_number, begun_in(directory)))


def refuse_link(path: Path) -> None:
    """CorruptError where a path is a link."""
    if path.is_symlink():
        raise CorruptError(
            f"expected {path} to lie in its store, found a link: put in its place what it leads to"
        )


def resolve(root: Path, path: str) -> Place:
    """Where a path below `root` leads, whether or not something lies there.

    CorruptError where it leads through a link, which may lead out of the root.
    """
    names = path.split("/") if path else []
    if not names or names[0] in SECTIONS:
        file = root / DUMP_FILE
        refuse_link(file)
        return Place(None if names else root, file if file.exists() else None, path)
    directory = root
    for depth, name in enumerate(names):
        file, below = file_named(directory, name), directory / name
        refuse_link(file)
        refuse_link(below)
        inner = names[depth + 1 :]
        is_directory = below.is_dir()
        if not inner:
            return Place(
                below if is_directory else None, file if file != below or not is_directory else None
            )
        if not is_directory or (inner[0] in SECTIONS and file.is_file()):
            return Place(None, file, "/".join(inner))
        directory = below
    return Place(directory, None)
