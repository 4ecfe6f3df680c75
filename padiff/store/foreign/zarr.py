"""Zarr hierarchies of other tools, of version 2 or 3."""

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType, dtype_named
from padiff.errors import (
    CorruptError,
    FormatError,
    LocationError,
    PadiffError,
    UnreadableError,
)
from padiff.jsonio import Json, Reader, dumps, loads
from padiff.store.files import unreadable
from padiff.store.foreign.contents import Contents, Entry, check_chunks, put
from padiff.store.foreign.directories import is_hidden, is_note, visible
from padiff.store.foreign.elements import element_of
from padiff.store.format import ATTRIBUTE
from padiff.store.media.base import Medium
from padiff.store.ours import is_array_of_ours, refuse_ours
from padiff.store.storage import MOST_DECODED
from padiff.store.zarr.array import LONGEST_DOCUMENT, ZarrChunks
from padiff.store.zarr.codecs import Chain, decode_version_2
from padiff.store.zarr.document import DOCUMENT, Layout, layout_of
from padiff.store.zarr.shards import ABSENT

__all__ = ["is_hierarchy", "read_zarr"]

KIND = "a Zarr hierarchy"
_ARRAY_2 = ".zarray"
_GROUP_2 = ".zgroup"
_MARKS = (DOCUMENT, _ARRAY_2)
_DEEPEST = 64


def is_hierarchy(path: Path) -> bool:
    """Whether a directory is a group or an array, or some tool that writes no groups filled it.

    That is one that has such in it and below, and nothing else.
    """
    found = False
    for folder, names, folders in visible(path):
        if any(mark in names for mark in (*_MARKS, _GROUP_2)):
            if folder == path:
                return True
            found = True
            folders.clear()
        elif not all(map(is_note, names)):
            return False
    return found


def _arrays(medium: Medium) -> Iterator[tuple[str, str, Json | None]]:
    """The arrays of a hierarchy by their paths, and the documents that make them such.

    With their contents where these were needed for that.
    """
    left = [""]
    while left:
        name = left.pop()
        mark = next((mark for mark in _MARKS if medium.has(_in(name, mark))), "")
        values = _document_3(medium, _in(name, mark)) if mark == DOCUMENT else None
        if mark == _ARRAY_2 or (values is not None and values.get("node_type") == "array"):
            # of a path that leads into a store, the section may be the last name but one
            names = (*Path(medium.location).parts[-2:], *name.split("/"))
            if values is not None and is_array_of_ours(names, values):
                raise refuse_ours(medium.location, name)
            yield name, mark, values
        elif name.count("/") < _DEEPEST:
            left += [_in(name, each) for each in reversed(_below(medium, name))]


def _below(medium: Medium, group: str) -> list[str]:
    """The names below a group; none where there is no such thing, or it is a link."""
    try:
        return [name for name in medium.directories(group) if not is_hidden(name)]
    except UnreadableError:
        raise
    except (CorruptError, LocationError):
        return []


def _in(group: str, name: str) -> str:
    return f"{group}/{name}".lstrip("/")


def _document_3(medium: Medium, document: str) -> Json:
    """What a document of version 3 says; CorruptError where it is that of a group of ours."""
    found = _text_of(medium, document)
    attributes = found.get("attributes")
    if isinstance(attributes, dict) and ATTRIBUTE in attributes:
        raise refuse_ours(medium.location, document)
    return found


def _text_of(medium: Medium, document: str) -> Json:
    where = f"{medium.location}/{document}"
    try:
        return loads(medium.document(document, LONGEST_DOCUMENT), where)
    except PadiffError:
        raise
    except OSError as error:
        raise unreadable(where, error) from None


def read_zarr(medium: Medium) -> Contents | None:
    """The arrays of a hierarchy, with dots between the names of groups; None where there are none.

    Some tools write no groups.
    """
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for name, mark, values in _arrays(medium):
        document = _in(name, mark)
        dotted = name.replace("/", ".") or Path(medium.location).name.partition(".")[0]
        try:
            held = _text_of(medium, document) if values is None else values
            found = Reader(held, f"{medium.location}/{document}")
            put(entries, dotted, _entry(medium, name, found), medium.location)
        except CorruptError:
            raise
        except FormatError as error:
            refused[dotted] = str(error)
    return Contents(KIND, "", entries, refused) if entries or refused else None


def _entry(medium: Medium, name: str, document: Reader) -> Entry:
    if document.values.get("zarr_format") == 2:
        layout = _layout_2(document)
    else:
        layout = layout_of(_as_ours(document))
    check_chunks(layout.shape, layout.chunk_shape)
    fill = _filled(document.values.get("fill_value"), layout.element)
    of_version_2 = document.values if document.values.get("zarr_format") == 2 else None
    prefix = of_version_2 is None and _keys(document) == "default"
    return Entry(
        layout.shape,
        layout.element,
        lambda: _Chunks(medium, name, layout, fill, of_version_2, prefix=prefix),
    )


def _keys(document: Reader) -> str:
    return document.object("chunk_key_encoding").choice("name", ("default", "v2"))


def _as_ours(document: Reader) -> bytes:
    """A document of version 3 with what others may leave out, or spell in another way."""
    values = dict(document.values)
    keys = document.object("chunk_key_encoding")
    usual = "/" if keys.choice("name", ("default", "v2")) == "default" else "."
    given = keys.values.get("configuration")
    separator = given.get("separator", usual) if isinstance(given, dict) else usual
    values["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": separator}}
    values.setdefault("attributes", {})
    return dumps(values).encode(errors="surrogatepass")


def _layout_2(document: Reader) -> Layout:
    kind = document.string("dtype")
    try:
        element = dtype_named(kind)
    except FormatError:
        element = element_of(_numpy_type(kind))
    shape, chunk_shape = document.shape("shape"), document.shape("chunks")
    if len(shape) != len(chunk_shape) or 0 in chunk_shape:
        raise FormatError(f"its chunks of {list(chunk_shape)} do not fit its shape {list(shape)}")
    if prod(chunk_shape) * element.itemsize > MOST_DECODED:
        raise FormatError(f"its chunks of {list(chunk_shape)} are too large to be read whole")
    raw = not document.has("compressor") and not document.values.get("filters")
    order = document.choice("order", ("C", "F"))
    separator = "."
    if document.has("dimension_separator"):
        separator = document.choice("dimension_separator", (".", "/"))
    is_raw = raw and order == "C" and not (kind.startswith(">") and element.itemsize > 1)
    return Layout(shape, element, chunk_shape, separator, None if is_raw else "", None)


def _numpy_type(kind: str) -> np.dtype[Any]:
    try:
        return np.dtype(kind)
    except (SyntaxError, TypeError, ValueError):
        raise FormatError(f"its elements are {kind:.40}, which padiff does not compare") from None


def _filled(value: Any, element: DType) -> NDArray[Any]:
    """One element that stands for those of chunks that are not there."""
    try:
        if isinstance(value, str) and value.startswith("0x"):
            bits = np.array(int(value, 16), f"u{element.itemsize}")
            return bits.view(element.numpy)
        if isinstance(value, list):
            value = complex(*(float(part) for part in value))
        number = float(value) if isinstance(value, str) else 0 if value is None else value
        return np.array(number).astype(element.numpy)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"its fill value is {value!r:.40}, which is none of its type") from None


class _Chunks(ZarrChunks):
    """An array whose chunks need not all be there."""

    def __init__(
        self,
        medium: Medium,
        path: str,
        layout: Layout,
        fill: NDArray[Any],
        of_version_2: Json | None,
        *,
        prefix: bool,
    ) -> None:
        super().__init__(medium, path, layout)
        self._fill_value, self._document = fill, of_version_2
        self._prefix = prefix

    def _object(self, index: tuple[int, ...]) -> str:
        if self._prefix:
            return super()._object(index).lstrip("/")
        if self._layout.shards is not None:
            index, _ = self._layout.shards.place(index)
        name = self._layout.separator.join(map(str, index)) or "0"
        return f"{self._path}/{name}".lstrip("/")

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        try:
            if self._layout.shards is None or self._is_there(index):
                return super()._open_chunk(index)
        except CorruptError:
            if self._is_there(index):  # which is the rare case, and takes time to find out
                raise
        filled = np.broadcast_to(self._fill_value, self.chunk_shape).copy()
        filled.flags.writeable = False
        return filled

    def _fill(
        self, out: NDArray[Any], index: tuple[int, ...], selection: tuple[slice, ...]
    ) -> None:
        if self._is_there(index):
            if self._layout.chain is None and self._layout.shards is None:
                self.check_present(index)  # or what is too long would be taken for one
            super()._fill(out, index, selection)
        else:
            out[...] = self._fill_value

    def _is_there(self, index: tuple[int, ...]) -> bool:
        name, shards = self._object(index), self._layout.shards
        if not self._medium.has(name):
            return False
        return shards is None or self._entry(shards, index, name) != (ABSENT, ABSENT)

    def _codecs(self, chain: Chain) -> Sequence[object]:
        if self._document is None:
            return super()._codecs(chain)
        filters, compressor = self._document.get("filters") or (), self._document["compressor"]
        return [codec["id"] for codec in (*filters, *([compressor] if compressor else []))]

    def _decode(self, data: Any, chain: Chain) -> NDArray[Any]:
        if self._document is None:
            return super()._decode(data, chain)
        return decode_version_2(bytes(data), self.element, self._document)
