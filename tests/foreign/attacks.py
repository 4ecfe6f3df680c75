"""Files that are made to harm their reader: each attack by its name, written into a directory."""

import bz2
import io
import json
import lzma
import os
import pickle
import struct
import subprocess
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import torch
import zarr

__all__ = ["ATTACKS", "Payload", "pickles_that_run"]

Attack = Callable[[Path], Path]
ATTACKS: dict[str, Attack] = {}


def attack(write: Attack) -> Attack:
    ATTACKS[write.__name__] = write
    return write


def several(name: str, cases: Mapping[str, Any], write: Callable[[Path, Any], Path]) -> None:
    for each, case in cases.items():
        ATTACKS[f"{name}: {each}"] = partial(_with, write, case)


def _with(write: Callable[[Path, Any], Path], case: Any, path: Path) -> Path:
    return write(path, case)


# pickles


class Payload:
    """What a pickle makes of this is a call, of whatever function."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def pickles_that_run(marker: Path) -> dict[str, bytes]:
    """Each makes the file `marker`, followed by the name of it, where it is unpickled."""
    found = {}
    for name in ("os.system", "eval", "exec", "open", "subprocess"):
        for protocol in (2, 4):
            made = f"{marker}.{name}.{protocol}"
            code = f"open({made!r}, 'w').close()"
            call = {
                "os.system": (os.system, f"touch {made}"),
                "eval": (eval, code),
                "exec": (exec, code),
                "open": (open, made, "w"),
                "subprocess": (subprocess.call, ["touch", made]),
            }[name]
            state = {"weight": Payload(*call), "bias": np.ones(2)}
            found[f"{name}.{protocol}"] = pickle.dumps(state, protocol)
    for name, text in {
        "inst": b"(V%s\niposix\nsystem\n.",
        "obj": b"(cposix\nsystem\nV%s\no.",
        "reduce": b"cposix\nsystem\n(V%s\ntR.",
        "dotted": b"\x8c\x02os\x8c\x06system\x93(V%s\ntR.",
        "build": b"ccollections\nOrderedDict\n)Rcposix\nsystem\n(V%s\ntRb.",
    }.items():
        found[name] = b"\x80\x04" + text % f"touch {marker}.{name}".encode()
    return found


def pickle_file(path: Path, data: bytes) -> Path:
    (path / "model.pdparams").write_bytes(data)
    return path / "model.pdparams"


def torch_file(path: Path, data: bytes, storages: Mapping[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path / "model.pt", "w") as file:
        file.writestr("model/data.pkl", data)
        for key, held in (storages or {"0": bytes(64)}).items():
            file.writestr(f"model/data/{key}", held)
    return path / "model.pt"


def tensor(
    shape: Any, strides: Any, first: Any = 0, key: Any = "0", around: Any = lambda made: made
) -> bytes:
    """The pickle of `{"weight": tensor}` as torch has it."""
    made = io.BytesIO()

    class Pickler(pickle._Pickler):
        def persistent_id(self, held: Any) -> Any:
            return held[1:] if type(held) is tuple and held[:1] == ("storage!",) else None

    class Call:
        def __reduce__(self) -> Any:
            storage = ("storage!", "storage", torch.FloatStorage, key, "cpu", 16)
            return torch._utils._rebuild_tensor_v2, (storage, first, shape, strides, False, {})

    Pickler(made, 2).dump({"weight": around(Call())})
    return made.getvalue()


def laughs(value: Any) -> Any:
    """Two of it in a dict, two of these in a dict, and so on."""
    for _ in range(60):
        value = {"a": value, "b": value}
    return value


_EMPTY = b"\x80\x02}."
_PICKLES = {
    "nothing": b"",
    "one byte": b"\x80",
    "empty": _EMPTY,
    "a number": b"\x80\x02K\x01.",
    "lists 10^5 deep": b"\x80\x04" + b"]" * 10**5 + b"a" * (10**5 - 1) + b".",
    "tuples 10^5 deep": b"\x80\x04)" + b"\x85" * 10**5 + b".",
    "dicts 10^5 deep": b"\x80\x04" + b"}K\x01" * 10**5 + b"N" + b"s" * 10**5 + b".",
    "a key 10^5 deep": b"\x80\x04})" + b"\x85" * 10**5 + b"Ns.",
    "itself": b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
    "a list of itself": b"\x80\x02]q\x00h\x00a.",
    "billion laughs": pickle.dumps(laughs(1), 2),
    "long of 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7f" + bytes(100) + b".",
    "long of 10 MB": b"\x80\x02\x8b" + struct.pack("<i", 10**7) + b"\x7f" * 3 * 10**5 + b".",
    "negative long": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "digits": b"\x80\x02I" + b"9" * 3 * 10**5 + b"\n.",
    "text of 2^63": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f" + b"abc.",
    "bytes of 2^63": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"abc.",
    "300000 lists in lists": b"\x80\x02](" + b"]" * 3 * 10**5 + b"e.",
    "300000 bytes objects": b"\x80\x04](" + b"C\x00" * 3 * 10**5 + b"e.",
    "memo bomb": b"\x80\x04N" + b"\x94" * 3 * 10**5 + b".",
    "operations without end": b"\x80\x02" + b"N0" * 3 * 3 * 10**5 + b".",
    "a long line": b"\x80\x02c" + b"a" * 3 * 10**5 + b"\nb\n.",
    "no stop": b"\x80\x02" + b"N" * 100,
    "too much left": b"\x80\x02NN.",
    "pop of nothing": b"\x80\x020000.",
    "a name of newlines": b"\x80\x04\x8c\x04os\n\r\x8c\x05\x1b[2Js\x93.",
    "numbers of one hash": b"\x80\x02}("
    + b"".join(
        b"\x8a\x10" + (n * (2**61 - 1) << 1).to_bytes(16, "little") + b"N" for n in range(1, 20000)
    )
    + b"u.",
    "an extension": b"\x80\x02\x82\x01.",
    "a name as a call": b"\x80\x02ccollections\nOrderedDict\nN\x85R.",
    "unhashable": b"\x80\x02}]Ns.",
    "long keys": b"\x80\x02}X"
    + struct.pack("<I", 10**6)
    + b"a" * 10**6
    + b"}("
    + b"".join(b"M" + struct.pack("<H", n) + b"}K\x01Ns" for n in range(2000))
    + b"us.",
}
several("paddle pickle", _PICKLES, pickle_file)
several("torch pickle", dict(list(_PICKLES.items())[:8]), torch_file)

several(
    "torch tensor",
    {
        "laughs of a tensor": tensor((2,), (1,), around=laughs),
        "more than its storage": tensor((17,), (1,)),
        "an offset past the end": tensor((2,), (1,), 15),
        "a negative offset": tensor((2,), (1,), -1),
        "a huge offset": tensor((2,), (1,), 2**70),
        "a huge offset of nothing": tensor((0,), (1,), 2**62),
        "negative sizes": tensor((-2, -2), (1, 1)),
        "negative strides": tensor((2,), (-1,), 5),
        "huge strides": tensor((2,), (2**63,)),
        "huge strides of one": tensor((1,), (2**63 - 1,)),
        "huge strides of nothing": tensor((0, 4), (2**62, 2**62)),
        "a product that overflows": tensor((2**32, 2**32), (0, 0)),
        "elements that are one": tensor((2**50,), (0,)),
        "nothing of much": tensor((0, 2**40, 2**40), (1, 1, 1)),
        "65 axes": tensor((1,) * 65, (1,) * 65),
        "sizes that are floats": tensor((2.0,), (1,)),
        "sizes that are bools": tensor((True,), (1,)),
        "fewer strides": tensor((2, 2), (1,)),
        "no such storage": tensor((2,), (1,), key="1"),
        "a storage that is a path": tensor((2,), (1,), key="../../outside"),
        "a key that is a tuple": tensor((2,), (1,), key=("0",)),
    },
    torch_file,
)


@attack
def torch_packed(path: Path) -> Path:
    with zipfile.ZipFile(path / "model.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model/data.pkl", tensor((2**26,), (1,)))
        file.writestr("model/data/0", bytes(2**28))
    return path / "model.pt"


def legacy(path: Path, case: bytes) -> Path:
    state = {"weight": torch.ones(4)}
    torch.save(state, path / "model.bin", _use_new_zipfile_serialization=False)
    data = (path / "model.bin").read_bytes()
    (path / "model.bin").write_bytes(data[: -8 - 16] + case)
    return path / "model.bin"


several(
    "torch legacy",
    {
        "a storage of 2^63": b"\xff" * 7 + b"\x7f" + bytes(16),
        "a negative storage": b"\xff" * 8 + bytes(16),
        "no storage": b"",
        "a short storage": b"\x04" + bytes(7 + 15),
    },
    legacy,
)

# safetensors


def safetensors(path: Path, header: Any, size: int = 8, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    lead = (len(text) if length is None else length).to_bytes(8, "little")
    (path / "model.safetensors").write_bytes(lead + text + bytes(size))
    return path / "model.safetensors"


def f32(shape: Any = (2,), offsets: Any = (0, 8), kind: Any = "F32") -> dict[str, Any]:
    return {"a": {"dtype": kind, "shape": shape, "data_offsets": offsets}}


several(
    "safetensors",
    {
        "past the end": f32((4,), (0, 16)),
        "less than there is": f32((1,), (0, 4)),
        "a hole": {**f32((1,), (0, 4)), "b": f32((0,), (8, 8))["a"]},
        "a hole at the start": f32((1,), (4, 8)),
        "over one another": {"a": f32()["a"], "b": f32()["a"]},
        "the wrong way": f32((2,), (8, 0)),
        "negative": f32((2,), (-8, 0)),
        "floats": f32((2.0,), (0.0, 8.0)),
        "texts": f32("2", "08"),
        "three offsets": f32((2,), (0, 8, 8)),
        "a negative shape": f32((-1, -2)),
        "a product that overflows": f32((2**32, 2**32, 2**32)),
        "a product that is right after it overflows": f32((2**63 - 1, 2**63 - 1, 2)),
        "nothing of much": f32((0, 2**62, 2**62), (0, 0)),
        "numbers of 5000 digits": b'{"a": {"dtype": "F32", "shape": ['
        + b"9" * 5000
        + b'], "data_offsets": [0, 8]}}',
        "no type": f32(kind=None),
        "an unknown type": f32(kind="F5\n\x1b[2J"),
        "65 axes": f32([1] * 65),
        "a list": [1],
        "a tensor that is a list": {"a": []},
        "metadata that is a list": {**f32(), "__metadata__": []},
        "no UTF-8": b'{"\xff\xfe": {}}',
        "half a character": b'{"\\ud800": ' + json.dumps(f32()["a"]).encode() + b"}",
        "control characters": {"a\n\x1b[2J.b\x00": f32()["a"]},
        "a path": {"../../../outside": f32()["a"]},
        "an empty name": {"": f32()["a"]},
        "dots": {"....": f32()["a"]},
        "300 parts": {".".join("a" * 300): f32()["a"]},
        "nested": b'{"a":' * 10**5 + b"1" + b"}" * 10**5,
        "a name twice": b'{"a": '
        + json.dumps(f32((1,), (0, 4))["a"]).encode()
        + b', "a": '
        + json.dumps(f32((1,), (4, 8))["a"]).encode()
        + b"}",
        "NaN": b'{"a": NaN}',
        "spaces": b"{" + b" " * 2**24 + b"}",
        "lists": b'{"a":[' + b"[]," * 3 * 10**5 + b"[]]}",
    },
    safetensors,
)
several(
    "safetensors length",
    {"2^64": 2**64 - 1, "2^63": 2**63, "100 MB": 10**8, "more than the file": 500, "0": 0, "1": 1},
    lambda path, length: safetensors(path, f32(), length=length),
)


@attack
def safetensors_header_of_100_megabytes(path: Path) -> Path:
    text = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}' + b" " * 99_999_000 + b"}"
    return safetensors(path, text)


def index(path: Path, shard: Any) -> Path:
    made = safetensors(path, f32())
    (path / "model").mkdir()
    made.rename(path / "model/model-1.safetensors")
    name = path / "model/model.safetensors.index.json"
    name.write_text(json.dumps({"weight_map": shard if isinstance(shard, dict) else {"a": shard}}))
    return name


several(
    "index",
    {
        "above": "../outside.safetensors",
        "absolute": "/etc/passwd",
        "itself": "model.safetensors.index.json",
        "the directory": ".",
        "two up": "..",
        "nothing": "",
        "none": "model-2.safetensors",
        "a number": 1,
        "a null byte": "model-1.safetensors\x00",
        "another tensor": {"b": "model-1.safetensors"},
        "empty": {},
        "backslashes": "..\\outside.safetensors",
    },
    index,
)

# .npy and .npz


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


# torch.distributed.checkpoint


def distributed(path: Path, change: Callable[[Any], Any]) -> Path:
    """A checkpoint of one tensor in two pieces, of which the metadata is then changed."""
    from torch.distributed.checkpoint.metadata import MetadataIndex
    from torch.distributed.checkpoint.state_dict_saver import save

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is but one process
        save({"a": torch.ones(4), "b": torch.ones(4)}, checkpoint_id=path / "checkpoint")
    file = path / "checkpoint/.metadata"
    metadata = pickle.loads(file.read_bytes())
    about = metadata.state_dict_metadata["a"]
    places = {index.fqn: place for index, place in metadata.storage_data.items()}
    first = about.chunks[0]
    two = [replace(first, offsets=torch.Size((at,))) for at in (0, 4)]
    metadata.state_dict_metadata["a"] = replace(about, size=torch.Size((8,)), chunks=two)
    metadata.storage_data = {
        MetadataIndex("a", torch.Size((0,))): places["a"],
        MetadataIndex("a", torch.Size((4,))): places["b"],
    }
    del metadata.state_dict_metadata["b"]
    change(metadata)
    file.write_bytes(pickle.dumps(metadata))
    return path / "checkpoint"


def moved(**changes: Any) -> Callable[[Any], None]:
    def change(metadata: Any) -> None:
        for index, place in metadata.storage_data.items():
            metadata.storage_data[index] = replace(place, **changes)

    return change


def shaped(**changes: Any) -> Callable[[Any], None]:
    def change(metadata: Any) -> None:
        about = metadata.state_dict_metadata["a"]
        metadata.state_dict_metadata["a"] = replace(about, **changes)

    return change


def pieces(*extents: tuple[Any, Any]) -> Callable[[Any], None]:
    from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

    return shaped(chunks=[ChunkStorageMetadata(*map(torch.Size, each)) for each in extents])


several(
    "distributed",
    {
        "nothing": lambda metadata: None,
        "above": moved(relative_path="../outside"),
        "absolute": moved(relative_path="/etc/passwd"),
        "two up": moved(relative_path=".."),
        "none": moved(relative_path="none"),
        "a null byte": moved(relative_path="a\0"),
        "its metadata": moved(relative_path=".metadata"),
        "a number": moved(relative_path=1),
        "a negative offset": moved(offset=-1),
        "a huge offset": moved(offset=2**62),
        "a negative length": moved(length=-1),
        "a huge length": moved(length=2**70),
        "no length": moved(length=0),
        "one twice": pieces(((0,), (4,)), ((0,), (4,))),
        "over one another": pieces(((0,), (4,)), ((2,), (4,))),
        "past the end": pieces(((0,), (4,)), ((6,), (4,))),
        "more axes": pieces(((0, 0), (4, 1)), ((4, 0), (4, 1))),
        "other sizes": pieces(((0,), (8,))),
        "no pieces": pieces(),
        "20000 pieces": pieces(*[((0,), (0,))] * 20_000, ((0,), (4,)), ((4,), (4,))),
        "a huge shape": shaped(size=torch.Size((2**62, 2**62))),
        "a shape that is a list": shaped(size=[8]),
        "no shape": shaped(size=None),
        "a name that is a number": lambda metadata: metadata.state_dict_metadata.update(
            {1: metadata.state_dict_metadata.pop("a")}
        ),
        "no storage": lambda metadata: metadata.storage_data.clear(),
        "storage that is a list": lambda metadata: setattr(metadata, "storage_data", []),
        "a dict": lambda metadata: setattr(metadata, "state_dict_metadata", None),
    },
    distributed,
)

# HDF5


def hdf5(path: Path, write: Callable[[Any], Any]) -> Path:
    np.save(path / "outside.npy", np.ones(4))
    with h5py.File(path / "outside.h5", "w") as file:
        file["a"] = np.ones(4)
    with h5py.File(path / "weights.h5", "w") as file:
        write(file)
    return path / "weights.h5"


def narrow(file: Any) -> None:
    kind = h5py.h5t.NATIVE_INT16.copy()
    kind.set_precision(12)
    kind.set_offset(2)
    space = h5py.h5s.create_simple((4,))
    made = h5py.h5d.create(file.id, b"a", kind, space)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(4, dtype=np.int16))


def no_arrays(file: Any) -> None:
    """Links to other files and to nothing, elements in other files, and what is no number."""
    file["external"] = h5py.ExternalLink("outside.h5", "a")
    file["soft"] = h5py.SoftLink("/nowhere")
    file.create_dataset("elsewhere", (4,), "f8", external=[("outside.npy", 0, 32)])
    layout = h5py.VirtualLayout((4,), "f8")
    layout[...] = h5py.VirtualSource("outside.h5", "a", (4,))
    file.create_virtual_dataset("virtual", layout)
    file["nothing"] = h5py.Empty("f4")
    file["texts"] = ["x", "y"]
    file["fields"] = np.zeros(3, [("a", "f4")])
    file["reference"] = file.ref


def cyclic(file: Any) -> None:
    file["b"] = np.ones(4)
    file.create_group("g")["back"] = file["/"]
    file["g/more"] = file["g"]


def deep(file: Any) -> None:
    for _ in range(1000):
        file = file.create_group("a")
    file["b"] = np.ones(4)


several(
    "hdf5",
    {
        "no arrays": no_arrays,
        "cyclic": cyclic,
        "deep": deep,
        "numbers of 12 bits": narrow,
        "a huge shape": lambda file: file.create_dataset("a", (2**60,), "f4", chunks=(2**10,)),
        "huge chunks": lambda file: file.create_dataset("a", (2**29,), "f4", chunks=(2**29,)),
        "unwritten": lambda file: file.create_dataset("a", (2**50,), "f4", chunks=(2**20,)),
        "one name twice": lambda file: (
            file.__setitem__("a.b", np.ones(4)),
            file.__setitem__("a/b", np.ones(4)),
        ),
        "control characters": lambda file: file.__setitem__("a\n\x1b[2J", np.ones(4)),
        "dots": lambda file: file.__setitem__("...", np.ones(4)),
    },
    hdf5,
)

# Zarr


def zarr_2(path: Path, changes: Mapping[str, Any], chunk: bytes | None = None) -> Path:
    options: Any = {"zarr_format": 2, "fill_value": 1, "compressors": None, "chunks": (2,)}
    array = zarr.create_array(path / "weights.zarr/a", shape=(4,), dtype="f4", **options)
    array[...] = np.arange(4)
    file = path / "weights.zarr/a/.zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    if chunk is not None:
        (path / "weights.zarr/a/0").write_bytes(chunk)
    return path / "weights.zarr"


def zarr_3(path: Path, changes: Mapping[str, Any], chunk: bytes | None = None) -> Path:
    array = zarr.create_array(path / "weights.zarr/a", shape=(4,), chunks=(2,), dtype="f4")
    array[...] = np.arange(4)
    file = path / "weights.zarr/a/zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    if chunk is not None:
        (path / "weights.zarr/a/c/0").write_bytes(chunk)
    return path / "weights.zarr"


_TYPES: dict[str, Any] = {
    "a shape of text": {"shape": "4"},
    "a shape of floats": {"shape": [4.0]},
    "a negative shape": {"shape": [-4]},
    "a huge shape": {"shape": [2**60]},
    "a shape that overflows": {"shape": [2**63]},
    "a shape of many axes": {"shape": [1] * 65},
    "no shape": {"shape": None},
    "a number for a fill value": {"fill_value": {}},
    "a huge fill value": {"fill_value": 10**400},
    "a text for a fill value": {"fill_value": "x"},
    "hexadecimal of the wrong length": {"fill_value": "0x" + "f" * 99},
    "many digits": {"fill_value": "9" * 5000},
}
several(
    "zarr 2",
    {
        **_TYPES,
        "chunks of text": {"chunks": "2"},
        "chunks of nothing": {"chunks": [0]},
        "huge chunks": {"chunks": [2**40]},
        "chunks of 1 GiB": {"chunks": [2**28], "shape": [2**28]},
        "objects": {"dtype": "|O"},
        "no type": {"dtype": None},
        "an unknown type": {"dtype": "<q9"},
        "brackets": {"dtype": "(((("},
        "fields": {"dtype": [["a", "<f4"]]},
        "a pickle as a filter": {"filters": [{"id": "pickle"}], "dtype": "|O"},
        "a pickle as a filter of floats": {"filters": [{"id": "pickle"}]},
        "an unknown codec": {"compressor": {"id": "none such"}},
        "a codec without a name": {"compressor": {}},
        "a codec that is a text": {"compressor": "zlib"},
        "filters that are a text": {"filters": "zlib"},
        "no filters": {"filters": 0},
        "a separator": {"dimension_separator": "/../"},
        "another order": {"order": "K"},
        "another version": {"zarr_format": 4},
    },
    zarr_2,
)
del _TYPES["a number for a fill value"]
several(
    "zarr 3",
    {
        **_TYPES,
        "an unknown codec": {"codecs": [{"name": "none such"}]},
        "no codecs": {"codecs": []},
        "codecs that are texts": {"codecs": ["bytes"]},
        "codecs that are a dict": {"codecs": {}},
        "huge chunks": {
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**50]}}
        },
        "chunks of 1 GiB": {
            "shape": [2**28],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**28]}},
        },
        "a grid that is a list": {"chunk_grid": []},
        "keys": {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../"}}},
        "keys of lists": {"chunk_key_encoding": {"name": []}},
        "keys of no name": {"chunk_key_encoding": {"configuration": {"separator": []}}},
        "an unknown type": {"data_type": "float\n\x1b[2J"},
        "a type that is a dict": {"data_type": {"name": "r8"}},
        "another version": {"zarr_format": 4},
        "a transformer": {"storage_transformers": [{"name": "x"}]},
    },
    zarr_3,
)
_ZERO = bytes(2**26)
several(
    "zarr bomb",
    {
        "zlib": ({"id": "zlib", "level": 9}, zlib.compress(_ZERO, 9)),
        "zstd": ({"id": "zstd", "level": 1}, numcodecs.Zstd(1).encode(_ZERO)),
        "blosc": (numcodecs.Blosc().get_config(), numcodecs.Blosc().encode(_ZERO)),
        "lz4": ({"id": "lz4", "acceleration": 1}, numcodecs.LZ4().encode(_ZERO)),
        "lz4 that lies": ({"id": "lz4", "acceleration": 1}, b"\xff\xff\xff\x7f" + bytes(99)),
        "zstd that lies": (
            {"id": "zstd", "level": 1},
            b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + bytes(99),
        ),
        "blosc that lies": (
            numcodecs.Blosc().get_config(),
            b"\x02\x01\x21\x01" + struct.pack("<III", 2**31 - 17, 2**18, 115) + bytes(99),
        ),
        "bz2": ({"id": "bz2", "level": 9}, bz2.compress(_ZERO)),
        "lzma": (
            {"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None},
            lzma.compress(_ZERO),
        ),
    },
    lambda path, case: zarr_2(path, {"compressor": case[0]}, case[1]),
)


@attack
def zarr_link(path: Path) -> Path:
    made = zarr_2(path, {"compressor": None})
    (path / "outside").write_bytes(bytes(8))
    (made / "a/0").unlink()
    (made / "a/0").symlink_to(path / "outside")
    return made


@attack
def zarr_link_to_an_array(path: Path) -> Path:
    made = zarr_2(path, {"compressor": None})
    (made / "a").rename(path / "outside")
    (made / "a").symlink_to(path / "outside")
    return made


@attack
def zarr_long_chunk(path: Path) -> Path:
    return zarr_2(path, {"compressor": None}, bytes(16))


@attack
def zarr_chunk_is_directory(path: Path) -> Path:
    made = zarr_2(path, {"compressor": None})
    (made / "a/0").unlink()
    (made / "a/0").mkdir()
    return made


@attack
def zarr_many_of_missing_chunks(path: Path) -> Path:
    """Chunks that all are the fill value, of one element each."""
    made = zarr_2(path, {"chunks": [1], "shape": [10**9], "compressor": None})
    (made / "a/0").unlink()
    (made / "a/1").unlink()
    return made


@attack
def zarr_deep(path: Path) -> Path:
    made = path / "weights.zarr"
    deepest = made.joinpath(*["a"] * 300)
    deepest.mkdir(parents=True)
    (deepest / ".zarray").write_text("{}")
    return made
