"""Arrays as NumPy saves them: `.npy`, directories of them, and `.npz`."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from padiff.errors import CorruptError, FormatError
from padiff.store.foreign.contents import Contents, Entry, put
from padiff.store.foreign.directories import is_hidden, is_note, visible
from padiff.store.foreign.elements import element_of, swapped
from padiff.store.foreign.values import sizes_of
from padiff.store.foreign.zips import Checksum, Inflated, Member, check_once, check_unpacked
from padiff.store.raw import OpenFile, RawArray, RawFile, strides_of

__all__ = ["MAGIC", "entry_of_file", "entry_of_npy", "read_npy", "read_npy_directory", "read_npz"]

MAGIC = npy.MAGIC_PREFIX
_LEAD = 12  # bytes before a header, with its length
_LONGEST = 2**14  # bytes of a header
_LONG = re.compile(r"(\d)L\b")  # as Python 2 spelled numbers


def entry_of_npy(
    file: RawFile,
    where: str,
    start: int = 0,
    stop: int | None = None,
    check: Callable[[], None] | None = None,
) -> Entry:
    """The array of a `.npy` file, or of a part of a file that is one.

    FormatError without the place where padiff does not compare its elements.
    """
    stop = file.size if stop is None else stop
    try:
        shape, fortran, dtype, offset = _header(file, start, stop)
    except (*(LookupError, MemoryError, RecursionError), *(SyntaxError, TypeError, ValueError)):
        raise CorruptError(
            f"expected an array as NumPy saves it at {where}, found a header that cannot be read: "
            "it was cut short or changed, so make it again"
        ) from None
    element = element_of(dtype)
    strides = strides_of(shape, element.itemsize)
    if fortran:
        strides = strides_of(shape[::-1], element.itemsize)[::-1]
    if offset + prod(shape) * element.itemsize != stop:
        raise CorruptError(
            f"expected {prod(shape)} elements of {element.name} at {where}, as its header says, "
            f"found {max(0, stop - offset)} bytes: it was cut short or changed, so make it again"
        )
    is_swapped = swapped(dtype)
    return Entry(
        shape,
        element,
        lambda: RawArray(
            file, where, shape, element, offset, strides, swapped=is_swapped, check=check
        ),
    )


def _header(
    file: RawFile, start: int, stop: int
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether it is in Fortran's order, type, and where the elements begin in the file.

    NumPy's own reader of it may print warnings.
    """
    lead = bytes(file.part(start, min(_LEAD, stop - start)))
    width = {1: 2, 2: 4, 3: 4}[lead[len(MAGIC)]]  # of the length, by the version
    begin = len(MAGIC) + 2 + width
    length = int.from_bytes(lead[begin - width : begin], "little")
    if not lead.startswith(MAGIC) or length > _LONGEST or begin + length > stop - start:
        raise ValueError("no header")
    text = bytes(file.part(start + begin, length)).decode()
    return (*_parsed(text), start + begin + length)


@lru_cache(1024)  # thousands of files have a few headers
def _parsed(text: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    values = ast.literal_eval(_LONG.sub(r"\1", text).strip())
    return (
        sizes_of(values["shape"]),
        bool(values["fortran_order"]),
        npy.descr_to_dtype(values["descr"]),
    )


def read_npy(path: Path) -> Contents:
    """One array, called as its file is."""
    file = OpenFile(path)
    try:
        return Contents("a .npy file", "", {path.stem: entry_of_npy(file, str(path))})
    except CorruptError:
        raise
    except FormatError as error:
        raise FormatError(f"expected an array that padiff compares at {path}: {error}") from None


def read_npy_directory(path: Path) -> Contents | None:
    """All arrays in and below a directory, called as their files are; None where it is not of such.

    It is where some lie right in it, or nothing else lies in it and below.
    """
    files: list[Path] = []
    is_one = False
    for folder, names, _ in visible(path):
        found = [name for name in names if name.endswith(".npy") and not is_hidden(name)]
        is_one = is_one or (folder == path and bool(found))
        if not is_one and not all(name in found or is_note(name) for name in names):
            return None
        files += [folder / name for name in found]
    return _of_files(path, sorted(files)) if files else None


def _of_files(path: Path, files: Iterable[Path]) -> Contents:
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for found in files:
        name = ".".join(found.relative_to(path).with_suffix("").parts)
        try:
            put(entries, name, entry_of_file(found), str(path))
        except CorruptError:
            raise
        except FormatError as error:
            refused[name] = str(error)
    return Contents("a directory of .npy files", "", entries, refused)


def entry_of_file(path: Path) -> Entry:
    """The array of a file, which is open as long as somebody reads it: there may be thousands."""
    found = entry_of_npy(OpenFile(path), str(path))
    return Entry(found.shape, found.element, lambda: entry_of_npy(OpenFile(path), str(path)).open())


def read_npz(file: OpenFile, members: Mapping[str, Member]) -> Contents:
    """The arrays of a `.npz` file, packed or not, by the members of this zip file."""
    check_once(file, members)
    check_unpacked(file, members)
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for member, found in members.items():
        name = member.removesuffix(".npy").replace("/", ".")
        if name == member:
            refused[name] = "it is no array"
            continue
        try:
            put(entries, name, _entry_of_member(file, member, found), str(file.path))
        except CorruptError:
            raise
        except FormatError as error:
            refused[name] = str(error)
    return Contents("a .npz file", "", entries, refused)


def _entry_of_member(file: OpenFile, name: str, member: Member) -> Entry:
    where, check = f"{file.path}/{name}", Checksum(file, name, member)
    if not member.packed:
        return entry_of_npy(file, where, member.offset, member.offset + member.size, check)
    found = entry_of_npy(Inflated(file, name, member), where)
    return Entry(
        found.shape,
        found.element,
        lambda: entry_of_npy(Inflated(file, name, member), where, check=check).open(),
    )
