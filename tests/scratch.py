"""Directories for tests of what is in dumps, and not of how they come to the disk."""

import tempfile
from pathlib import Path

__all__ = ["scratch"]

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A directory in memory, where the system has one.

    Of many small files, a disk takes longer to make and remove them than all else takes.
    """
    return tempfile.TemporaryDirectory(dir=_MEMORY)
