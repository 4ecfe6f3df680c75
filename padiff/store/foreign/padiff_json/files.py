"""Where the files lie that the JSON of a dump names: inside of its own directory, and nowhere else.

What the JSON has for them are the paths of the run, which lead nowhere once the dump was moved.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from padiff.errors import CorruptError, FormatError, LocationError, UnreadableError
from padiff.store.foreign.contents import Entry
from padiff.store.foreign.npy import entry_of_file

__all__ = ["Files"]

_SEPARATORS = re.compile(r"[/\\]+")  # the run may have been on Windows


class Files:
    """The arrays that one JSON file, `document`, names by their paths."""

    def __init__(self, document: Path) -> None:
        self.document = document
        self._directory = document.parent
        self._start = f"{self._directory}{os.sep}"
        self._real = os.path.realpath(self._directory)
        self._is_inside: dict[str, bool] = {}  # of directories

    def entry(self, path: str) -> Entry:
        """The array at a path of the run.

        CorruptError where there is none, or none inside of the dump's directory.
        """
        found = self.locate(path)
        try:
            return entry_of_file(found)
        except (CorruptError, UnreadableError):
            raise
        except LocationError:
            raise CorruptError(
                f"expected the array that {self.document} names at {found}, found none: copy the "
                "whole directory again"
            ) from None
        except FormatError as error:
            raise FormatError(
                f"expected an array that padiff compares at {found}: {error}"
            ) from None

    def locate(self, path: str) -> Path:
        """Where a file of the run is now: there if that is inside, else by its last two names."""
        names: Sequence[str] = _SEPARATORS.split(path)
        if path.startswith(self._start):
            names = _SEPARATORS.split(path.removeprefix(self._start))
        else:
            names = names[-2:]
        if not all(map(_is_name, names)):
            raise CorruptError(
                f"expected paths of files in {self.document}, found {path!r:.80}: it was changed "
                "after it was written"
            )
        # there are thousands, and a Path takes long
        found = self._start + os.sep.join(names)  # noqa: PTH118
        if not self._lies_inside(found):
            raise CorruptError(
                f"expected {found} inside of {self._directory}, found a link that leads out of it: "
                "put the file itself there"
            )
        return Path(found)

    def _lies_inside(self, file: str) -> bool:
        if os.path.islink(file):  # noqa: PTH114
            return self._holds(os.path.realpath(file))
        above = file.rpartition(os.sep)[0]
        if above not in self._is_inside:
            self._is_inside[above] = self._holds(os.path.realpath(above))
        return self._is_inside[above]

    def _holds(self, real: str) -> bool:
        return f"{real}{os.sep}".startswith(f"{self._real.rstrip(os.sep)}{os.sep}")


def _is_name(name: str) -> bool:
    if name in ("", ".", "..") or "\0" in name:
        return False
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True
