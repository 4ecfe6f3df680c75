"""The Zarr version 3 backend on a local file system: groups, and sections while they are written.

Documents and raw chunks are plain files, so they are written and memory-mapped directly: a small
array costs a fifteenth of what it does through a general Zarr library, which reads it all the same.
"""

import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from padiff.dtypes import DType
from padiff.errors import (
    CorruptError,
    FormatError,
    LocationError,
    OccupiedError,
    PadiffError,
)
from padiff.jsonio import Json, Reader, dumps, loads
from padiff.store.base import PartialSection, Store
from padiff.store.exchange import put_in_place
from padiff.store.files import Writing, write_file, write_pieces
from padiff.store.format import (
    ATTRIBUTE,
    SECTIONS,
    check_root,
    digest,
    header_text,
    is_sealed,
    root_attributes,
)
from padiff.store.leftovers import begin_directory, remove_leftovers
from padiff.store.zarr_array import (
    DOCUMENT,
    ZarrArray,
    array_document,
    chunk_key,
    read_document,
)

__all__ = ["DOCUMENT", "ZarrArray", "ZarrPartialSection", "ZarrStore"]

_PARTIAL = ".partial"


def _group_document(attributes: Mapping[str, Any]) -> bytes:
    return dumps({"attributes": attributes, "node_type": "group", "zarr_format": 3}).encode(
        errors="surrogatepass"
    )


_PLAIN_GROUP = _group_document({})
# What stands around the one attribute of a group that we write.
_BEFORE, _AFTER = _group_document({ATTRIBUTE: None}).split(b"null")


class ZarrPartialSection(PartialSection):
    """A section in a hidden directory beside the place it will take."""

    def __init__(self, dump: Path, name: str) -> None:
        self._final = dump / name
        if not (self._final / DOCUMENT).is_file():
            _refuse_occupied(self._final)
        elif _holds_dumps(self._final):
            raise OccupiedError(
                f"expected a {name} or nothing at {self._final}, found a directory that was dumped "
                "to: choose another place, nothing was changed"
            )
        self._path = dump / f".{name}.{uuid.uuid4().hex[:12]}{_PARTIAL}"
        self._groups: set[str] = set()
        remove_leftovers(dump, f".{name}.*{_PARTIAL}")
        with Writing(self._path, 0):
            self._lock = begin_directory(self._path)

    def create_array(
        self,
        path: str,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        dims: Sequence[str],
    ) -> str:
        # texts, not Paths, which cost more than the system's own part of a small file
        group, array = f"{self._path}/{path.rpartition('/')[0]}", f"{self._path}/{path}"
        document = array_document(shape, element, chunk_shape, dims)
        with Writing(array, len(document)):
            if group not in self._groups:
                os.mkdir(group)  # noqa: PTH102
                write_file(f"{group}/{DOCUMENT}", _PLAIN_GROUP)
                self._groups.add(group)
            os.mkdir(array)  # noqa: PTH102
        write_file(f"{array}/{DOCUMENT}", document)
        return digest(document)

    def write_chunk(
        self, path: str, index: tuple[int, ...], pieces: Iterable[memoryview], size: int
    ) -> None:
        write_pieces(f"{self._path}/{path}/{chunk_key(index)}", pieces, size)

    def commit(self, header: bytes) -> None:
        write_file(self._path / DOCUMENT, _BEFORE + header + _AFTER)
        with Writing(self._final, 0):
            put_in_place(self._path, self._final)
        self.discard()

    def discard(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class ZarrStore(Store):
    """A Zarr hierarchy whose root is the directory `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def location(self) -> str:
        return str(self._root)

    def _document(self, path: str) -> bytes:
        document = self._root / path / DOCUMENT
        try:
            return read_document(str(document))
        except (FileNotFoundError, NotADirectoryError):
            raise LocationError(f"expected a Zarr group at {document.parent}, found none") from None
        except OSError as error:
            raise CorruptError(
                f"expected {document} to be readable: {error.strerror or error}"
            ) from None

    def header(self, path: str) -> bytes:
        document = self._document(path)
        if document.startswith(_BEFORE) and document.endswith(_AFTER):
            text = document[len(_BEFORE) : -len(_AFTER)]
            if is_sealed(text):
                return text
        # another tool has set the text anew, or added attributes
        return header_text(self.attributes(path).get(ATTRIBUTE))

    def attributes(self, path: str) -> Json:
        document = self._root / path / DOCUMENT
        data = loads(self._document(path), str(document))
        reader = Reader(data, str(document))
        if data.get("zarr_format") != 3 or reader.string("node_type") != "group":
            raise FormatError(
                f"expected a Zarr version 3 group in {document}, found something else"
            )
        attributes = data.get("attributes", {})
        if not isinstance(attributes, dict):
            raise FormatError(f"expected attributes to be an object in {document}")
        return attributes

    def groups(self, path: str) -> list[str]:
        return [
            name
            for name in self._directories(path)
            if not name.startswith(".") and _is_group(self._root / path / name)
        ]

    def unfinished(self, path: str) -> dict[str, str]:
        finished = set(self.groups(path))
        found = {}
        for name in self._directories(path):
            section = name[1:].split(".")[0] if name.endswith(_PARTIAL) else name
            if section not in finished and not section.startswith("."):
                found[section] = f"{path}/{name}".lstrip("/")
        return found

    def _directories(self, path: str) -> list[str]:
        try:
            with os.scandir(self._root / path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except OSError as error:
            raise LocationError(
                f"expected a directory at {self._root / path}: {error.strerror or error}"
            ) from None

    def array(self, path: str) -> ZarrArray:
        return ZarrArray(f"{self._root}/{path}")

    def begin_section(self, path: str, name: str) -> ZarrPartialSection:
        self.create()
        dump = self._root
        for part in Path(path).parts:
            dump = dump / part
            if not (dump / DOCUMENT).exists():
                _make_group(dump, _PLAIN_GROUP)
            elif part in SECTIONS and not _holds_dumps(dump):
                raise OccupiedError(
                    f"expected a place for {name} outside of what was dumped, got one inside "
                    f"{dump}: choose another place, nothing was changed"
                )
        return ZarrPartialSection(dump, name)

    def create(self, claim: Mapping[str, str] | None = None) -> None:
        """Make the root, or check that what lies there is a store that may be added to.

        `claim` replaces the claim of an existing root.
        """
        root = self._root
        if root.is_dir() and (root / DOCUMENT).exists():
            check_root(self.attributes(""), str(root))
            if claim is None:
                return
        else:
            _make_group(root, _group_document(root_attributes(claim)))
            return
        _replace_document(root, _group_document(root_attributes(claim)))


def _holds_dumps(path: Path) -> bool:
    """Whether a group is none of a section, nor of one that is damaged."""
    try:
        return ATTRIBUTE not in ZarrStore(path).attributes("")
    except PadiffError:
        return False


def _is_group(path: Path) -> bool:
    try:
        return (path / DOCUMENT).is_file()
    except OSError as error:
        raise CorruptError(f"expected {path} to be readable: {error.strerror or error}") from None


def _make_group(path: Path, document: bytes) -> None:
    """Make a group where nothing is yet; OccupiedError where something else lies."""
    try:
        _refuse_occupied(path)
    except OccupiedError:
        if (path / DOCUMENT).is_file():  # another rank has made the same group meanwhile
            return
        raise
    with Writing(path, len(document)):
        path.mkdir(parents=True, exist_ok=True)
    _replace_document(path, document)


def _refuse_occupied(path: Path) -> None:
    """OccupiedError where something lies that is no group."""
    if path.is_dir():
        # hidden files may be those of another rank that makes the same group just now
        occupied = any(not entry.name.startswith(".") for entry in path.iterdir())
    else:
        occupied = path.exists() or path.is_symlink()
    if occupied:
        kind = "a directory with other files" if path.is_dir() else "a file"
        raise OccupiedError(
            f"expected a padiff store or nothing at {path}, found {kind}: "
            "choose another place, nothing was changed"
        )


def _replace_document(path: Path, document: bytes) -> None:
    beside = path / f".{DOCUMENT}.{uuid.uuid4().hex[:12]}"
    write_file(beside, document)
    with Writing(path / DOCUMENT, len(document)):
        beside.replace(path / DOCUMENT)
