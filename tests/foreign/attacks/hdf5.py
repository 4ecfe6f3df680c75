"""HDF5 files of links, cycles and what is no array."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.foreign.attacks.registry import several

__all__ = []


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


def bomb(**options: Any) -> Callable[[Any], None]:
    """A chunk of 64 KiB that unpacks to 1 GiB, or more where it is packed once more."""

    def write(file: Any) -> None:
        pack = zlib.compressobj(9)
        packed = pack.compress(bytes(2**15)) + pack.flush(zlib.Z_FULL_FLUSH)
        block = pack.compress(bytes(2**24)) + pack.flush(zlib.Z_FULL_FLUSH)
        packed += block * 64 + pack.flush()
        kind = {"dtype": "f4", "compression": "gzip", **options}
        made = file.create_dataset("a", (2**15,), chunks=(2**14,), **kind)
        made.id.write_direct_chunk((0,), packed + bytes(4) * made.fletcher32)

    return write


def bomb_of_lzf(file: Any) -> None:
    """For which the library unpacks from the start again and again, with a little more room."""
    size = 2**26
    whole = file.create_dataset("whole", (size,), "u1", chunks=(size,), compression="lzf")
    whole[...] = 0
    made = file.create_dataset("a", (2**14,), "f4", chunks=(2**14,), compression="lzf")
    made.id.write_direct_chunk((0,), whole.id.read_direct_chunk((0,))[1])
    del file["whole"]


def bomb_packed_twice(file: Any) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2**14,))
    properties.set_deflate(9)
    properties.set_filter(h5py.h5z.FILTER_LZF)
    space = h5py.h5s.create_simple((2**15,))
    made = h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_FLOAT, space, properties)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones(2**15, np.float32))


def bomb_of_lzf_in_lzf(file: Any) -> None:
    """Of 2 KB: each time it is unpacked to a hundred times as much."""
    size, data = 2**26, np.zeros(2**26, np.uint8)
    for number in range(2):
        made = file.create_dataset(
            str(number), (size,), "u1", chunks=(size,), compression="lzf", data=data
        )
        data = np.frombuffer(made.id.read_direct_chunk((0,))[1], np.uint8)
        size = len(data)
        del file[str(number)]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2**14,))
    for _ in range(2):
        properties.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((2**14,))
    made = h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_FLOAT, space, properties)
    made.write_direct_chunk((0,), data.tobytes())


def resized(file: Any) -> None:
    made = file.create_dataset("a", data=np.ones(10), chunks=(10,), maxshape=(None,))
    made.resize((5,))
    file.create_dataset("nothing", (0,), "f4", chunks=(10,), maxshape=(None,))


def many_links(file: Any) -> None:
    made = file.create_dataset("a", data=np.ones(4))
    for number in range(1000):
        file[f"b{number}"] = made


several(
    "hdf5",
    {
        "resized": resized,
        "many links": many_links,
        "a bomb": bomb(),
        "a bomb, shuffled": bomb(shuffle=True),
        "a bomb of another type": bomb(dtype=">f8"),
        "a bomb with a checksum": bomb(fletcher32=True),
        "a bomb of lzf": bomb_of_lzf,
        "a bomb of lzf in lzf": bomb_of_lzf_in_lzf,
        "packed twice": bomb_packed_twice,
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
