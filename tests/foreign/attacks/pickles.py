"""Pickles that would run, or fill memory; tensors of torch that are not where they say."""

import io
import os
import pickle
import struct
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.foreign.attacks.numpy_files import twice
from tests.foreign.attacks.registry import attack, several

__all__ = ["pickle_file", "pickles_that_run", "torch_file"]


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
        "beside": b"cargparse\nNamespace\n)\x81}(Va\ncposix\nsystem\n(V%s\ntRub.",
        "factory": b"ccollections\ndefaultdict\n(cposix\nsystem\n(V%s\ntRtR.",
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
    "one list in 50000 sets": b"\x80\x02c__builtin__\nset\nq\x00]q\x01("
    + b"N" * 2 * 10**5
    + b"e0]("
    + b"h\x00h\x01\x85R" * 5 * 10**4
    + b"e.",
    "one list in 50000 dicts": b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01("
    + b"NN\x86" * 10**5
    + b"e0]("
    + b"h\x00h\x01\x85R" * 5 * 10**4
    + b"e.",
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
        "past its storage by its strides": tensor((4, 4), (5, 1)),
        "elements that are several": tensor((4, 4, 4), (1, 1, 1)),
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
def torch_of_two_of_one_name(path: Path) -> Path:
    members = {"model/data.pkl": tensor((2,), (1,)), "model/data/0": bytes(64)}
    return twice(path / "model.pt", members, "model/data/0")


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
