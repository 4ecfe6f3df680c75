"""Arrays as NumPy saves them: `.npy`, directories of them, and `.npz`."""

import io
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import NamedTuple

from numpy.lib import format as npy

from padiff.dtypes import DType
from padiff.errors import CorruptError, FormatError
from padiff.jsonio import LONGEST, MOST_AXES
from padiff.store.foreign.contents import Contents, Entry
from padiff.store.foreign.elements import element_of, swapped
from padiff.store.foreign.zips import Inflated, Member, check_unpacked, members_of
from padiff.store.raw import OpenFile, RawArray, RawFile, strides_of

__all__ = ["MAGIC", "entry_of_file", "entry_of_npy", "read_npy", "read_npy_directory", "read_npz"]

MAGIC = npy.MAGIC_PREFIX
_LONGEST = 2**14  # bytes of a header


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    element: DType
    swapped: bool
    offset: int


def entry_of_npy(file: RawFile, where: str, start: int = 0, stop: int | None = None) -> Entry:
    """The array of a `.npy` file, or of a part of a file that is one.

    FormatError without the place where padiff does not compare its elements.
    """
    stop = file.size if stop is None else stop
    held = bytes(file.part(start, min(_LONGEST, stop - start)))
    try:
        shape, fortran, element, is_swapped, length = _read_header(held[: _length_of_header(held)])
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise CorruptError(
            f"expected an array as NumPy saves it at {where}, found a header that it cannot read "
            f"({' '.join(str(error).split())[:80]}): make it again"
        ) from None
    offset = start + length
    strides = strides_of(shape, element.itemsize)
    if fortran:
        strides = strides_of(shape[::-1], element.itemsize)[::-1]
    if offset + prod(shape) * element.itemsize != stop:
        raise CorruptError(
            f"expected {prod(shape)} elements of {element.name} at {where}, as its header says, "
            f"found {max(0, stop - offset)} bytes: it was cut short or changed, so make it again"
        )
    return Entry(
        shape,
        element,
        lambda: RawArray(file, where, shape, element, offset, strides, swapped=is_swapped),
    )


def _length_of_header(held: bytes) -> int:
    """From the start of the file to its first element, as far as the start tells."""
    size = 2 if held[6:7] == b"\1" else 4
    return len(MAGIC) + 2 + size + int.from_bytes(held[8 : 8 + size], "little")


@lru_cache(1024)  # thousands of files have a few headers, and NumPy compiles each as Python
def _read_header(held: bytes) -> _Header:
    """What a header says; ValueError where it is none, FormatError of elements not compared."""
    file = io.BytesIO(held)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError:
        raise
    except Exception as error:  # whatever Python's parser makes of text that is none
        raise ValueError(str(error)) from None
    if len(shape) > MOST_AXES or not all(0 <= length <= LONGEST for length in shape):
        raise ValueError("no array has its shape")
    return _Header(shape, fortran, element_of(dtype), swapped(dtype), file.tell())


def read_npy(path: Path) -> Contents:
    """One array, called as its file is."""
    file = OpenFile(path)
    try:
        return Contents("a .npy file", "", {path.stem: entry_of_npy(file, str(path))})
    except CorruptError:
        raise
    except FormatError as error:
        raise FormatError(f"expected an array that padiff compares at {path}: {error}") from None


def read_npy_directory(path: Path) -> Contents:
    """All arrays in and below a directory, called as their files are."""
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for found in sorted(path.rglob("*.npy")):
        name = ".".join(found.relative_to(path).with_suffix("").parts)
        try:
            entries[name] = entry_of_file(found)
        except CorruptError:
            raise
        except FormatError as error:
            refused[name] = str(error)
    return Contents("a directory of .npy files", "", entries, refused)


def entry_of_file(path: Path) -> Entry:
    """The array of a file, which is open as long as somebody reads it: there may be thousands."""
    found = entry_of_npy(OpenFile(path), str(path))
    return Entry(found.shape, found.element, lambda: entry_of_npy(OpenFile(path), str(path)).open())


def read_npz(path: Path) -> Contents:
    """The arrays of a `.npz` file, packed or not."""
    file = OpenFile(path)
    members = members_of(file)
    check_unpacked(path, members)
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for member, found in members.items():
        name = member.removesuffix(".npy").replace("/", ".")
        if name == member:
            refused[name] = "it is no array"
            continue
        try:
            entries[name] = _entry_of_member(file, member, found)
        except CorruptError:
            raise
        except FormatError as error:
            refused[name] = str(error)
    return Contents("a .npz file", "", entries, refused)


def _entry_of_member(file: OpenFile, name: str, member: Member) -> Entry:
    where = f"{file.path}/{name}"
    if not member.packed:
        return entry_of_npy(file, where, member.offset, member.offset + member.size)
    found = entry_of_npy(Inflated(file, name, member), where)
    return Entry(
        found.shape,
        found.element,
        lambda: entry_of_npy(Inflated(file, name, member), where).open(),
    )
