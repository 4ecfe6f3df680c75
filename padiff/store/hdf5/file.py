"""One HDF5 file that was dumped, open for reading."""

import mmap
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5g, h5l, h5o
from numpy.typing import NDArray

from padiff.errors import CorruptError, FormatError, LocationError, UnreadableError
from padiff.jsonio import Json, loads
from padiff.store.format import ATTRIBUTE, check_root
from padiff.store.hdf5.errors import Reading
from padiff.store.hdf5.probe import check_walk
from padiff.store.hdf5.seal import check_seal
from padiff.store.raw import RawFile, open_file

__all__ = ["Hdf5File", "Identity", "identity_of", "is_held"]

Identity = tuple[int, int, int]
_ATTEMPTS = 3  # at a file that is dumped again while it is opened


def identity_of(path: Path) -> Identity | None:
    """What tells a file from one that takes its place; None where none is."""
    try:
        status = os.stat(path)  # noqa: PTH116  # which takes half the time
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


class Hdf5File:
    """A file whose seal is whole, or that the library came through; as it was when it was opened.

    Raises CorruptError when it was changed or cut short, FormatError when padiff did not write it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for _ in range(_ATTEMPTS):
            self.identity = identity_of(path)
            self.is_sealed, size = _is_sealed(path)
            if not self.is_sealed:
                check_walk(path)
            with Reading(str(path)):
                self._file = h5py.File(path, "r", locking=False)
            if self.identity == identity_of(path):
                break
        else:
            raise CorruptError(
                f"expected {path} to stay as it is while it is opened, found that it was dumped "
                "again meanwhile: open it again"
            )
        self.id = self._file.id
        self.raw = RawFile(path, int(self.id.get_vfd_handle()), size)
        check_root(self.attributes(""), str(path))

    def text(self, path: str) -> bytes:
        """The attribute of ours that a group has, as it lies in the file; empty without."""
        where = f"{self.path}/{path}".rstrip("/")
        with Reading(where):
            group = self.group(path)
            name = ATTRIBUTE.encode()
            if not h5a.exists(group, name):
                return b""
            attribute = h5a.open(group, name)
            value: NDArray[Any] = np.empty((), h5py.string_dtype())
            if attribute.shape != () or not h5py.check_string_dtype(attribute.dtype):
                raise FormatError(f"expected text in the attribute {ATTRIBUTE!r} of {where}")
            attribute.read(value)
            found: object = value.item()
            if isinstance(found, str):
                return found.encode(errors="surrogateescape")
            return found if isinstance(found, bytes) else b""

    def attributes(self, path: str) -> Json:
        """The attributes of ours that a group has; LocationError when there is no such group."""
        text = self.text(path)
        where = f"the attribute {ATTRIBUTE!r} of {self.path}/{path}".rstrip("/")
        return {ATTRIBUTE: loads(text, where)} if text else {}

    def groups(self, path: str) -> list[str]:
        """Names of the groups right below another."""
        with Reading(f"{self.path}/{path}".rstrip("/")):
            group = self.group(path)
            names = [name for name in group if _is_group(group, name)]
            return sorted(name.decode() for name in names)

    def group(self, path: str) -> h5g.GroupID:
        """A group of the file; LocationError when there is none."""
        found: h5o.ObjectID = self.id
        for name in ("/", *filter(None, path.split("/"))):
            if name != "/" and not _is_group(found, name.encode()):
                raise LocationError(f"expected a group at {self.path}/{path}, found none")
            found = h5g.open(found, name.encode())
        return found


def is_held(above: h5g.GroupID, name: bytes) -> bool:
    """Whether a group holds something of that name itself: other links may lead out of the file."""
    links = above.links
    return bool(links.exists(name) and links.get_info(name).type == h5l.TYPE_HARD)


def _is_group(above: h5g.GroupID, name: bytes) -> bool:
    return is_held(above, name) and bool(h5o.get_info(above, name).type == h5o.TYPE_GROUP)


def _is_sealed(path: Path) -> tuple[bool, int]:
    """Whether the file has a seal, and its bytes; what `check_seal` raises."""
    try:
        file, size = open_file(path)
    except UnreadableError:
        raise
    except LocationError:
        raise LocationError(f"expected an HDF5 file at {path}, found none") from None
    try:
        if not size:  # which cannot be mapped
            raise FormatError(f"expected an HDF5 file at {path}, found an empty file")
        with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as held:
            return check_seal(held, str(path)), len(held)
    finally:
        os.close(file)
