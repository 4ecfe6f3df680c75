"""Which lines of the user's code led to a layer's call."""

import linecache
import os
import sys
from pathlib import Path
from types import CodeType

from padiff.tree import Frame

__all__ = ["Line", "frames", "lines_here"]

Line = tuple[CodeType, int]  # kept while the model runs; its text is read when it is dumped

MAX_FRAMES = 8
_PADIFF = str(Path(__file__).parents[1])
# Where the code lies that calls tests, if this process runs any.
_RUNNER = getattr(sys.modules.get("_pytest"), "__file__", None)
_RUNNERS = () if _RUNNER is None else (f"{Path(_RUNNER).parent}{os.sep}",)


def lines_here(framework_directory: str) -> list[Line]:
    """The innermost lines being run now, innermost last, in neither padiff nor the framework.

    Nor in what calls a test, and all that called that.
    """
    found: list[Line] = []
    frame = sys._getframe(1)
    while frame is not None and len(found) < MAX_FRAMES:
        code = frame.f_code
        if code.co_filename.startswith(_RUNNERS):
            break
        if not code.co_filename.startswith((framework_directory, _PADIFF, "<frozen")):
            found.append((code, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    found.reverse()
    return found


def frames(lines: list[Line]) -> tuple[Frame, ...]:
    """The lines with file, function and text, as the layer tree holds them."""
    return tuple(
        Frame(
            file=code.co_filename,
            line=number,
            function=code.co_qualname,
            code=linecache.getline(code.co_filename, number).strip(),
        )
        for code, number in lines
    )
