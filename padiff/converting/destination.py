"""Where a conversion goes: which format it is to have, and whether it may go there."""

from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from padiff.errors import LocationError, OccupiedError, UnreadableError, UsageError
from padiff.store.address import Location, is_elsewhere, local_path, tidy
from padiff.store.format import has_meaning
from padiff.store.hdf5.locating import documented
from padiff.store.hdf5.names import ROOT_DOCUMENT, SUFFIXES
from padiff.store.media.archive import SUFFIX
from padiff.store.media.remote import Remote
from padiff.store.roots import archive_of, enclosing_root, enclosing_url
from padiff.store.zarr.document import DOCUMENT

__all__ = ["Kind", "check_apart", "check_free", "kind_of"]

Kind = Literal["zarr", "hdf5", "safetensors", "npz"]

_ENDINGS: dict[str, Kind] = {
    ".zarr": "zarr",
    SUFFIX: "zarr",
    **dict.fromkeys(SUFFIXES, "hdf5"),
    ".safetensors": "safetensors",
    ".npz": "npz",
}


_FILE = "a file"
_STORE = "a store"
_EMPTY = "an empty directory"
_BEGUN = "a store whose writer was stopped, or is still at work"
_LINK = "a symbolic link"
_OTHERS = "other files"


def kind_of(location: Location, asked: Kind | None) -> Kind:
    """The format that is asked for, else that of the suffix; UsageError where there is neither."""
    if asked is not None and asked not in get_args(Kind):
        raise UsageError(f"expected the format {' or '.join(get_args(Kind))}, got {asked!r}")
    name = str(location).rstrip("/")
    found = next((kind for end, kind in _ENDINGS.items() if name.endswith(end)), None)
    if is_elsewhere(location):
        if (asked or found or "zarr") != "zarr" or name.endswith(".zip"):
            raise UsageError(
                f"expected a path of a local file system for all but Zarr, got {location}: a URL "
                "takes Zarr, as a hierarchy of objects"
            )
        return "zarr"
    if asked or found:
        return asked or found or "zarr"
    raise UsageError(
        f"expected a path that ends in {', '.join(_ENDINGS)}, got {location}: write the suffix so, "
        "or name the format with --format (format=)"
    )


def check_apart(source: Location, destination: Location) -> None:
    """UsageError where what is read and what is written are the same, or one inside the other."""
    base, made = _resolved(source), _resolved(destination)
    same = base == made or _is_one_file(base, made)
    if same or f"{base}/".startswith(f"{made}/") or f"{made}/".startswith(f"{base}/"):
        relation = "the same" if same else "one inside the other"
        raise UsageError(
            f"expected another place to convert {source} to, got {destination}, which is "
            f"{relation}: choose one beside it"
        )


def _resolved(location: Location) -> str:
    if is_elsewhere(location):
        return tidy(str(location)).rstrip("/")
    return str(local_path(location).resolve())


def _is_one_file(base: str, made: str) -> bool:
    with suppress(OSError, ValueError):
        return Path(base).samefile(made)
    return False


def check_free(location: Location, *, overwrite: bool) -> None:
    """OccupiedError where something lies that may not be replaced, or inside of a store."""
    above: Location | None
    if is_elsewhere(location):
        url = tidy(str(location)).rstrip("/")
        above, found = enclosing_url(url.rpartition("/")[0]), _behind(Remote(url))
    else:
        path = local_path(location)
        above = enclosing_root(path.parent) or documented(path.parent) or archive_of(path.parent)
        found = _at(path)
    if above is not None:
        raise OccupiedError(
            f"expected a place outside of any store to convert to, got {location}, which lies in "
            f"{above}: choose another place, nothing was changed"
        )
    if found is None:
        return
    if found in (_LINK, _OTHERS):
        raise OccupiedError(
            f"expected nothing at {location}, or what may be replaced, found {found}: choose "
            "another place, nothing was changed"
        )
    if not overwrite:
        raise OccupiedError(
            f"expected nothing at {location}, found {found}: choose another place, or have it "
            "replaced with --overwrite (overwrite=True), nothing was changed"
        )


def _at(path: Path) -> str | None:
    """What lies at a path; None where nothing does."""
    if path.is_symlink():
        return _LINK
    if not path.is_dir():
        return (_FILE if path.is_file() else _OTHERS) if path.exists() else None
    if any((path / name).is_file() for name in (DOCUMENT, ROOT_DOCUMENT)):
        return _STORE
    return _OTHERS if any(path.iterdir()) else _EMPTY


def _behind(medium: Remote) -> str | None:
    """What lies behind a URL; None where nothing does."""
    if medium.has(DOCUMENT):
        return _STORE
    try:
        names = medium.directories("")
    except UnreadableError:
        raise
    except LocationError:
        return None
    is_begun = names and all(has_meaning(name) for name in names)
    return _BEGUN if is_begun else _OTHERS
