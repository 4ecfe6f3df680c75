"""A command in a terminal of a given size: what it shows there, and how it ends."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["in_terminal", "without_styles"]

_OF_USERS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")  # as whoever runs the tests has them


def in_terminal(
    command: Sequence[str | Path],
    lines: int = 24,
    columns: int = 80,
    variables: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Exit code, and all that is written to standard output and standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in _OF_USERS}
    process = subprocess.Popen(
        command,
        stdout=theirs,
        stderr=theirs,
        env={**kept, "TERM": "xterm", **(variables or {})},
    )
    os.close(theirs)
    told = b""
    with suppress(OSError):  # which a terminal says where nobody writes to it any more
        while more := os.read(ours, 2**16):
            told += more
    os.close(ours)
    return process.wait(30), told.decode()


def without_styles(text: str) -> str:
    """What is left to read where nothing is in colour."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
