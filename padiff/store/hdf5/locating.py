"""From a path on the file system to the root of HDF5 dumps and a path below it."""

from pathlib import Path

from padiff.store.hdf5.names import (
    ROOT_DOCUMENT,
    SUFFIXES,
    begun_in,
    file_named,
    group_named,
    holds_dump_files,
    is_number,
)

__all__ = ["documented", "dumps_at", "is_hdf5", "place_for"]


def is_hdf5(path: Path) -> bool:
    """Whether a dump to `path` is one of HDF5: by the first suffix in it, or by where it lies."""
    for name in path.parts:
        if name.endswith((*SUFFIXES, ".zarr")):
            return name.endswith(SUFFIXES)
    return documented(path) is not None


def dumps_at(path: Path) -> tuple[Path, str] | None:
    """The root of the dumps that `path` names and the path below it; None where it names none."""
    above = path
    while not above.is_dir():
        above = above.parent
    names = path.relative_to(above).parts
    if names:
        begun = group_named(names[0]) in begun_in(above)
        if not file_named(above, names[0]).is_file() and not begun:
            return None
    elif not (above / ROOT_DOCUMENT).is_file() and not holds_dump_files(above):
        return None
    root = documented(above) or _unnumbered(above)
    return root, "/".join(map(group_named, path.relative_to(root).parts))


def place_for(path: Path, numbered: bool) -> tuple[Path, list[str], bool]:
    """The root for a dump to `path`, the names below it, and whether it is a file of its own.

    `numbered` tells whether a step or a rank is to follow, so that `path` is a directory; so is one
    without a suffix.
    """
    root = documented(path)
    if root is None:
        named = [each for each in (*reversed(path.parents), path) if each.name.endswith(SUFFIXES)]
        root = named[0] if named else path
    names = list(path.relative_to(root).parts)
    if names or numbered or not path.name.endswith(SUFFIXES) or documented(path):
        return root, names, False
    return path.parent, [path.name], True


def documented(path: Path) -> Path | None:
    """The nearest directory from `path` upwards that has the document of a root."""
    return next((each for each in (path, *path.parents) if (each / ROOT_DOCUMENT).is_file()), None)


def _unnumbered(path: Path) -> Path:
    """The nearest directory from `path` upwards that is none of a step."""
    while is_number(path.name):
        path = path.parent
    return path
