"""Which tool's file or directory lies at a path, told by what is in it."""

from collections.abc import Callable
from pathlib import Path

from padiff.errors import FormatError
from padiff.jsonio import LONGEST
from padiff.store.base import Store
from padiff.store.foreign.contents import Contents, below, check_sizes
from padiff.store.foreign.named import NamedArrays
from padiff.store.foreign.npy import MAGIC, read_npy, read_npy_directory, read_npz
from padiff.store.foreign.paddle_files import read_paddle
from padiff.store.foreign.padiff_json.store import json_dumps_at
from padiff.store.foreign.safetensors import is_safetensors, read_safetensors
from padiff.store.foreign.shards import INDEX, index_in, read_index, read_shards
from padiff.store.foreign.torch_distributed import METADATA, read_distributed
from padiff.store.foreign.torch_files import LEGACY, is_torch_zip, read_legacy, read_torch
from padiff.store.foreign.zarr import holds_zarr, read_zarr
from padiff.store.foreign.zips import members_of
from padiff.store.media.archive import Archive
from padiff.store.media.base import Medium
from padiff.store.media.directory import Directory
from padiff.store.raw import OpenFile

__all__ = ["READ", "foreign_dumps", "foreign_hierarchy", "foreign_store"]

READ = ".safetensors, .npz, .npy, HDF5, Zarr, or what torch, paddle or the old PaDiff saves"

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS = (512, 1024, 2048)  # bytes before it that are the user's own


def foreign_store(path: Path) -> Store | None:
    """What another tool wrote to `path`, or the part of it that the end of `path` names.

    None where nothing is that padiff knows. Raises what reading it does.
    """
    file = next((each for each in (path, *path.parents) if each.exists()), path)
    prefix = ".".join(path.relative_to(file).parts)
    if prefix and not (file.is_file() or (file / METADATA).is_file() or index_in(file)):
        return None  # of a directory of files a name leads to one of these
    contents = _contents(file)
    if contents is None:
        return None
    if not contents.entries:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(contents.refused.items())[:3])
        raise FormatError(
            f"expected arrays in {file}, found {contents.kind} that has none"
            f"{f' ({reasons})' if reasons else ''}: name another file"
        )
    check_sizes(contents, str(file), lambda: _bytes_in(file))
    return NamedArrays(str(path), file, below(contents, prefix, str(file)))


def foreign_dumps(path: Path) -> tuple[Store, str] | None:
    """The dumps of another tool that has steps and sections, and the path of the group named.

    None where nothing is that padiff knows. Raises what reading it does.
    """
    return json_dumps_at(path)


def foreign_hierarchy(medium: Medium) -> Store | None:
    """The arrays of a Zarr hierarchy on any medium; None where it has none."""
    contents = read_zarr(medium) if holds_zarr(medium) else None
    if contents is None:
        return None
    check_sizes(contents, medium.location, lambda: LONGEST)  # to add them up may take long
    return NamedArrays(medium.location, None, contents)


def _bytes_in(path: Path) -> int:
    """Of a file, of all below a directory, or of those beside an index."""
    place = path.parent if path.name.endswith(INDEX) else path
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())


def _contents(path: Path) -> Contents | None:
    reader = _reader_of_directory(path) if path.is_dir() else _reader_of_file(path)
    return None if reader is None else reader(path)


def _reader_of_file(path: Path) -> Callable[[Path], Contents] | None:
    file = OpenFile(path)
    if not file.size:
        raise FormatError(f"expected a padiff store at {path}, or {READ}, found an empty file")
    start = bytes(file.part(0, 64))
    if start[:4] == b"PK\3\4":
        members = members_of(file)
        if is_torch_zip(members):
            return read_torch
        if any(name.endswith(".npy") for name in members):
            return read_npz
        return (lambda path: read_zarr(Archive(path))) if holds_zarr(Archive(path)) else None
    if any(bytes(file.part(at, 8)) == _HDF5 for at in (0, *_USER_BLOCKS)):
        from padiff.store.foreign.hdf5 import read_hdf5  # only who has such a file waits for it

        return read_hdf5
    if start.startswith(MAGIC):
        return read_npy
    if start.startswith(LEGACY):
        return read_legacy
    if start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5":
        return read_paddle
    if path.name.endswith(INDEX):
        return read_index
    if is_safetensors(start) or path.suffix == ".safetensors":
        return read_safetensors
    return None


def _reader_of_directory(path: Path) -> Callable[[Path], Contents] | None:
    if (path / METADATA).is_file():
        return read_distributed
    if (index := index_in(path)) is not None:
        return lambda _: read_index(index)
    if any(path.glob("*.safetensors")):
        return read_shards
    if holds_zarr(Directory(path)):
        return lambda path: read_zarr(Directory(path))
    return read_npy_directory if next(path.rglob("*.npy"), None) else None
