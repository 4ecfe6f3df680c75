"""Walk an HDF5 file in a process of its own: `python -m padiff.store.hdf5.probe FILE`.

The HDF5 library may crash on a damaged file. Here it may do so in peace.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from padiff.errors import CorruptError
from padiff.store.files import unreadable

__all__ = ["check_walk", "walk"]

_SECONDS = 60
_BYTES = 8 * 2**30
_DEEPEST = 256  # of groups in groups


def check_walk(path: Path) -> None:
    """CorruptError when the library does not come through all of the file's structure."""
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    if not _comes_through(path, status.st_ino, status.st_ctime_ns):
        raise CorruptError(
            f"expected an HDF5 file at {path}, found one that the HDF5 library does not come "
            "through: it was changed by another tool or is damaged, so dump it again"
        )


@lru_cache(64)  # who looks for what made the file asks first, and who reads it then
def _comes_through(path: Path, number: int, changed: int) -> bool:
    # -P: no module of the working directory, which may be a stranger's
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", __name__, str(path)]
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command, env=environment, timeout=2 * _SECONDS, capture_output=True, check=False
        )
        return done.returncode == 0
    return False


def walk(file: Any) -> Iterator[tuple[str, Any]]:
    """All groups and datasets of a file with their paths, each once; no link is followed.

    Raises ValueError where groups lie too deep in others.
    """
    import h5py  # after the limits are set

    left, seen = [("", file["/"])], set()
    while left:
        path, found = left.pop()
        place = h5py.h5o.get_info(found.id).addr
        if place in seen:
            continue
        seen.add(place)
        yield path, found
        if not isinstance(found, h5py.Group):
            continue
        if path.count("/") > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} groups in groups")
        names = [name for name in found if type(found.get(name, getlink=True)) is h5py.HardLink]
        left += [(f"{path}/{name}".lstrip("/"), found[name]) for name in reversed(names)]


def _walk(path: str) -> None:
    import h5py

    with h5py.File(path, locking=False) as file:
        for name, found in walk(file):
            if not isinstance(found, h5py.Group | h5py.Dataset):
                continue  # a type
            for attribute in found.attrs:
                found.attrs.get_id(attribute).dtype  # noqa: B018  # asked for what it may crash on
            if isinstance(found, h5py.Dataset) and found.chunks:
                found.id.chunk_iter(lambda _: None)
            if "/" not in name:
                dict(found.attrs)


def _limit() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit()
    _walk(sys.argv[1])
