"""How much a compressed chunk unpacks to, looked at before anything is made of that size.

A few bytes can say that they unpack to gigabytes, and the libraries that do it take no limit.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["check_unpacked"]

_PIECE = 2**20  # unpacked bytes at a time
_CHECKSUM = {"crc32c": 4}  # bytes after the others
_MAGIC = b"\x28\xb5\x2f\xfd"  # of a frame of zstd
_BLOCK = 2**17  # bytes that a block of it has at most


def check_unpacked(names: Sequence[object], data: Any, most: int) -> None:
    """ValueError where the bytes of a chunk unpack to more than `most`.

    `names` are those of its codecs, in the order in which they were put to use. Raises whatever a
    damaged chunk makes of a library.
    """
    known = [str(name).removeprefix("numcodecs.") for name in names]
    packing = [number for number, name in enumerate(known) if name in _UNPACKED]
    if not packing:
        return
    last = packing[-1]
    if len(packing) > 1 or any(name not in _CHECKSUM for name in known[last + 1 :]):
        raise ValueError("it is packed more than once")
    size = len(data) - sum(_CHECKSUM[name] for name in known[last + 1 :])
    unpacked = 0
    for part in _UNPACKED[known[last]](bytes(data[: max(0, size)])):
        unpacked += part
        if unpacked > most:
            raise ValueError("it unpacks to more than a chunk has")


def _stream(start: Callable[[], Any]) -> Callable[[bytes], Iterator[int]]:
    def unpacked(data: bytes) -> Iterator[int]:
        stream = start()
        yield len(stream.decompress(data, _PIECE))
        while not stream.eof:
            held = stream.unconsumed_tail if hasattr(stream, "unconsumed_tail") else b""
            size = len(stream.decompress(held, _PIECE))
            if not size:
                return
            yield size

    return unpacked


def _lz4(data: bytes) -> Iterator[int]:
    yield int.from_bytes(data[:4], "little")


def _blosc(data: bytes) -> Iterator[int]:
    """The library reads as many packed bytes as the header says, whether they are there or not."""
    if len(data) < 16 or int.from_bytes(data[12:16], "little") != len(data):
        raise ValueError("it is cut short")
    yield int.from_bytes(data[4:8], "little")


def _zstd(data: bytes) -> Iterator[int]:
    """By the headers of its frames, and where these do not say it, of their blocks."""
    at = 0
    while data[at : at + 4] == _MAGIC:
        about = data[at + 4]
        alone = about >> 5 & 1
        stated = (alone, 2, 4, 8)[about >> 6]  # bytes of the size
        at += 5 + (1 - alone) + (0, 1, 2, 4)[about & 3]
        size = int.from_bytes(data[at : at + stated], "little")
        at += stated
        yield size + (256 if stated == 2 else 0)
        last = False
        while not last and at + 3 <= len(data):
            header = int.from_bytes(data[at : at + 3], "little")
            last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
            at += 3 + (1 if kind == 1 else length)
            if not stated:
                yield _BLOCK if kind == 2 else length
        at += 4 * (about >> 2 & 1)  # a checksum


_UNPACKED: Mapping[str, Callable[[bytes], Iterator[int]]] = {
    "zlib": _stream(lambda: zlib.decompressobj(zlib.MAX_WBITS)),
    "gzip": _stream(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)),
    "bz2": _stream(bz2.BZ2Decompressor),
    "lzma": _stream(lzma.LZMADecompressor),
    "lz4": _lz4,
    "blosc": _blosc,
    "zstd": _zstd,
}
