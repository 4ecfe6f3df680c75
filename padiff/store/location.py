"""From what a user types to a store and a path in it: the one place that picks a backend."""

from pathlib import Path

from padiff.errors import (
    CorruptError,
    FormatError,
    LocationError,
    OccupiedError,
    PadiffError,
    UsageError,
)
from padiff.store.address import (
    Location,
    below,
    down_to,
    is_elsewhere,
    is_url,
    local_path,
    tidy,
)
from padiff.store.base import Store, WritableStore
from padiff.store.files import Writing
from padiff.store.foreign.locating import READ, foreign_store
from padiff.store.format import ATTRIBUTE, check_root, has_meaning, numbered
from padiff.store.hdf5.locating import documented, dumps_at, is_hdf5, place_for
from padiff.store.hdf5.names import ROOT_DOCUMENT, SUFFIXES
from padiff.store.media.archive import SUFFIX, Archive
from padiff.store.media.base import Medium
from padiff.store.media.directory import Directory
from padiff.store.media.remote import Remote
from padiff.store.storage import Format
from padiff.store.zarr.document import DOCUMENT
from padiff.store.zarr.store import ZarrStore

__all__ = [
    "Location",
    "absolute_numbers",
    "below",
    "is_url",
    "locate_for_reading",
    "locate_for_writing",
    "store_in",
]


def locate_for_reading(location: Location) -> tuple[Store, str]:
    """The store that holds `location`, and the path of the group it names.

    Raises LocationError when nothing lies there, FormatError when it is nothing that padiff reads.
    """
    if is_elsewhere(location):
        return _store_behind(tidy(str(location)))
    path = local_path(location)
    try:
        archive = _archive_of(path)
        if archive is not None:
            return _store_in(archive, path)
        return _store_at(path)
    except PadiffError:
        raise
    except OSError as error:
        raise LocationError(
            f"expected a padiff store at {path}, but it cannot be read: {error.strerror or error}"
        ) from None


def _store_at(path: Path) -> tuple[Store, str]:
    if path.is_symlink() and not path.exists():
        raise LocationError(
            f"expected a padiff store at {path}, found a link that leads nowhere: check the path"
        )
    typed = path.resolve() if path.is_symlink() else path  # who types a link means what it leads to
    if not (path / DOCUMENT).exists() and (found := dumps_at(typed)) is not None:
        above, below_it = found
        store = _hdf5_store(above, lone=not (above / ROOT_DOCUMENT).exists())
        store.attributes("")  # what is no root's document is damage
        return store, below_it
    if not (path / DOCUMENT).is_file() and (foreign := foreign_store(path)) is not None:
        return foreign, ""
    if not path.exists():
        raise LocationError(
            f"expected a padiff store at {path}, found nothing there: check the path"
        )
    if not path.is_dir():
        raise FormatError(f"expected {READ} at {path}, found a file that is none of these")
    if not (path / DOCUMENT).exists():
        names = sorted(entry.name for entry in path.iterdir())
        ours = [n for n in names if has_meaning(n) and (path / n / DOCUMENT).is_file()]
        if ours:
            raise CorruptError(
                f"expected {DOCUMENT} in {path} beside {', '.join(ours[:5])}, found none: it was "
                "removed after it was written, so copy it again or dump again"
            )
        held = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise FormatError(
            f"expected a padiff store at {path}, found a directory without {DOCUMENT} "
            f"({held or 'it is empty'}): name the directory that was dumped to"
        )
    root = _enclosing_root(path)
    store = ZarrStore(Directory(root or path))
    check_root(store.attributes(""), str(root or path))
    return store, "" if root is None else path.relative_to(root).as_posix().removeprefix(".")


def _store_in(archive: Path, path: Path) -> tuple[WritableStore, str]:
    if not archive.exists():
        raise LocationError(f"expected a padiff store at {archive}, found nothing there")
    store = ZarrStore(Archive(archive))
    check_root(store.attributes(""), str(archive))
    return store, path.relative_to(archive).as_posix().removeprefix(".")


def _archive_of(path: Path) -> Path | None:
    """The zip file that a path names, or leads into."""
    for candidate in (*reversed(path.parents), path):
        if candidate.name.endswith(SUFFIX) and not candidate.is_dir():
            return candidate
    return None


def _store_behind(url: str) -> tuple[WritableStore, str]:
    root = _enclosing_url(url)
    if root is None and not Remote(url).has(DOCUMENT):
        raise LocationError(f"expected a padiff store at {url}, found none there: check the URL")
    store = ZarrStore(Remote(root or url))
    check_root(store.attributes(""), root or url)
    return store, url.removeprefix(root or url).strip("/")


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
            _refuse_other(_enclosing_root(local_path(location)), "Zarr")
            root, parts, lone = place_for(local_path(location), numbered=bool(numbers))
            return _hdf5_store(root, lone=lone), "/".join(parts + numbers)
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
    if is_elsewhere(location):
        refused = str(location) if str(location).lower().endswith(".zip") else None
    else:
        path = local_path(location)
        made = [each for each in (path, *path.parents) if not each.exists()]
        endings = (*SUFFIXES, ".zip")
        refused = next((str(each) for each in made if each.name.lower().endswith(endings)), None)
        refused = None if _archive_of(path) is not None else refused
    if refused is not None:
        raise UsageError(
            f"expected a path that ends in {', '.join(SUFFIXES)} or {SUFFIX}, in small letters, or "
            f"the name of a directory, got {refused}: write the suffix so, or leave it out"
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
    return _hdf5_store(root) if backend == "hdf5" else ZarrStore(Directory(root))


def _hdf5_store(root: Path, *, lone: bool = False) -> WritableStore:
    """The store of HDF5 dumps in a directory."""
    from padiff.store.hdf5.store import Hdf5Store  # only those who use it wait for its library

    return Hdf5Store(root, lone=lone)


def _medium_for(location: Location) -> tuple[Medium, list[str]]:
    """The medium whose root a location lies at or below, and the names that lead down to it."""
    if is_elsewhere(location):
        url = tidy(str(location))
        found = _enclosing_url(url)
        if found is None:
            found = next((above for above in down_to(url) if above.endswith(".zarr")), url)
        return Remote(found), [name for name in url.removeprefix(found).split("/") if name]
    path = local_path(location)
    archive = _archive_of(path)
    if archive is not None:
        return Archive(archive), list(path.relative_to(archive).parts)
    root = _enclosing_root(path)
    if root is None:
        named = [p for p in (*reversed(path.parents), path) if p.suffix == ".zarr"]
        root = named[0] if named else path
    return Directory(root), list(path.relative_to(root).parts)


def _enclosing_url(url: str) -> str | None:
    """The nearest URL from `url` upwards that is the root of a store."""
    for candidate in reversed(down_to(url)):
        medium = Remote(candidate)
        if medium.has(DOCUMENT):
            if _is_root(medium):
                return candidate
        elif candidate != url:
            return None  # a store has a group on every level, so the search ends here
    return None


def _is_root(medium: Medium) -> bool:
    """Whether the group at the root of a medium is that of a store."""
    try:
        attributes = ZarrStore(medium).attributes("")
    except FormatError:
        return False
    return isinstance(found := attributes.get(ATTRIBUTE), dict) and "format" in found


def absolute_numbers(path: str) -> tuple[int | None, int | None]:
    """The step and rank that the names along a path in a store tell."""
    step = rank = None
    for name in path.split("/"):
        step = numbered("step", name) if numbered("step", name) is not None else step
        rank = numbered("rank", name) if numbered("rank", name) is not None else rank
    return step, rank


def _enclosing_root(path: Path) -> Path | None:
    """The nearest directory from `path` upwards that is the root of a store."""
    for candidate in (path, *path.parents):
        if (candidate / DOCUMENT).is_file():
            if _is_root(Directory(candidate)):
                return candidate
        elif candidate != path and candidate.is_dir():
            return None  # a store has a group on every level, so the search ends here
    return None
