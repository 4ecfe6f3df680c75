"""Where the root of a store is that a location lies in."""

from pathlib import Path

from padiff.store.address import down_to
from padiff.store.base import WritableStore
from padiff.store.format import numbered
from padiff.store.media.archive import SUFFIX
from padiff.store.media.directory import Directory
from padiff.store.media.remote import Remote
from padiff.store.ours import is_root_of_ours
from padiff.store.zarr.document import DOCUMENT

__all__ = ["absolute_numbers", "archive_of", "enclosing_root", "enclosing_url", "hdf5_store"]


def enclosing_root(path: Path) -> Path | None:
    """The nearest directory from `path` upwards that is the root of a store."""
    for candidate in (path, *path.parents):
        if (candidate / DOCUMENT).is_file():
            if is_root_of_ours(Directory(candidate)):
                return candidate
        elif candidate != path and candidate.is_dir():
            return None  # a store has a group on every level, so the search ends here
    return None


def enclosing_url(url: str) -> str | None:
    """The nearest URL from `url` upwards that is the root of a store."""
    for candidate in reversed(down_to(url)):
        medium = Remote(candidate)
        if medium.has(DOCUMENT):
            if is_root_of_ours(medium):
                return candidate
        elif candidate != url:
            return None  # a store has a group on every level, so the search ends here
    return None


def archive_of(path: Path) -> Path | None:
    """The zip file that a path names, or leads into."""
    for candidate in (*reversed(path.parents), path):
        if candidate.name.endswith(SUFFIX) and not candidate.is_dir():
            return candidate
    return None


def hdf5_store(root: Path, *, lone: bool = False) -> WritableStore:
    """The store of HDF5 dumps in a directory."""
    from padiff.store.hdf5.store import Hdf5Store  # only those who use it wait for its library

    return Hdf5Store(root, lone=lone)


def absolute_numbers(path: str) -> tuple[int | None, int | None]:
    """The step and rank that the names along a path in a store tell."""
    step = rank = None
    for name in path.split("/"):
        step = numbered("step", name) if numbered("step", name) is not None else step
        rank = numbered("rank", name) if numbered("rank", name) is not None else rank
    return step, rank
