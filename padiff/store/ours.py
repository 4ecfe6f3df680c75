"""Whether padiff wrote what lies somewhere, whole or damaged: that is never another tool's."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from padiff.errors import CorruptError, FormatError, LocationError
from padiff.jsonio import Json
from padiff.store.format import ATTRIBUTE, SECTIONS
from padiff.store.hdf5.errors import Reading
from padiff.store.hdf5.probe import check_walk
from padiff.store.hdf5.seal import is_sealed
from padiff.store.leftovers import PARTIAL
from padiff.store.media.base import Medium
from padiff.store.zarr.group import attributes_of

__all__ = [
    "is_array_of_ours",
    "is_group_of_ours",
    "is_hdf5_of_others",
    "is_root_of_ours",
    "refuse_ours",
]

# How the leaf of an array is called: of a report, and of a section of parameters.
_LEAF = re.compile(r"(input|forward|loss|grad_output|backward)\..+|.+\.(weight|grad)")


def is_root_of_ours(medium: Medium) -> bool:
    """Whether the group at the root of a medium is that of a store; LocationError without one."""
    try:
        attributes = attributes_of(medium, "")
    except FormatError:
        return False
    return isinstance(found := attributes.get(ATTRIBUTE), dict) and "format" in found


def is_group_of_ours(medium: Medium) -> bool:
    """Whether the group at the root of a medium is any that padiff wrote, damaged or not."""
    try:
        return ATTRIBUTE in attributes_of(medium, "")
    except CorruptError:
        return True
    except (FormatError, LocationError):  # an array, or nothing
        return False


def is_hdf5_of_others(path: Path) -> bool:
    """Whether `path` names, or leads into, an HDF5 file that padiff did not write.

    CorruptError where it is damaged.
    """
    file = next((each for each in (path, *path.parents) if each.exists()), path)
    if not file.is_file():
        return False
    import h5py  # only those who have such a file wait for its library

    if not h5py.is_hdf5(file) or is_sealed(file):
        return False
    check_walk(file)
    with Reading(str(file)), h5py.File(file, "r", locking=False) as held:
        # links that lead out of the file are not followed
        own = [name for name in held if isinstance(held.get(name, getlink=True), h5py.HardLink)]
        if any(ATTRIBUTE in each.attrs for each in (held, *map(held.get, own))):
            return False
        return not held.visititems(_is_dataset_of_ours)


def _is_dataset_of_ours(name: str, found: Any) -> bool | None:
    from h5py import Dataset, h5d

    if not isinstance(found, Dataset) or not _is_in_section(name.split("/")):
        return None  # and the next is asked
    # which padiff sees to, and few others do
    return True if found.id.get_create_plist().get_fill_time() == h5d.FILL_TIME_NEVER else None


def is_array_of_ours(names: Sequence[str], document: Json) -> bool:
    """Whether the names that lead to an array of Zarr 3 are those of one in a section of ours.

    Or of one in a section that is not finished. Chunks are called `c.0.1` by few others.
    """
    dotted = {"name": "default", "configuration": {"separator": "."}}
    return document.get("chunk_key_encoding") == dotted and _is_in_section(names)


def _is_in_section(names: Sequence[str]) -> bool:
    """Whether names are such; those of `weights` alone may be anybody's."""
    *above, leaf = names
    sections = set(SECTIONS).intersection(above)
    if any(name.startswith(".") and name.endswith(PARTIAL) for name in above):
        return True
    return bool(sections - {"weights"}) and _LEAF.fullmatch(leaf) is not None


def refuse_ours(where: str, found: str) -> CorruptError:
    """What to raise where a part of a padiff store lies, but not its root."""
    return CorruptError(
        f"expected a padiff store or another tool's arrays at {where}, found {found} of a padiff "
        "store without its root: name the directory that was dumped to, or copy it again if its "
        "documents are gone"
    )
