"""Putting a finished directory in the place of an older one in a single step."""

import ctypes
import os
import shutil
from contextlib import suppress
from pathlib import Path

__all__ = ["put_in_place"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # of renameat2(2)


def put_in_place(new: Path, final: Path) -> None:
    """Rename the directory `new` to `final`; what was at `final` is then at `new`, or removed.

    Where the system can exchange two names (Linux), no reader ever finds `final` missing;
    elsewhere the older directory is moved aside first, by a name that tells it as a leftover.
    """
    try:
        new.rename(final)
    except OSError:
        if not final.exists():
            raise
    else:
        return
    if _exchange(new, final):
        return
    aside = new.with_name(f"{new.stem}-old{new.suffix}")
    final.rename(aside)
    try:
        new.rename(final)
    except BaseException:
        with suppress(OSError):  # which fails where the new one is in place after all
            aside.rename(final)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two names atomically; False where the system or its file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or a C library without it
        return False
    result = renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE)
    return bool(result == 0)
