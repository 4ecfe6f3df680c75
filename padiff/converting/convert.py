"""From any format that is read to one that is written, a chunk at a time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from padiff.converting.conversion import Conversion
from padiff.converting.destination import Kind, check_apart, check_free, kind_of
from padiff.converting.npz import check_npz, write_npz
from padiff.converting.placing import put_behind, put_beside
from padiff.converting.safetensors import check_safetensors, write_safetensors
from padiff.converting.source import Source, Tally, array_of, distinct
from padiff.converting.state import State, state_of
from padiff.converting.stores import fill_store
from padiff.errors import UsageError
from padiff.store.address import Location, is_elsewhere, local_path, tidy
from padiff.store.base import WritableStore
from padiff.store.chunks import CHUNK_BYTES
from padiff.store.format import SECTIONS, SectionName
from padiff.store.hdf5.names import SUFFIXES
from padiff.store.media.archive import SUFFIX, pack
from padiff.store.media.directory import Directory
from padiff.store.roots import hdf5_store
from padiff.store.section import Section, bytes_of
from padiff.store.storage import Compression, Storage
from padiff.store.zarr.store import ZarrStore

__all__ = ["convert"]

_FILES = {
    "safetensors": (check_safetensors, write_safetensors),
    "npz": (check_npz, write_npz),
}


def convert(
    src: Location,
    dst: Location,
    *,
    format: Kind | None = None,  # noqa: A002  # as create_model calls it
    section: SectionName | None = None,
    compression: Compression | None = None,
    chunk_bytes: int | None = None,
    shard_bytes: int | None = None,
    overwrite: bool = False,
    progress: Callable[[float, int], None] | None = None,
) -> Conversion:
    """Write what lies at `src`, whatever can be read, to `dst` in another format.

        padiff.convert("run.zarr", "run.h5")
        padiff.convert("run.zarr/step_9", "step_9.safetensors")

    The suffix of `dst` (`.zarr`, `.zarr.zip`, `.h5`, `.hdf5`, `.safetensors`, `.npz`), or
    `format`, says which; a URL takes Zarr. A store holds all steps, ranks and sections, or the one
    `section`, with the trees as they were; `compression`, `chunk_bytes` and `shard_bytes` are those
    of `create_model`. A file of named tensors holds one section of one dump, the weights unless
    another is named. Each chunk that has a digest is held against it, and no tensor is whole in
    memory. `dst` is there whole or not at all. `progress` is called with the share
    done and the bytes read.

    Raises what reading `src` does, CorruptError where a part of it is damaged, UsageError for what
    the format cannot hold, OccupiedError where something lies at `dst` unless `overwrite`, and
    WriteError where the file system refuses.
    """
    if section is not None and section not in SECTIONS:
        raise UsageError(f"expected a section, {', '.join(SECTIONS)}, got {section!r}")
    kind = kind_of(dst, format)
    storage = _storage(kind, compression, chunk_bytes, shard_bytes)
    check_apart(src, dst)
    check_free(dst, overwrite=overwrite)
    source = Source(src, section)
    if kind in _FILES:
        return _to_file(source, state_of(source, section), dst, kind, overwrite, progress)
    return _to_store(source, dst, storage, overwrite, progress)


def _storage(
    kind: Kind, compression: Compression | None, chunk_bytes: int | None, shard_bytes: int | None
) -> Storage:
    if kind == "zarr" or kind == "hdf5":
        size = CHUNK_BYTES if chunk_bytes is None else chunk_bytes
        # what is written is flushed as a whole, before it is put in place
        return Storage(kind, compression, size, shard_bytes, durable=False)
    options = {
        "compression": compression,
        "chunk_bytes": chunk_bytes,
        "shard_bytes": shard_bytes,
    }
    for name, value in options.items():
        if value is not None:
            raise UsageError(
                f"expected {name} for Zarr or HDF5 alone, got it for {kind}, which holds each "
                "tensor in one piece: leave it out"
            )
    return Storage()


def _to_file(
    source: Source,
    state: State,
    dst: Location,
    kind: Kind,
    overwrite: bool,
    progress: Callable[[float, int], None] | None,
) -> Conversion:
    check, write = _FILES[kind]
    check(state)
    tally = Tally(sum(map(bytes_of, state.tensors.values())), progress)
    with put_beside(local_path(dst), overwrite=overwrite) as path:
        written = write(path, state, lambda tensor: array_of(state.section, tensor, tally))
    return Conversion(
        str(dst),
        sections=1,
        arrays=len(written),
        bytes=sum(map(bytes_of, written.values())),
        tied=tuple(name for name in state.tensors if name not in written),
        unfinished=source.unfinished,
        left_out={**_left_out(state.section), **_no_tensors(source)},
    )


def _left_out(section: Section) -> dict[str, str]:
    """What a section tells of and does not hold."""
    return {
        ".".join(filter(None, (node.route, value.place))): value.reason
        for node in section.tree.walk()
        for value in node.unrecorded
    }


def _no_tensors(source: Source) -> dict[str, str]:
    """What lies at a location beside its tensors."""
    return dict.fromkeys(source.others, "no tensors")


def _to_store(
    source: Source,
    dst: Location,
    storage: Storage,
    overwrite: bool,
    progress: Callable[[float, int], None] | None,
) -> Conversion:
    done = Conversion(str(dst), 0, 0, 0, (), source.unfinished, _no_tensors(source))
    for section in source.sections():
        tensors = distinct(section)
        done = replace(
            done,
            sections=done.sections + 1,
            arrays=done.arrays + len(tensors),
            bytes=done.bytes + sum(map(bytes_of, tensors)),
            # what a store of ours tells of itself the new one tells as well
            left_out={
                **done.left_out,
                **(_left_out(section) if section.header.foreign else {}),
            },
        )
    tally = Tally(done.bytes, progress)
    if is_elsewhere(dst):
        with put_behind(tidy(str(dst))) as medium:
            fill_store(ZarrStore(medium), "", source, storage, tally)
        return done
    with put_beside(local_path(dst), overwrite=overwrite) as path:
        if storage.format == "hdf5":
            fill_store(*_hdf5_place(path, source), source, storage, tally)
        elif path.name.endswith(SUFFIX):
            directory = path.with_suffix("")
            fill_store(ZarrStore(Directory(directory)), "", source, storage, tally)
            pack(directory, path)
        else:
            fill_store(ZarrStore(Directory(path)), "", source, storage, tally)
    return done


def _hdf5_place(path: Path, source: Source) -> tuple[WritableStore, str]:
    """The store and the path of the dumps in it: one file where that is all, or a directory."""
    if list(source.dumps) == [""] and path.name.endswith(SUFFIXES):
        return hdf5_store(path.parent, lone=True), path.name
    return hdf5_store(path), ""
