"""The seal of a zip file: its comment is a digest of all its bytes but the members' own.

These have digests in the store, and a checksum in the archive.
"""

import mmap
import os
import zipfile
from pathlib import Path

from padiff.store.rest import digest_of_rest

__all__ = ["is_whole", "make_room", "put_seal"]

_LOCAL_HEADER = 30  # bytes of what stands before a member, without its name
_BEGIN = b"padiff "
_SIZE = len(_BEGIN) + 32


def make_room(archive: zipfile.ZipFile) -> None:
    """Give an archive that is being written a comment that a seal can take the place of."""
    archive.comment = _BEGIN + bytes(32)


def put_seal(path: Path) -> None:
    """Put the digest of a finished archive into its comment."""
    with zipfile.ZipFile(path) as archive:
        seal = _seal_of(archive)
    with path.open("r+b") as file:
        file.seek(-_SIZE, os.SEEK_END)
        file.write(seal)


def is_whole(archive: zipfile.ZipFile) -> bool:
    """Whether an archive has its seal, or was made by another tool, which gives it none."""
    if archive.comment:
        return archive.comment == _seal_of(archive)
    with _bytes_of(archive) as held:  # which end with the size of the comment, or it was cut off
        return held[-2:] == bytes(2)


def _bytes_of(archive: zipfile.ZipFile) -> mmap.mmap:
    """The bytes of the file that was opened, whatever has taken its place since."""
    assert archive.fp is not None
    return mmap.mmap(archive.fp.fileno(), 0, access=mmap.ACCESS_READ)


def _seal_of(archive: zipfile.ZipFile) -> bytes:
    with _bytes_of(archive) as held:
        members = sorted(archive.infolist(), key=lambda member: member.header_offset)
        extents = [(_start_of(held, each), each.compress_size) for each in members]
        return _BEGIN + digest_of_rest(held, extents, len(held) - _SIZE).encode()


def _start_of(held: mmap.mmap, member: zipfile.ZipInfo) -> int:
    """Where a member's own bytes begin, after a header, its name and more."""
    at = member.header_offset
    lengths = held[at + 26 : at + 28], held[at + 28 : at + 30]
    return at + _LOCAL_HEADER + sum(int.from_bytes(length, "little") for length in lengths)
