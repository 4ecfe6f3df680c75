"""The seal of a file: a digest of all in it that is no tensor, checked before HDF5 reads any of it.

The HDF5 library crashes, or never ends, on some files that were damaged. It passes over what comes
after the end that a file's superblock tells, and drops it when it changes the file: there
the seal lies, JSON text and a footer of fixed size by which it is found.
"""

import mmap
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from padiff.errors import CorruptError, FormatError
from padiff.jsonio import decode, dumps
from padiff.store.files import Writing
from padiff.store.format import digest
from padiff.store.rest import Extent, digest_of_rest

__all__ = ["append_seal", "check_seal", "is_sealed"]

_MAGIC = b"padiff1\n"
_FOOTER = struct.Struct("<Q16s8s")  # bytes of the text, its digest, the magic number
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Where the superblock of a version tells the end of the file.
_END = {0: 40, 1: 44, 2: 28, 3: 28}


@dataclass(frozen=True, slots=True)
class _Seal:
    """What the text says."""

    digest: str
    raw: tuple[Extent, ...]


def append_seal(path: Path, raw: Iterable[Extent]) -> None:
    """Seal a file that HDF5 has closed; `raw` is where the elements of tensors lie."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        extents = _merged(raw)
        text = dumps({"digest": digest_of_rest(held, extents, len(held)), "raw": extents}).encode()
        trailer = text + _footer(text)
        with Writing(path, len(trailer)):
            file.seek(0, os.SEEK_END)
            file.write(trailer)
            file.flush()


def is_sealed(path: Path) -> bool:
    """Whether a file ends as a sealed one does, whatever else is in it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_MAGIC)))
        return file.read() == _MAGIC


def check_seal(held: mmap.mmap, where: str) -> bool:
    """Whether a file has a seal; CorruptError when it is not the one that its bytes give.

    FormatError when the file is no HDF5 file at all.
    """
    footer = held[-_FOOTER.size :]
    if len(footer) == _FOOTER.size and footer.endswith(_MAGIC):
        _check(held, footer, where)
        return True
    if held[: len(_SIGNATURE)] != _SIGNATURE:
        raise FormatError(f"expected an HDF5 file at {where}, found a file that is none")
    end = _told_end(held)
    if len(held) < end:
        raise CorruptError(
            f"expected {end} bytes in {where}, found {len(held)}: it was cut short, so dump it "
            "again or copy it again"
        )
    if len(held) > end:  # what other tools write ends there
        raise _changed(where)
    return False


def _check(held: mmap.mmap, footer: bytes, where: str) -> None:
    size = _FOOTER.unpack(footer)[0]
    end = len(held) - _FOOTER.size - size
    if end < 0:
        raise _changed(where)
    text = held[end : end + size]
    if _footer(text) != footer:
        raise _changed(where)
    seal = decode(text, _Seal, f"the seal of {where}")
    if digest_of_rest(held, seal.raw, end) != seal.digest:
        raise _changed(where)


def _footer(text: bytes) -> bytes:
    return _FOOTER.pack(len(text), bytes.fromhex(digest(text)), _MAGIC)


def _changed(where: str) -> CorruptError:
    return CorruptError(
        f"expected {where} to have the digest that its seal gives, found another: it was changed "
        "after it was written, so dump it again"
    )


def _merged(extents: Iterable[Extent]) -> list[Extent]:
    merged: list[Extent] = []
    for offset, length in sorted(extents):
        if merged and sum(merged[-1]) == offset:
            merged[-1] = (merged[-1][0], merged[-1][1] + length)
        elif length:
            merged.append((offset, length))
    return merged


def _told_end(held: mmap.mmap) -> int:
    version = held[len(_SIGNATURE)] if len(held) > len(_SIGNATURE) else -1
    if version not in _END:
        return 0
    told = held[_END[version] : _END[version] + 8]
    # of a file too short to tell: longer than it is
    return int.from_bytes(told, "little") if len(told) == 8 else len(held) + 1
