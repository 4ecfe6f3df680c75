"""Walk an HDF5 file in a process of its own: `python -m padiff.store.hdf5.probe FILE`.

The HDF5 library may crash on a damaged file. Here it may do so in peace.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from padiff.errors import CorruptError

__all__ = ["check_walk"]

_SECONDS = 60
_BYTES = 8 * 2**30


def check_walk(path: Path) -> None:
    """CorruptError when the library does not come through all of the file's structure."""
    # -P: no module of the working directory, which may be a stranger's
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", __name__, str(path)]
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command, env=environment, timeout=2 * _SECONDS, capture_output=True, check=False
        )
        if done.returncode == 0:
            return
    raise CorruptError(
        f"expected an HDF5 file at {path}, found one that the HDF5 library does not come through: "
        "it was changed by another tool or is damaged, so dump it again"
    )


def _walk(path: str) -> None:
    import h5py  # after the limits are set

    def visit(name: str, found: h5py.Group | h5py.Dataset) -> None:
        for attribute in found.attrs:
            found.attrs.get_id(attribute).dtype  # noqa: B018  # asked for what it may crash on
        if isinstance(found, h5py.Dataset) and found.chunks:
            for number in range(found.id.get_num_chunks()):
                found.id.get_chunk_info(number)

    with h5py.File(path, locking=False) as file:
        visit("", file)
        file.visititems(visit)
        for section in file.values():
            dict(section.attrs)


def _limit() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit()
    _walk(sys.argv[1])
