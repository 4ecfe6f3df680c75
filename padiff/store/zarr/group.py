"""One Zarr group on a local file system: its document, reading and making it."""

import errno
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from padiff.errors import CorruptError, FormatError, LocationError, OccupiedError, PadiffError
from padiff.jsonio import Json, Reader, dumps, loads
from padiff.store.files import Writing, write_file
from padiff.store.format import ATTRIBUTE, LONGEST_HEADER, SECTIONS, header_text, is_sealed
from padiff.store.leftovers import Lock
from padiff.store.zarr.array import DOCUMENT, read_document

__all__ = [
    "DOCUMENT",
    "PLAIN_GROUP",
    "attributes_of",
    "check_document",
    "group_document",
    "header_of",
    "holds_dumps",
    "is_group",
    "make_group",
    "refuse_link",
    "refuse_occupied",
    "replace_document",
    "section_document",
]


def group_document(attributes: Mapping[str, Any]) -> bytes:
    """The `zarr.json` of a group."""
    return dumps({"attributes": attributes, "node_type": "group", "zarr_format": 3}).encode(
        errors="surrogatepass"
    )


PLAIN_GROUP = group_document({})
_LONGEST_DOCUMENT = 2**24  # bytes; another tool may put the documents of all arrays in it
_KEYS = {"attributes", "node_type", "zarr_format"}
_PATIENCE = 2.0  # seconds to wait for one who makes the same group
# What stands around the one attribute of a group that we write.
_BEFORE, _AFTER = group_document({ATTRIBUTE: None}).split(b"null")


def section_document(header: bytes) -> bytes:
    """The `zarr.json` of a section, from the JSON text of its header."""
    return _BEFORE + header + _AFTER


def header_of(group: Path) -> bytes:
    """The JSON text of the attribute of ours, as it was written; empty where there is none."""
    document = _read(group)
    # otherwise another tool has set the text anew, or added attributes
    return _sealed_in(document) or header_text(attributes_of(group).get(ATTRIBUTE))


def _sealed_in(document: bytes) -> bytes:
    """The text of the attribute of ours in a document as we write it; empty in any other."""
    text = document[len(_BEFORE) : -len(_AFTER)]
    as_written = document.startswith(_BEFORE) and document.endswith(_AFTER)
    return text if as_written and is_sealed(text) else b""


def attributes_of(group: Path) -> Json:
    """All attributes of a group; LocationError where there is none, FormatError for another."""
    where = str(group / DOCUMENT)
    data = loads(_read(group), where)
    if data.get("zarr_format") != 3 or Reader(data, where).string("node_type") != "group":
        raise FormatError(f"expected a Zarr version 3 group in {where}, found something else")
    attributes = data.get("attributes", {})
    if not isinstance(attributes, dict):
        raise FormatError(f"expected attributes to be an object in {where}")
    return attributes


def check_document(group: Path) -> None:
    """CorruptError when a group's document does not mean what a writer of ours made it mean."""
    where = str(group / DOCUMENT)
    try:
        document = _read(group)
        if document == PLAIN_GROUP or _sealed_in(document):
            return
        attributes = attributes_of(group)
        values = loads(document, where)
    except (FormatError, LocationError) as error:
        raise CorruptError(f"{error}: it was changed or removed, so dump it again") from None
    for key, value in values.items():
        optional = isinstance(value, dict) and value.get("must_understand") is False
        if key not in _KEYS and not optional:
            raise CorruptError(
                f"expected the keys of a Zarr version 3 group in {where}, found {key!r:.40}: "
                "it was changed after it was written, so dump it again"
            )
    # Another tool that writes the same anew puts in blanks, or the keys in another order. A bit
    # that flipped does neither, and may yet leave the same number: 1e-7 and 1E-7.
    written = group_document(attributes)
    if len(document) == len(written) and Counter(document) != Counter(written):
        raise CorruptError(
            f"expected {where} as it was written, found another byte in it: "
            "it was changed after it was written, so dump it again"
        )


def _read(group: Path) -> bytes:
    try:
        longest = LONGEST_HEADER if group.name in SECTIONS else _LONGEST_DOCUMENT
        return read_document(str(group / DOCUMENT), longest)
    except (FileNotFoundError, NotADirectoryError):
        raise LocationError(f"expected a Zarr group at {group}, found none") from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # which says nothing of what is there
            raise LocationError(
                f"expected to open {group / DOCUMENT}: {error.strerror}; close files or raise "
                "their limit (ulimit -n)"
            ) from None
        raise CorruptError(
            f"expected {group / DOCUMENT} to be readable: {error.strerror or error}"
        ) from None


def is_group(path: Path) -> bool:
    """Whether a directory has the document of a group, or of anything else in a hierarchy.

    A link is taken for one: it is refused when it is opened.
    """
    try:
        return path.is_symlink() or (path / DOCUMENT).is_file()
    except OSError as error:
        raise CorruptError(f"expected {path} to be readable: {error.strerror or error}") from None


def holds_dumps(path: Path) -> bool:
    """Whether a group is none of a section, nor of one that is damaged."""
    try:
        return ATTRIBUTE not in attributes_of(path)
    except PadiffError:
        return False


def refuse_link(path: Path) -> None:
    """OccupiedError for a symbolic link: what is written through it lies who knows where."""
    if path.is_symlink():
        raise OccupiedError(
            f"expected a directory or nothing at {path}, found a symbolic link: "
            "remove it or choose another place, nothing was changed"
        )


def make_group(path: Path, document: bytes) -> None:
    """Make a group where nothing is yet; OccupiedError where something else lies.

    A refusal of the file system leaves nothing of it there.
    """
    try:
        refuse_occupied(path)
    except OccupiedError:
        if (path / DOCUMENT).is_file():  # another rank has made the same group meanwhile
            return
        raise
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        with Writing(path, len(document)):
            path.mkdir(parents=True, exist_ok=True)
        replace_document(path, document)
    except BaseException:
        with suppress(OSError):  # another rank is at work in there
            for folder in made:
                folder.rmdir()
        raise


def refuse_occupied(path: Path) -> None:
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


def replace_document(path: Path, document: bytes) -> None:
    """Write a group's document, in place of an older one at once."""
    with Writing(path / DOCUMENT, len(document)), Lock(path, patience=_PATIENCE) as alone:
        if alone.held:
            for left in path.glob(f".{DOCUMENT}.*"):  # by a writer that was killed
                left.unlink(missing_ok=True)
        beside = path / f".{DOCUMENT}.{uuid.uuid4().hex[:12]}"
        try:
            write_file(beside, document)
            beside.replace(path / DOCUMENT)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
