"""Zip files whose members are read in place: `.npz` and what torch saves."""

import io
import os
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from padiff.errors import CorruptError
from padiff.store.raw import RawFile

__all__ = ["Checksum", "Inflated", "Member", "check_once", "check_unpacked", "members_of"]

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_MOST_UNPACKED = 2**30  # bytes, and so many times the packed ones
_MOST_TIMES = 100
_PIECE = 2**18  # packed bytes at a time
_READ = 2**17  # bytes that a checksum takes at a time
_BLOCK = 2**20  # unpacked bytes at a time
_KEPT = 2**25  # unpacked bytes that stay: threads ask for what lies beside, in no certain order


class Member(NamedTuple):
    """Where the bytes of a member lie in the file; `unpacked` of them, if they are `packed`.

    `crc` is the checksum of what is unpacked, 0 where the writer left it out, as torch can. `twice`
    tells of another of its name, which some tools may take instead.
    """

    offset: int
    size: int
    unpacked: int
    packed: bool
    crc: int = 0
    twice: bool = False


class _Window(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, file: RawFile, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the start")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = max(0, min(len(buffer), self._size - self._at))
        data = os.pread(self._file.descriptor, size, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def members_of(file: RawFile, start: int = 0, size: int | None = None) -> dict[str, Member]:
    """The members of a zip file, or of a part of a file that is one, by name.

    Raises CorruptError where the directory does not fit what lies there.
    """
    size = file.size - start if size is None else size
    try:
        with zipfile.ZipFile(_Window(file, start, size)) as archive:
            found: dict[str, Member] = {}
            for info in archive.infolist():
                member = _member(file, start, size, info)
                found[info.filename] = member._replace(twice=info.filename in found)
            return found
    except CorruptError:
        raise
    except Exception as error:  # whatever a damaged directory makes of the library
        raise CorruptError(
            f"expected a zip file at {file.path}, found one that is cut short or changed "
            f"({' '.join(str(error).split()) or type(error).__name__}): make it again"
        ) from None


def _member(file: RawFile, start: int, size: int, info: zipfile.ZipInfo) -> Member:
    header = file.part(start + info.header_offset, _LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or bytes(header[:4]) != b"PK\3\4":
        raise _misplaced(file.path, info.filename)
    _, name, extra = _LOCAL_HEADER.unpack(header)
    offset = info.header_offset + _LOCAL_HEADER.size + name + extra
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CorruptError(
            f"expected members of {file.path} that are stored or deflated, found {info.filename!r} "
            "packed in another way: make it again"
        )
    packed = info.compress_type == zipfile.ZIP_DEFLATED
    if offset + info.compress_size > size or (not packed and info.compress_size != info.file_size):
        raise _misplaced(file.path, info.filename)
    return Member(start + offset, info.compress_size, info.file_size, packed, info.CRC)


def _misplaced(path: Path, name: str) -> CorruptError:
    return CorruptError(
        f"expected the member {name!r:.80} of {path} where its directory says, found another: it "
        "was cut short or changed, so make it again"
    )


def check_once(file: RawFile, members: Mapping[str, Member]) -> None:
    """CorruptError where two members have one name."""
    name = next((name for name, member in members.items() if member.twice), None)
    if name is not None:
        raise CorruptError(
            f"expected one member called {name!r:.80} in {file.path}, found two, and tools differ "
            "in which they take: make it again"
        )


def check_unpacked(file: RawFile, members: Mapping[str, Member]) -> None:
    """CorruptError for a file that would unpack to far more than any weights do."""
    unpacked = sum(member.unpacked for member in members.values() if member.packed)
    packed = sum(member.size for member in members.values() if member.packed)
    packed = min(packed, file.size)  # where members lie over one another
    most = _MOST_UNPACKED + _MOST_TIMES * packed
    if unpacked > most:
        raise CorruptError(
            f"expected at most {most} bytes from the {packed} that are packed in {file.path}, "
            f"found {unpacked}: it is made to fill memory or disk, so it is not unpacked"
        )


class Inflated(RawFile):
    """The bytes of a packed member, unpacked as far as they are asked for and then forgotten."""

    def __init__(self, file: RawFile, name: str, member: Member) -> None:
        super().__init__(file.path / name, -1, member.unpacked)
        self._file, self._member = file, member
        self._lock = Lock()
        self._restart()

    def _restart(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._read = 0  # packed bytes
        self._blocks: deque[bytes] = deque()  # the last ones
        self._begin = self._end = 0  # of what is in them

    def part(self, start: int, size: int) -> memoryview:
        with self._lock:
            if start < self._begin:
                self._restart()
            while self._end < start + size:
                block = self.unpack()
                if not block:
                    break
                self._blocks.append(block)
                self._end += len(block)
                keep_from = min(start, self._end - _KEPT)
                while self._begin + len(self._blocks[0]) <= keep_from:
                    self._begin += len(self._blocks.popleft())
            held = self._blocks[0] if len(self._blocks) == 1 else b"".join(self._blocks)
            return memoryview(held)[start - self._begin : start - self._begin + size]

    def unpack(self) -> bytes:
        """The bytes that come next; none at the end, CorruptError where they are damaged."""
        while not self._stream.eof:
            data = self._stream.unconsumed_tail
            if not data:
                size = min(_PIECE, self._member.size - self._read)
                data = os.pread(self._file.descriptor, size, self._member.offset + self._read)
                self._read += len(data)
            try:
                block = self._stream.decompress(data, _BLOCK)
            except zlib.error as error:
                raise CorruptError(
                    f"expected to unpack {self.path}, found it damaged ({error}): make it again"
                ) from None
            if block or not data:
                return block
        return b""


class Checksum:
    """Asks whether a member has the bytes that its directory knows; it is read once at most."""

    def __init__(self, file: RawFile, name: str, member: Member) -> None:
        self._file, self._name, self._member = file, name, member
        self._is_known = not member.crc

    def __call__(self) -> None:
        """CorruptError where it has others."""
        if self._is_known:
            return
        size = found = 0
        for block in self._blocks():
            found, size = zlib.crc32(block, found), size + len(block)
            if size > self._member.unpacked:  # of which there may be no end
                break
        if (size, found) != (self._member.unpacked, self._member.crc):
            raise CorruptError(
                f"expected the member {self._name!r:.80} of {self._file.path} to have the checksum "
                "that its directory gives, found another: it was changed after it was written, so "
                "make it again"
            )
        self._is_known = True

    def _blocks(self) -> Iterator[bytes | memoryview]:
        member = self._member
        if member.packed:
            yield from iter(Inflated(self._file, self._name, member).unpack, b"")
            return
        for at in range(0, member.size, _READ):
            yield self._file.part(member.offset + at, min(_READ, member.size - at))
