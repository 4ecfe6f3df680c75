"""Where dumps go that are given no place: the one setting of the whole process."""

from pathlib import Path

from padiff.errors import UsageError
from padiff.store.address import is_url

__all__ = ["get_dump_root_path", "set_dump_root_path"]

_dump_root = "padiff_dump"


def set_dump_root_path(path: str | Path) -> None:
    """Where dumps without a `dir_path` go from now on: `path`, made when the first is written.

    Raises UsageError (a ValueError) for a URL.
    """
    if is_url(path):
        raise UsageError(
            f"expected a directory for dumps that are given no place, got {path}: "
            "give the URL to try_dump or dump_report as dir_path"
        )
    global _dump_root
    _dump_root = str(path)


def get_dump_root_path() -> str:
    """Where dumps without a `dir_path` go: `padiff_dump` in the working directory, unless set."""
    return _dump_root
