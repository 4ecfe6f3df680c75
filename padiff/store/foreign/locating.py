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
from padiff.store.foreign.zarr import is_hierarchy, read_zarr
from padiff.store.foreign.zips import members_of
from padiff.store.media.archive import Archive
from padiff.store.media.base import Medium
from padiff.store.media.directory import Directory
from padiff.store.raw import OpenFile

__all__ = ["READ", "foreign_hierarchy", "foreign_store"]

READ = ".safetensors, .npz, .npy, HDF5, Zarr, or what torch, paddle or the old PaDiff saves"

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS = (512, 1024, 2048)  # bytes before it that are the user's own


def foreign_store(path: Path) -> tuple[Store, str] | None:
    """What another tool wrote to `path`, or the part of it that the end of `path` names.

    With it comes the path of the group named, of a tool that has steps and sections. None where
    nothing is that padiff knows. Raises what reading it does.
    """
    if (dumps := json_dumps_at(path)) is not None:
        return dumps
    file = next((each for each in (path, *path.parents) if each.exists()), path)
    prefix = ".".join(path.relative_to(file).parts)
    if prefix and not (file.is_file() or (file / METADATA).is_file() or index_in(file)):
        return None  # of a directory of files a name leads to one of these
    contents = _in_directory(file) if file.is_dir() else _in_file(file)
    if contents is None:
        return None
    if not contents.entries:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(contents.refused.items())[:3])
        raise FormatError(
            f"expected arrays in {file}, found {contents.kind} that has none"
            f"{f' ({reasons})' if reasons else ''}: name another file"
        )
    check_sizes(contents, str(file), lambda: _bytes_in(file))
    return NamedArrays(str(path), file, below(contents, prefix, str(file))), ""


def foreign_hierarchy(medium: Medium) -> tuple[Store, str] | None:
    """The arrays of a Zarr hierarchy on any medium, as `foreign_store`; None where it has none."""
    contents = read_zarr(medium)
    if contents is None:
        return None
    check_sizes(contents, medium.location, lambda: LONGEST)  # to add them up may take long
    return NamedArrays(medium.location, None, contents), ""


def _bytes_in(path: Path) -> int:
    """Of a file, of all below a directory, or of those beside an index."""
    place = path.parent if path.name.endswith(INDEX) else path
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())


def _in_file(path: Path) -> Contents | None:
    file = OpenFile(path)
    if not file.size:
        raise FormatError(f"expected a padiff store at {path}, or {READ}, found an empty file")
    start = bytes(file.part(0, 64))
    if start[:4] == b"PK\3\4":
        members = members_of(file)
        if is_torch_zip(members):
            return read_torch(file, members)
        if any(name.endswith(".npy") for name in members):
            return read_npz(file, members)
        return read_zarr(Archive(path))
    if any(bytes(file.part(at, 8)) == _HDF5 for at in (0, *_USER_BLOCKS)):
        from padiff.store.foreign.hdf5 import read_hdf5  # only who has such a file waits for it

        return read_hdf5(path)
    reader = _reader_of(start)
    if reader is None and path.name.endswith(INDEX):
        reader = read_index
    if reader is None and (is_safetensors(start) or path.suffix == ".safetensors"):
        reader = read_safetensors
    return None if reader is None else reader(path)


def _reader_of(start: bytes) -> Callable[[Path], Contents] | None:
    if start.startswith(MAGIC):
        return read_npy
    if start.startswith(LEGACY):
        return read_legacy
    return read_paddle if start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5" else None


def _in_directory(path: Path) -> Contents | None:
    if (path / METADATA).is_file():
        return read_distributed(path)
    if (index := index_in(path)) is not None:
        return read_index(index)
    if any(path.glob("*.safetensors")):
        return read_shards(path)
    hierarchy = read_zarr(Directory(path)) if is_hierarchy(path) else None
    return hierarchy or read_npy_directory(path)
