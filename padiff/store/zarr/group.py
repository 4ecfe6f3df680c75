"""One Zarr group: its document, reading and making it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from padiff.errors import (
    CorruptError,
    FormatError,
    LocationError,
    OccupiedError,
    PadiffError,
    UnreadableError,
)
from padiff.jsonio import Json, Reader, dumps, loads
from padiff.store.files import unreadable
from padiff.store.format import ATTRIBUTE, LONGEST_HEADER, SECTIONS, header_text, is_sealed
from padiff.store.media.base import Medium
from padiff.store.zarr.document import DOCUMENT

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
# What stands around the one attribute of a group that we write.
_BEFORE, _AFTER = group_document({ATTRIBUTE: None}).split(b"null")


def section_document(header: bytes) -> bytes:
    """The `zarr.json` of a section, from the JSON text of its header."""
    return _BEFORE + header + _AFTER


def header_of(medium: Medium, group: str) -> bytes:
    """The JSON text of the attribute of ours, as it was written; empty where there is none."""
    document = _read(medium, group)
    if found := _sealed_in(document):
        return found
    # another tool has set the text anew, or added attributes
    where = f"{medium.location}/{_document(group)}"
    return header_text(_attributes_in(loads(document, where), where).get(ATTRIBUTE))


def _sealed_in(document: bytes) -> bytes:
    """The text of the attribute of ours in a document as we write it; empty in any other."""
    text = document[len(_BEFORE) : -len(_AFTER)]
    as_written = document.startswith(_BEFORE) and document.endswith(_AFTER)
    return text if as_written and is_sealed(text) else b""


def attributes_of(medium: Medium, group: str) -> Json:
    """All attributes of a group; LocationError where there is none, FormatError for another."""
    where = f"{medium.location}/{_document(group)}"
    return _attributes_in(loads(_read(medium, group), where), where)


def _attributes_in(data: Json, where: str) -> Json:
    if data.get("zarr_format") != 3 or Reader(data, where).string("node_type") != "group":
        raise FormatError(f"expected a Zarr version 3 group in {where}, found something else")
    attributes = data.get("attributes", {})
    if not isinstance(attributes, dict):
        raise FormatError(f"expected attributes to be an object in {where}")
    return attributes


def check_document(medium: Medium, group: str) -> None:
    """CorruptError when a group's document does not mean what a writer of ours made it mean."""
    where = f"{medium.location}/{_document(group)}"
    try:
        document = _read(medium, group)
        if document == PLAIN_GROUP or _sealed_in(document):
            return
        values = loads(document, where)
        attributes = _attributes_in(values, where)
    except UnreadableError:
        raise
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
    if len(document) == len(written) and not _same_bytes(document, written):
        raise CorruptError(
            f"expected {where} as it was written, found another byte in it: "
            "it was changed after it was written, so dump it again"
        )


def _same_bytes(a: bytes, b: bytes) -> bool:
    """Whether two texts have the same bytes, as many of each."""
    ours, theirs = (np.bincount(np.frombuffer(text, np.uint8), minlength=256) for text in (a, b))
    return np.array_equal(ours, theirs)


def _document(group: str) -> str:
    return f"{group}/{DOCUMENT}" if group else DOCUMENT


def _read(medium: Medium, group: str) -> bytes:
    try:
        longest = LONGEST_HEADER if group.split("/")[-1] in SECTIONS else _LONGEST_DOCUMENT
        return medium.document(_document(group), longest)
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, PadiffError):
            raise
        where = f"{medium.location}/{group}".rstrip("/")
        raise LocationError(f"expected a Zarr group at {where}, found none") from None
    except OSError as error:
        raise unreadable(f"{medium.location}/{_document(group)}", error) from None


def is_group(medium: Medium, path: str) -> bool:
    """Whether a path has the document of a group, or of anything else in a hierarchy."""
    return medium.has(_document(path))


def holds_dumps(medium: Medium, path: str) -> bool:
    """Whether a group is none of a section, nor of one that is damaged."""
    try:
        return ATTRIBUTE not in attributes_of(medium, path)
    except FormatError:
        return False


def make_group(medium: Medium, path: str, document: bytes) -> None:
    """Make a group where nothing is yet; OccupiedError where something else lies."""
    try:
        medium.refuse_occupied(path)
    except OccupiedError:
        if is_group(medium, path):  # another rank has made the same group meanwhile
            return
        raise
    replace_document(medium, path, document)


def replace_document(medium: Medium, path: str, document: bytes) -> None:
    """Write a group's document, in place of an older one at once."""
    medium.replace(_document(path), document)
