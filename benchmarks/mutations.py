"""What may befall a store, by accident or malice: each mutation changes one on disk at random."""

import json
import mmap
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from padiff.store.format import digest, is_sealed
from padiff.store.hdf5.seal import append_seal, check_seal

__all__ = ["MUTATIONS", "Mutation", "mutate"]

Mutation = Callable[[Path, Random], None]

DOCUMENT = "zarr.json"
LARGE = 2**23  # bytes; to look through a larger one takes longer than to check it
OUTSIDE = "../outside"  # beside the store, and nothing of it is to be read
WORDS = [
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x00\x01\x7f\x9b31m\u202e\u2028",
    "<script>alert(1)</script>\"'&",
    "a/b\\c",
    "..",
    "",
    "\ud800",
    "\r\nexpected",
    "x" * 10_000,
    "{}%s%n{0}",
]
PATHS = [
    "../../outside/layer/forward.0",
    "/etc/passwd",
    "..",
    "a/../..",
    "",
    "a//b",
    "c:\\x",
    "a\0b",
]
NUMBERS = [0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**15, 10**400, -(10**30), 0.5, 1e308, -0.0]
# Tuples, which a later mutation cannot change, nor put into themselves.
SHAPES = [
    (10**15,),
    (2**62,) * 2,
    (-1,),
    (0,),
    (1,) * 65,
    (),
    (2**63,),
    (10**15, 0),
    ("6",),
    (1.5,),
]
DTYPES = ["float128", "object", "|V8", "complex64", "bool", "float8_e4m3fn", "int64", "r16", ""]


def hostile(random: Random) -> Any:
    """Any value but the right one."""
    choices: Sequence[Any] = [
        random.choice(WORDS),
        random.choice(PATHS),
        random.choice(NUMBERS),
        random.choice(SHAPES),
        random.choice(DTYPES),
        random.choice([None, True, False, [], {}, [[]], {"": {}}, "NaN", "-Infinity"]),
        nested(random.choice([3, 100, 900])),
    ]
    return random.choice(choices)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def files(store: Path, pattern: str = "*") -> list[Path]:
    return sorted(path for path in store.rglob(pattern) if path.is_file() and not path.is_symlink())


def change_bytes(store: Path, random: Random) -> None:
    """Flip, insert, delete or repeat some bytes of any file."""
    path = random.choice(files(store))
    data = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 1, 1, 2, 8])):
        at = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at:at] = random.randbytes(random.randrange(1, 9))
            case 2:
                del data[at : at + random.randrange(1, 9)]
            case _:
                data[at:at] = data[max(0, at - 20) : at]
    path.write_bytes(data)


def cut(store: Path, random: Random) -> None:
    path = random.choice(files(store))
    size = path.stat().st_size
    os.truncate(path, random.choice([0, size // 2, max(0, size - 1), size + 1, 2 * size, 2**33]))


def replace_entry(store: Path, random: Random) -> None:
    """Something else in the place of a file or a directory, or nothing."""
    path = random.choice(sorted(path for path in store.rglob("*") if not path.is_symlink()))
    kept = path.parent / ".kept"
    path.rename(kept)
    match random.randrange(8):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(random.choice(["/dev/zero", "/dev/tty", "/proc/self/mem", "/"]))
        case 3:
            path.symlink_to(path.name)
        case 4:
            path.symlink_to("nowhere")
        case 5:
            path.symlink_to(os.path.relpath(store / OUTSIDE / path.relative_to(store), path.parent))
        case 6:
            path.write_bytes(b"{}")
        case _:
            pass
    if kept.is_dir():
        shutil.rmtree(kept)
    else:
        kept.unlink()


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value, with each of its keys."""
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        container = left.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                left.append(container[key])
    return found


def change_values(store: Path, random: Random) -> None:
    """Other values, keys and items in any document, with digests to fit more often than not."""
    document = random.choice(files(store, DOCUMENT))
    data = read_document(document)
    change_json(data, random)
    write_document(document, data)
    if random.random() < 0.8:
        make_fit(store, document)


def change_json(data: Any, random: Random) -> None:
    """Other values, keys and items somewhere in a JSON value."""
    for _ in range(random.choice([1, 1, 2, 4])):
        container, key = random.choice(places_in(data))
        match random.randrange(6):
            case 0:
                del container[key]
            case 1 if isinstance(container, list):
                container.insert(key, container[key])
            case 1:
                container[random.choice(WORDS)] = container[key]
            case _:
                container[key] = hostile(random)
        if not data:
            break


def change_tree(store: Path, random: Random) -> None:
    """Nodes and tensors that say something else, in a header whose digest fits."""
    document = random.choice(sorted(store.rglob(f"report/{DOCUMENT}")))
    data = read_document(document)
    change_header(data["attributes"]["padiff"], random)
    write_document(document, data)
    make_fit(store, document)


def change_header(header: dict[str, Any], random: Random) -> None:
    """Nodes and tensors that say something else."""
    nodes = [header["tree"][0], *header["tree"][0]["children"]]
    node = random.choice(nodes)
    tensor = random.choice([t for n in nodes for t in n["tensors"]])
    match random.randrange(8):
        case 0:
            node[random.choice(["name", "route", "repr"])] = random.choice(WORDS)
            header[random.choice(["model", "framework", "framework_version"])] = random.choice(
                WORDS
            )
        case 1:
            tensor["array"] = random.choice(PATHS)
        case 2:
            tensor["place"] = random.choice(WORDS)
            tensor["device"] = random.choice(WORDS)
        case 3:
            tensor["shape"] = random.choice(SHAPES)
        case 4:
            tensor["stats"][random.choice([*tensor["stats"]])] = hostile(random)
        case 5:
            if len(nodes) > 100:
                raise ValueError("as many children of as many would be a giant")
            node["children"] = [
                dict(node) for _ in range(random.choice([2] * 12 + [50] * 7 + [1000]))
            ]
        case 6:
            for _ in range(random.choice([10, 255, 257, 600])):
                node = {**node, "children": [node], "tensors": []}
            header["tree"] = [node]
        case _:
            node["route"], node["call"] = random.choice(nodes)["route"], random.choice(NUMBERS)


def grow(store: Path, random: Random) -> None:
    """A tensor of another size, and chunks of another one, on which array and tree agree."""
    document = random.choice(sorted(store.rglob(f"report/*/*/{DOCUMENT}")))
    section = document.parents[2] / DOCUMENT
    array = read_document(document)
    data = read_document(section)
    shape = random.choice(SHAPES)
    array["shape"] = shape
    array["chunk_grid"]["configuration"]["chunk_shape"] = random.choice([shape, [1], [2**40]])
    if random.random() < 0.3:
        array["data_type"] = random.choice(DTYPES)
    write_document(document, array)
    for tensor in tensors_of(data):
        if document.parent == document.parents[2] / tensor["array"]:
            tensor.update(shape=shape, dtype=array["data_type"])
            tensor["chunks"] = tensor["chunks"][:1] * random.choice([0, 1, 3])
    write_document(section, data)
    make_fit(store, document)


def tensors_of(section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tensors of an intact section's document, as far as it is one."""
    try:
        root = section["attributes"]["padiff"]["tree"][0]
        return [t for node in (root, *root["children"]) for t in node["tensors"]]
    except (KeyError, IndexError, TypeError):
        return []


def read_document(document: Path) -> Any:
    """Raises OSError for what an earlier mutation left in its place: a pipe, a link, a giant."""
    if document.is_symlink() or not document.is_file() or document.stat().st_size > LARGE:
        raise OSError(f"no document at {document}")
    return json.loads(document.read_bytes())


def write_document(document: Path, data: Any) -> None:
    document.write_bytes(text_of(data))


def text_of(data: Any) -> bytes:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="surrogatepass")


def make_fit(store: Path, document: Path) -> None:
    """Digests that say that a document is as it was written: in the tree above it, and its own."""
    if len(document.relative_to(store).parts) > 3:  # an array's
        section = document.parents[2] / DOCUMENT
        data = read_document(section)
        for tensor in tensors_of(data):
            if section.parent / str(tensor["array"]) == document.parent:
                tensor["metadata"] = digest(document.read_bytes())
        write_document(section, data)
        document = section
    data = read_document(document)
    try:
        header = data["attributes"]["padiff"]
        header.pop("digest", None)
        header["digest"] = digest(text_of(header))
        if not is_sealed(text_of(header)):
            return  # a number in it, or half a character, is written in another way
    except (KeyError, TypeError, AttributeError):
        return
    write_document(document, data)


def open_sealed(path: Path) -> h5py.File:
    """A file to change; OSError where an earlier mutation damaged it, and HDF5 may never end."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        if not check_seal(held, str(path)):
            raise OSError(f"no seal in {path}")
    return h5py.File(path, "r+")


def change_attribute(store: Path, random: Random) -> None:
    """A header, or a root's attribute, that says something else, in an HDF5 file under a seal."""
    path = random.choice(files(store, "*.h5"))
    with open_sealed(path) as file:
        group = random.choice([file, file["report"], file["report"]])
        header = json.loads(group.attrs["padiff"])
        random.choice([change_json, change_header, change_header])(header, random)
        if random.random() < 0.8:
            header.pop("digest", None)
            header["digest"] = digest(text_of(header))
        group.attrs["padiff"] = random.choice([text_of(header).decode()] * 9 + [b"\xff", 3])
    append_seal(path, [])


def change_objects(store: Path, random: Random) -> None:
    """Something else, or nothing, in the place of an object of an HDF5 file under a seal."""
    path = random.choice(files(store, "*.h5"))
    with open_sealed(path) as file:
        names: list[str] = []
        file.visit(names.append)
        name = random.choice(names)
        del file[name]
        match random.randrange(7):
            case 0:
                file.create_dataset(name, shape=(10**15,), chunks=(10**6,), dtype="f4")
            case 1:
                file[name] = np.arange(random.choice([0, 1, 6, 40]), dtype=random.choice("ifdQ"))
            case 2:
                file[name] = random.choice(WORDS).encode(errors="surrogatepass")[:99] + b"."
            case 3:
                file[name] = h5py.SoftLink(random.choice(["/", name, "/nowhere"]))
            case 4:
                file[name] = h5py.ExternalLink("../outside/step_0.h5", name)
            case 5:
                file.create_group(name)
            case _:
                pass
    append_seal(path, [])


def unseal(store: Path, random: Random) -> None:
    """Damage in an HDF5 file that another tool has rewritten, which has no seal any more."""
    path = random.choice(files(store, "*.h5"))
    with open_sealed(path) as file:
        file.attrs["note"] = 1
    data = bytearray(path.read_bytes())
    for _ in range(random.choice([0, 1, 1, 4])):
        data[random.randrange(len(data))] = random.randrange(256)
    path.write_bytes(data)


# By the kind of store: those of bytes befall any. What is unsealed is walked by another process.
_OF_HDF5: tuple[Mutation, ...] = (*(change_attribute, change_objects) * 8, unseal)
_OF_FILES: tuple[Mutation, ...] = (change_bytes, cut, replace_entry)
MUTATIONS: dict[str, tuple[Mutation, ...]] = {
    "zarr": (*_OF_FILES, change_values, change_values, change_tree, change_tree, grow),
    "h5": (*_OF_FILES, *_OF_HDF5),
}


def mutate(store: Path, kind: str, random: Random) -> str:
    """One or more mutations of an intact store; their names."""
    done = []
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        mutation = random.choice(MUTATIONS[kind])
        try:
            mutation(store, random)
        except (ValueError, KeyError, TypeError, IndexError, OSError, RuntimeError, MemoryError):
            continue  # what an earlier one left is no place for it
        done.append(mutation.__name__)
    return " ".join(done)
