"""From what a user types to the store that a dump goes to, and its path there."""

from pathlib import Path

from padiff.errors import OccupiedError, UsageError
from padiff.store.address import Location, down_to, is_elsewhere, local_path, tidy
from padiff.store.base import WritableStore
from padiff.store.files import Writing
from padiff.store.hdf5.locating import documented, is_hdf5, place_for
from padiff.store.hdf5.names import SUFFIXES
from padiff.store.media.archive import SUFFIX, Archive
from padiff.store.media.base import Medium
from padiff.store.media.directory import Directory
from padiff.store.media.remote import Remote
from padiff.store.roots import archive_of, enclosing_root, enclosing_url, hdf5_store
from padiff.store.storage import Format
from padiff.store.zarr.store import ZarrStore

__all__ = ["locate_for_writing", "store_in"]

# Who names a file so expects there what no dump is: checkpoints of torch and paddle, arrays and
# tables of others, archives, models.
_OF_OTHERS = (
    *(".pt", ".pth", ".bin", ".ckpt", ".pdparams", ".pdopt", ".pdiparams", ".pkl", ".pickle"),
    *(".safetensors", ".npz", ".npy", ".hdf", ".nc", ".json", ".csv", ".parquet", ".msgpack"),
    *(".tar", ".gz", ".tgz", ".onnx", ".pdmodel", ".gguf"),
)


def locate_for_writing(
    location: Location,
    *,
    step: int | None = None,
    rank: int | None = None,
    backend: Format | None = None,
) -> tuple[WritableStore, str]:
    """The store a dump at `location` goes to, which need not exist yet, and the dump's path in it.

    The root is the store that already encloses `location`; else the outermost part of it that ends
    in `.zarr`; else `location` itself.
    """
    for kind, number in (("step", step), ("rank", rank)):
        if number is not None and (type(number) is not int or number < 0):
            raise UsageError(f"expected a {kind} of at least 0, got {number!r}")
    numbers = [] if step is None else [f"step_{step}"]
    numbers += [] if rank is None else [f"rank_{rank}"]
    with Writing(str(location), 0):  # what may not be looked into may not be written to either
        if _goes_to_hdf5(location, backend):
            _refuse_other(enclosing_root(local_path(location)), "Zarr")
            root, parts, lone = place_for(local_path(location), numbered=bool(numbers))
            return hdf5_store(root, lone=lone), "/".join(parts + numbers)
        if not is_elsewhere(location):
            _refuse_other(documented(local_path(location)), "HDF5")
        if backend is None:
            _refuse_file_names(location)
        medium, parts = _medium_for(location)
        return ZarrStore(medium), "/".join(parts + numbers)


def _refuse_other(root: Path | None, found: str) -> None:
    """OccupiedError where a store of the other format lies, which would not find the dump."""
    if root is not None:
        raise OccupiedError(
            f"expected a store of the format that was asked for, or none, at {root}, found one of "
            f"{found}: choose another place or leave the format out, nothing was changed"
        )


def _refuse_file_names(location: Location) -> None:
    """UsageError where a directory would be made that has the name of a file."""
    above = (*SUFFIXES, ".zip")  # of a directory above, what dumps are told by
    endings = (*above, *_OF_OTHERS)
    if is_elsewhere(location):
        names = [str(location)] if str(location).lower().endswith(endings) else []
    else:
        path = local_path(location)
        made = () if archive_of(path) else (path, *path.parents)
        names = [
            str(each)
            for each in made
            if each.name.lower().endswith(endings if each == path else above) and not each.exists()
        ]
    if names:
        raise UsageError(
            f"expected a path for dumps that ends in .zarr, {SUFFIX}, {' or '.join(SUFFIXES)}, in "
            f"small letters, or else the name of a directory, got {names[0]}: write the suffix so, "
            "or leave it out; padiff convert makes .safetensors or .npz of a dump"
        )


def _goes_to_hdf5(location: Location, backend: Format | None) -> bool:
    if is_elsewhere(location) and (backend == "hdf5" or str(location).endswith(SUFFIXES)):
        raise UsageError(
            f"expected a path of a local file system for HDF5, got {location}: a URL takes Zarr"
        )
    if backend is not None or is_elsewhere(location):
        return backend == "hdf5"
    return is_hdf5(local_path(location))


def store_in(root: Path, backend: Format | None) -> WritableStore:
    """The store whose root is a directory, which need not be there yet."""
    return hdf5_store(root) if backend == "hdf5" else ZarrStore(Directory(root))


def _medium_for(location: Location) -> tuple[Medium, list[str]]:
    """The medium whose root a location lies at or below, and the names that lead down to it."""
    if is_elsewhere(location):
        url = tidy(str(location))
        found = enclosing_url(url)
        if found is None:
            found = next((above for above in down_to(url) if above.endswith(".zarr")), url)
        return Remote(found), [name for name in url.removeprefix(found).split("/") if name]
    path = local_path(location)
    archive = archive_of(path)
    if archive is not None:
        return Archive(archive), list(path.relative_to(archive).parts)
    root = enclosing_root(path)
    if root is None:
        named = [p for p in (*reversed(path.parents), path) if p.suffix == ".zarr"]
        root = named[0] if named else path
    return Directory(root), list(path.relative_to(root).parts)
