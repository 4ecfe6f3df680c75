"""From what a user types to what dumps are read from: the one place that tells what lies there."""

from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from padiff.errors import FormatError, LocationError, PadiffError
from padiff.store.address import Location, is_elsewhere, local_path, tidy
from padiff.store.base import Store
from padiff.store.foreign.locating import READ, foreign_hierarchy, foreign_store
from padiff.store.format import check_root
from padiff.store.hdf5.locating import dumps_at
from padiff.store.hdf5.names import ROOT_DOCUMENT
from padiff.store.media.archive import Archive
from padiff.store.media.directory import Directory
from padiff.store.media.remote import Remote
from padiff.store.ours import is_group_of_ours, is_hdf5_of_others
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
    found = _zarr_at(path) if (path / DOCUMENT).exists() else _hdf5_at(path)
    if found is not None:
        return found
    if (foreign := foreign_store(path)) is not None:
        return foreign
    raise _nothing_at(path)


def _zarr_at(path: Path) -> tuple[Store, str] | None:
    root = enclosing_root(path)
    if root is None and not is_group_of_ours(Directory(path)):
        return None
    store = ZarrStore(Directory(root or path))
    check_root(store.attributes(""), str(root or path))
    return store, "" if root is None else path.relative_to(root).as_posix().removeprefix(".")


def _hdf5_at(path: Path) -> tuple[Store, str] | None:
    typed = path.resolve() if path.is_symlink() else path  # who types a link means what it leads to
    if (found := dumps_at(typed)) is None or is_hdf5_of_others(typed):
        return None
    above, below_it = found
    store = hdf5_store(above, lone=not (above / ROOT_DOCUMENT).exists())
    store.attributes("")  # what is no root's document is damage
    return store, below_it


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
    if not is_group_of_ours(medium) and (foreign := foreign_store(path)) is not None:
        return foreign
    store = ZarrStore(medium)
    check_root(store.attributes(""), str(archive))
    return store, path.relative_to(archive).as_posix().removeprefix(".")


def _store_behind(url: str) -> tuple[Store, str]:
    root = enclosing_url(url)
    if root is None:
        if (foreign := foreign_hierarchy(Remote(url))) is not None:
            return foreign
        if not Remote(url).has(DOCUMENT):
            raise LocationError(
                f"expected a padiff store at {url}, or a Zarr hierarchy, found none there: check "
                "the URL"
            )
    store = ZarrStore(Remote(root or url))
    check_root(store.attributes(""), root or url)
    return store, url.removeprefix(root or url).strip("/")
