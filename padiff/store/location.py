"""From what a user types to what dumps are read from: the one place that tells what lies there."""

from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from padiff.errors import CorruptError, FormatError, LocationError, PadiffError
from padiff.store.address import Location, is_elsewhere, local_path, tidy
from padiff.store.base import Store
from padiff.store.foreign.locating import (
    READ,
    foreign_dumps,
    foreign_hierarchy,
    foreign_store,
)
from padiff.store.format import ATTRIBUTE, check_root, has_meaning
from padiff.store.hdf5.locating import dumps_at
from padiff.store.hdf5.names import ROOT_DOCUMENT
from padiff.store.media.archive import Archive
from padiff.store.media.base import Medium
from padiff.store.media.directory import Directory
from padiff.store.media.remote import Remote
from padiff.store.roots import archive_of, enclosing_root, enclosing_url, hdf5_store
from padiff.store.zarr.document import DOCUMENT
from padiff.store.zarr.store import ZarrStore

__all__ = ["locate_for_reading"]


def locate_for_reading(location: Location) -> tuple[Store, str]:
    """The store that holds `location`, and the path of the group it names.

    Raises LocationError when nothing lies there, FormatError when it is nothing that padiff reads.
    """
    if is_elsewhere(location):
        return _store_behind(tidy(str(location)))
    path = local_path(location)
    try:
        archive = archive_of(path)
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
    has_document = (path / DOCUMENT).exists()
    if not has_document and (found := dumps_at(typed)) is not None and not _is_foreign(typed):
        above, below_it = found
        store = hdf5_store(above, lone=not (above / ROOT_DOCUMENT).exists())
        store.attributes("")  # what is no root's document is damage
        return store, below_it
    root = enclosing_root(path) if has_document else None
    if root is not None or (has_document and _is_ours(Directory(path))):
        zarr = ZarrStore(Directory(root or path))
        check_root(zarr.attributes(""), str(root or path))
        return zarr, "" if root is None else path.relative_to(root).as_posix().removeprefix(".")
    _refuse_rootless(Directory(path))
    if (dumps := foreign_dumps(path)) is not None:
        return dumps
    if (foreign := foreign_store(path)) is not None:
        return foreign, ""
    raise _nothing_at(path)


def _is_ours(medium: Medium) -> bool:
    """Whether the group at the root of a hierarchy is one that padiff wrote, damaged or not."""
    try:
        return ATTRIBUTE in ZarrStore(medium).attributes("")
    except CorruptError:
        return True
    except (FormatError, LocationError):  # an array, or nothing
        return False


def _is_foreign(path: Path) -> bool:
    """Whether an HDF5 file, which `path` names or leads into, is that of another tool."""
    file = next((each for each in (path, *path.parents) if each.exists()), path)
    if not file.is_file():
        return False
    from padiff.store.foreign.hdf5 import is_foreign  # only those who use it wait for its library

    return is_foreign(file)


def _refuse_rootless(medium: Medium) -> None:
    """CorruptError for what padiff wrote and lost the document of its root, or of its group."""
    try:
        names = medium.directories("")
    except LocationError:  # which whoever looks next is told
        return
    ours = [name for name in names if has_meaning(name) and medium.has(f"{name}/{DOCUMENT}")]
    if ours:
        raise CorruptError(
            f"expected {DOCUMENT} of a padiff store in {medium.location} beside "
            f"{', '.join(ours[:5])}, found none: it was removed after it was written, or its "
            "writer was stopped, so copy it again or dump again"
        )


def _nothing_at(path: Path) -> PadiffError:
    if not path.exists():
        above = next(each for each in path.parents if each.exists())
        near: list[str] = []
        with suppress(OSError):  # it may be no directory, or not ours to look into
            names = [each.name for each in above.iterdir()]
            near = get_close_matches(path.relative_to(above).parts[0], names, 2)
        hint = f"did you mean {' or '.join(near)} in {above}?" if near else "check the path"
        return LocationError(f"expected a padiff store at {path}, found nothing there: {hint}")
    if not path.is_dir():
        return FormatError(
            f"expected a padiff store at {path}, or {READ}, found a file that is none of these"
        )
    names = sorted(entry.name for entry in path.iterdir())
    held = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return FormatError(
        f"expected a padiff store at {path}, or {READ}, found a directory without {DOCUMENT} or "
        f"any of these ({held or 'it is empty'}): name the directory that was dumped to"
    )


def _store_in(archive: Path, path: Path) -> tuple[Store, str]:
    if not archive.exists():
        raise LocationError(f"expected a padiff store at {archive}, found nothing there")
    medium = Archive(archive)
    if not _is_ours(medium) and (foreign := foreign_store(path)) is not None:
        return foreign, ""
    store = ZarrStore(medium)
    check_root(store.attributes(""), str(archive))
    return store, path.relative_to(archive).as_posix().removeprefix(".")


def _store_behind(url: str) -> tuple[Store, str]:
    root = enclosing_url(url)
    if root is None:
        if not Remote(url).has(DOCUMENT):
            _refuse_rootless(Remote(url))
        if (foreign := foreign_hierarchy(Remote(url))) is not None:
            return foreign, ""
        if not Remote(url).has(DOCUMENT):
            raise LocationError(
                f"expected a padiff store at {url}, or a Zarr hierarchy, found none there: check "
                "the URL"
            )
    store = ZarrStore(Remote(root or url))
    check_root(store.attributes(""), root or url)
    return store, url.removeprefix(root or url).strip("/")
