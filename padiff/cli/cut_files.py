"""Files that others cut short while they are read."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ending_in_one_line"]

_SAID = (
    "expected what is read to stay as it is, found a file of it cut short meanwhile: wait until "
    "whoever writes it is done, and run this again"
)


@contextmanager
def ending_in_one_line(program: str) -> Iterator[None]:
    """Have the process end with 2 and one line where a part of a file that is mapped is gone.

    The system tells of that by a signal, on which Python's own handlers never come to run.
    """
    if not hasattr(signal, "SIGBUS"):
        yield
        return
    import ctypes  # which takes a while

    def end(_: int) -> None:
        os.write(2, f"{program}: {_SAID}\n".encode())
        os._exit(2)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(end)  # to be kept as long as it may come
    ctypes.CDLL(None).signal(signal.SIGBUS, handler)
    yield
