"""How much room a location takes, where it is quick to find."""

import os
from contextlib import suppress

from padiff.store.address import Location, is_elsewhere, local_path

__all__ = ["bytes_on_disk"]

_MOST = 20_000  # files, whose sizes take half a second


def bytes_on_disk(location: Location) -> int | None:
    """The sizes of all files at a local path; None for what is no file of its own, or many files.

    A step or rank may be a file without its suffix.
    """
    if is_elsewhere(location):
        return None
    with suppress(OSError):  # it may go while it is looked at, or not be ours to look at
        path = local_path(location)
        return path.stat().st_size if path.is_file() else _below(str(path))
    return None


def _below(directory: str) -> int | None:
    """Of all files in a directory; a path object for each would take as long as to look."""
    total = count = 0
    left = [directory]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                    continue
                total += entry.stat(follow_symlinks=False).st_size
                count += 1
        if count > _MOST:
            return None
    return total
