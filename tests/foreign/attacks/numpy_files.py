"""Headers of `.npy`, and zip files, that lie or unpack without end."""

import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.foreign.attacks.registry import attack, several

__all__ = ["twice"]


def npy(path: Path, header: Any, size: int = 8, version: bytes = b"\x01\x00") -> Path:
    (path / "a.npy").write_bytes(npy_bytes(header, size, version))
    return path / "a.npy"


def npy_bytes(header: Any, size: int = 8, version: bytes = b"\x01\x00") -> bytes:
    text = header if isinstance(header, bytes) else repr(header).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + bytes(size)


def head(shape: Any = (2,), descr: Any = "<f4", fortran: Any = False) -> dict[str, Any]:
    return {"descr": descr, "fortran_order": fortran, "shape": shape}


several(
    "npy",
    {
        "objects": head(descr="|O"),
        "objects in fields": head(descr=[("a", "|O")]),
        "fields": head((1,), [("a", "<f4"), ("b", "<f4")]),
        "a part": head((1,), ("<f4", (2,))),
        "no header": b"",
        "open": b"{'descr': '<f4', 'shape': (2,",
        "code": b"__import__('os').system('touch /tmp/marker')",
        "code for a shape": b"{'descr': '<f4', 'fortran_order': False, 'shape': (len('ab'),)}",
        "a comprehension": b"{'descr': '<f4', 'fortran_order': 0, 'shape': tuple(i for i in [2])}",
        "nested": b"(" * 9000 + b")" * 9000,
        "minuses": b"-" * 9000 + b"1",
        "powers": b"{'descr': '<f4', 'fortran_order': False, 'shape': (9**9**9,)}",
        "negative": head((-1, -2)),
        "negative, that fits": head((-2, -1)),
        "overflow": head((2**32, 2**32, 2**32)),
        "nothing of much": head((0, 2**62, 2**62)),
        "more": head((3,)),
        "less": head((1,)),
        "a bool": head((True, 2)),
        "a list": head([2]),
        "a number": head(2),
        "a float": head((2.0,)),
        "a text": head((2,), "<U1"),
        "times": head((1,), "<M8[s]"),
        "a long type": head((2,), "f" * 9000),
        "a type with code": head((2,), "__import__('os')"),
        "brackets": head((2,), "((((("),
        "no dict": b"[]",
        "a name that is no text": {1: 2},
        "null bytes": b"\0" * 100,
        "65 axes": head((1,) * 65),
    },
    npy,
)
several(
    "npy version",
    {"0": b"\x00\x00", "4": b"\x04\x00", "255": b"\xff\xff"},
    lambda path, version: npy(path, head(), 8, version),
)


@attack
def npy_fortran_of_nothing(path: Path) -> Path:
    return npy(path, head((0, 3, 0), fortran=True), 0)


@attack
def npy_python_2(path: Path) -> Path:
    return npy(path, b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }\n")


def npz(path: Path, members: Mapping[str, bytes], packed: bool = True) -> Path:
    how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path / "a.npz", "w", how) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path / "a.npz"


def changed(path: Path, *changes: tuple[bytes, int, bytes]) -> Path:
    """Bytes put in at places after the last signature, in a file of one member."""
    file = npz(path, {"a.npy": npy_bytes(head((64,)), 256)})
    data = bytearray(file.read_bytes())
    for mark, at, text in changes:
        start = data.rindex(mark) + at
        data[start : start + len(text)] = text
    file.write_bytes(data)
    return file


CENTRAL, END, LOCAL = b"PK\1\2", b"PK\5\6", b"PK\3\4"
several(
    "zip",
    {
        "encrypted": [(CENTRAL, 8, b"\x01\x00"), (LOCAL, 6, b"\x01\x00")],
        "bzip2": [(CENTRAL, 10, b"\x0c\x00")],
        "lzma": [(CENTRAL, 10, b"\x0e\x00")],
        "unknown packing": [(CENTRAL, 10, b"\x63\x00")],
        "unpacks to less": [(CENTRAL, 24, struct.pack("<I", 100))],
        "unpacks to nothing": [(CENTRAL, 24, struct.pack("<I", 0))],
        "unpacks to more": [(CENTRAL, 24, struct.pack("<I", 10**6))],
        "unpacks to 4 GiB": [(CENTRAL, 24, b"\xff\xff\xff\xfe")],
        "zip64 without its fields": [(CENTRAL, 24, b"\xff\xff\xff\xff")],
        "packed to nothing": [(CENTRAL, 20, struct.pack("<I", 0))],
        "packed to 4 GiB": [(CENTRAL, 20, b"\xff\xff\xff\xfe")],
        "another place": [(CENTRAL, 42, struct.pack("<I", 7))],
        "a place past the end": [(CENTRAL, 42, b"\xff\xff\xff\x7f")],
        "a directory past the end": [(END, 16, b"\xff\xff\xff\x7f")],
        "a directory of 4 GiB": [(END, 12, b"\xff\xff\xff\x7f")],
        "stored": [(CENTRAL, 10, b"\x00\x00"), (LOCAL, 8, b"\x00\x00")],
        "a long local name": [(LOCAL, 26, b"\xff\xff")],
    },
    lambda path, changes: changed(path, *changes),
)


@attack
def npz_of_two_of_one_name(path: Path) -> Path:
    return twice(path / "a.npz", {"a.npy": npy_bytes(head())}, "a.npy")


def twice(file: Path, members: Mapping[str, bytes], name: str) -> Path:
    """A zip file that has two members of one name, of which the second has other bytes."""
    with zipfile.ZipFile(file, "w") as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each, data in [*members.items(), (name, members[name][:-1] + b"1")]:
            made.writestr(each, data)
    return file


@attack
def npz_bomb(path: Path) -> Path:
    """A member of 2^31 bytes that unpacks from 2 MiB."""
    size = 2**31
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    lead = npy_bytes(head((size // 4,)), 0)
    packed = pack.compress(lead) + pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(bytes(2**24)) + pack.flush(zlib.Z_FULL_FLUSH)
    packed += block * (size >> 24) + pack.flush()
    return write_zip(path / "a.npz", [("a.npy", 0)], packed, size + len(lead))


@attack
def npz_overlapping(path: Path) -> Path:
    """A thousand members that are the same packed bytes: 10 GiB from 10 MB."""
    lead = npy_bytes(head((2**21,)), 0)
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = pack.compress(lead + bytes(2**23)) + pack.flush()
    names = [(f"{n:04}.npy", 0) for n in range(3000)]
    return write_zip(path / "a.npz", names, packed, len(lead) + 2**23)


def write_zip(path: Path, names: list[tuple[str, int]], packed: bytes, size: int) -> Path:
    """Members that all are the bytes after the first local header."""
    about = struct.pack("<HHHIII", 8, 0, 0, 0, len(packed), size)
    name = names[0][0].encode()
    local = LOCAL + struct.pack("<HH", 20, 0) + about + struct.pack("<HH", len(name), 0) + name
    central = b"".join(
        CENTRAL
        + struct.pack("<HHH", 20, 20, 0)
        + about
        + struct.pack("<HHHHHII", len(each), 0, 0, 0, 0, 0, at)
        + each.encode()
        for each, at in names
    )
    count = len(names)
    end = END + struct.pack(
        "<HHHHIIH", 0, 0, count, count, len(central), len(local) + len(packed), 0
    )
    path.write_bytes(local + packed + central + end)
    return path


several(
    "npz",
    {
        "empty member": {"a.npy": b""},
        "a short member": {"a.npy": b"\x93NUMPY"},
        "no array": {"a.npy": b"hello", "b.txt": b"hello"},
        "a path": {"../../outside.npy": npy_bytes(head())},
        "an absolute path": {"/etc/passwd.npy": npy_bytes(head())},
        "one name twice": {"a.b.npy": npy_bytes(head()), "a/b.npy": npy_bytes(head())},
        "objects": {"a.npy": npy_bytes(head(descr="|O"))},
        "control characters": {"a\n\x1b[2J.npy": npy_bytes(head((3,)))},
        "no name": {".npy": npy_bytes(head())},
    },
    npz,
)
