"""Directories that the old PaDiff dumped to, as a store."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from padiff.errors import CorruptError, FormatError, LocationError
from padiff.jsonio import Json
from padiff.store.array import Array
from padiff.store.base import Store
from padiff.store.foreign.contents import Entry
from padiff.store.foreign.padiff_json.arrays import Arrays
from padiff.store.foreign.padiff_json.documents import Parameters, Report, read_document
from padiff.store.foreign.padiff_json.files import Files
from padiff.store.foreign.padiff_json.parameters import parameters_tree, reprs_of
from padiff.store.foreign.padiff_json.reports import layer_map_of, report_tree
from padiff.store.format import (
    ATTRIBUTE,
    SECTIONS,
    SectionHeader,
    SectionName,
    has_meaning,
    numbered,
)
from padiff.store.raw import OpenFile
from padiff.tree import LayerTree

__all__ = ["JsonDumps", "json_dumps_at"]

_KIND = "a dump of the old PaDiff"
_TENSORS = "tensors"  # the directory of a report's arrays, which are written before its JSON
_START = 2**16  # bytes of a JSON file, which are enough to know it
_KEYS = (b'"tree"', b'"model_name"')


class JsonDumps(Store):
    """The dumps in a directory: one in itself, or in directories of steps, or of ranks, or both.

    A section is known when its header is asked for, and so are the shapes of its arrays.
    """

    kind = _KIND

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._entries: dict[str, dict[str, Entry]] = {}  # by section

    @property
    def location(self) -> str:
        return str(self._directory)

    def attributes(self, path: str) -> Json:
        if path.rpartition("/")[2] in SECTIONS and self._document(path).is_file():
            return {ATTRIBUTE: {"section": path.rpartition("/")[2]}}
        if not (self._directory / path).is_dir():
            raise LocationError(f"expected a directory at {self._directory / path}, found none")
        return {}

    def header(self, path: str) -> SectionHeader:
        document = self._document(path)
        section = next(name for name in SECTIONS if name == document.stem)
        arrays = Arrays(Files(document))
        found, tree, layer_map = _read(document, section, arrays)
        self._entries[path] = arrays.entries
        return SectionHeader(
            section=section,
            model=found.model_name,
            framework=found.framework,
            framework_version="",
            layer_map=layer_map,
            tree=tree,
            created="",
            foreign=_KIND,
        )

    def identity(self, path: str) -> object:
        try:
            status = self._document(path).stat()
        except OSError:
            return None
        return status.st_ino, status.st_ctime_ns

    def groups(self, path: str) -> list[str]:
        with os.scandir(self._directory / path) as entries:
            return sorted(filter(None, map(_group_of, entries)))

    def unfinished(self, path: str) -> dict[str, str]:
        directory = self._directory / path
        if (directory / _TENSORS).is_dir() and not (directory / "report.json").exists():
            return {"report": f"{path}/{_TENSORS}".lstrip("/")}
        return {}

    def array(self, path: str) -> Array:
        names = path.split("/")
        at = next((at for at, name in enumerate(names) if name in SECTIONS), len(names))
        section, array = "/".join(names[: at + 1]), "/".join(names[at + 1 :])
        entry = self._entries.get(section, {}).get(array)
        if entry is None:
            raise CorruptError(f"expected an array {path} in {self.location}, found none")
        return entry.open()

    def _document(self, path: str) -> Path:
        return self._directory / f"{path}.json"


def _read(
    document: Path, section: SectionName, arrays: Arrays
) -> tuple[Report | Parameters, LayerTree, tuple[str, ...]]:
    if section == "report":
        report = read_document(document, Report)
        reprs = {}
        with suppress(FormatError, LocationError):  # which is told where these are looked at
            reprs = reprs_of(read_document(document.with_stem("params"), Parameters))
        return report, report_tree(report, arrays, reprs), layer_map_of(report)
    held = read_document(document, Parameters)
    return held, parameters_tree(held, section, arrays), ()


def json_dumps_at(path: Path) -> tuple[JsonDumps, str] | None:
    """The dumps that `path` names, or leads into, and the path below them; None for anything else.

    It may name a directory at any level, or a section, as the JSON file that it is or without
    `.json`.
    """
    directory = path
    names: list[str] = []
    if path.stem in SECTIONS and path.with_suffix(".json").is_file():
        directory, names = path.parent, [path.stem]
    if not directory.is_dir() or not _holds_dump(directory):
        return None
    for kind in ("rank", "step"):
        # who types a link means what it leads to
        if numbered(kind, directory.name) is not None and not directory.is_symlink():
            directory, names = directory.parent, [directory.name, *names]
    return JsonDumps(directory), "/".join(names)


def _holds_dump(directory: Path) -> bool:
    """Whether a directory has such a JSON file, or one of a step or a rank in it does."""
    return any(map(_is_document, _documents(directory, 2)))


def _documents(directory: Path, levels: int) -> Iterator[Path]:
    yield from (directory / f"{name}.json" for name in SECTIONS)
    if levels:
        with os.scandir(directory) as entries:
            below = sorted(e.name for e in entries if has_meaning(e.name) and e.is_dir())
        for name in below:
            yield from _documents(directory / name, levels - 1)


def _is_document(path: Path) -> bool:
    """Whether a file is one of the old PaDiff: it has a tree, or was cut short before that."""
    if not path.is_file():
        return False
    start = bytes(OpenFile(path).part(0, _START))
    return not start.strip() or any(key in start for key in _KEYS)


def _group_of(entry: os.DirEntry[str]) -> str | None:
    """The name of a group that a directory's entry is."""
    name = entry.name.removesuffix(".json")
    if name in SECTIONS:
        return name if name != entry.name and entry.is_file() else None
    return name if has_meaning(entry.name) and entry.is_dir() else None
