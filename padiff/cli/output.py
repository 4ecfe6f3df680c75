"""What the commands share: printing, files, progress, and failing in one line."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, TextIO

import click

from padiff.errors import PadiffError, UsageError, WriteError
from padiff.render.printable import (  # an interrupted import of more could not be done again
    HEIGHT,
    WIDTH,
    clean,
)

if TYPE_CHECKING:
    from padiff.render.lines import Line

__all__ = [
    "Progress",
    "check_files",
    "failing_in_one_line",
    "output_size",
    "print_error",
    "print_lines",
    "print_note",
    "print_text",
    "write_document",
]


_LEAST_LINES = 24  # of a terminal
_BAR = 24  # cells of the bar
_WITH_BAR = 80  # cells of a line that has room for it
_WIDEST = 118  # what is longer is hard to read
_COLOURS = {
    "": "",
    "good": "bold green",
    "bad": "bold red",
    "mark": "bold",
    "off": "yellow",
    "dim": "dim",
}


@contextmanager
def failing_in_one_line(state: Callable[[], str] | None = None) -> Iterator[None]:
    """End the process with 2 and one line where padiff or the system refuses, never a traceback.

    Ctrl-C ends it with 130 and a line, which goes on with what `state` says of what was written.
    """
    try:
        yield
    except (PadiffError, OSError) as error:
        _fail(str(error))
    except MemoryError:
        _fail("expected more memory than there is: compare fewer layers at once, with fewer --jobs")
    except KeyboardInterrupt:
        print_error(f"stopped{'' if state is None else state()}")
        sys.exit(130)


def check_files(files: Mapping[str, str | None], inputs: Sequence[str] = ()) -> None:
    """UsageError where an option's file has no name, or that of another or of what is read."""
    for option, name in files.items():
        if name == "":
            raise UsageError(f"expected a file name or - after {option}, got an empty word")
        if name is not None and any(_is_one_file(name, read) for read in inputs):
            raise UsageError(f"expected another file than {name} after {option}, which is read")
    named = [name for name in files.values() if name is not None]
    if len(set(named)) < len(named):
        raise UsageError(
            f"expected different files for {' and '.join(files)}, got {named[0]} for both"
        )


def _is_one_file(name: str, other: str) -> bool:
    try:
        return Path(name).samefile(other)
    except (OSError, ValueError):
        return False


def write_document(name: str, text: str) -> None:
    """UTF-8 whatever the terminal's encoding is, to a file or, for `-`, to standard output.

    Directories on the way are made, as they are for stores.
    """
    if name == "-":
        print_text(text, "utf-8")
        return
    try:
        _write_file(Path(name), text.encode("utf-8", "backslashreplace"))
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise WriteError(
            f"expected to write {name}, but the file system refused: {reason}; choose another place"
        ) from None


def _write_file(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that nobody ever reads half of it."""
    if path.exists() and not path.is_file():  # a device or a pipe takes it as it comes
        with path.open("wb", buffering=0) as file:
            while data:
                data = data[file.write(data) :]
        return
    path = path.resolve()  # what a link points to is replaced, not the link
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def print_text(text: str, encoding: str | None = None) -> None:
    """Write to standard output; what its encoding, or the one given, lacks is spelled out."""
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace"), nl=False)
    except OSError as error:
        _give_up(sys.stdout)
        if isinstance(error, BrokenPipeError):  # the reader has seen enough: the exit code counts
            return
        raise WriteError(
            f"expected to write to standard output, but the system refused: {error.strerror}"
        ) from None


def output_size() -> tuple[int, int]:
    """Cells of a line and lines of a screen of standard output, or of what it is piped to."""
    if not _is_terminal():
        given = os.environ.get("COLUMNS", "")
        return int(given) if given.isdecimal() and int(given) else WIDTH, HEIGHT
    columns, lines = shutil.get_terminal_size((WIDTH, _LEAST_LINES))
    return min(columns, _WIDEST), max(lines, _LEAST_LINES) - 1  # the prompt takes one


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def print_lines(lines: Sequence["Line"]) -> None:
    """Write lines to standard output, in colour where that is a terminal and NO_COLOR is unset."""
    if os.environ.get("NO_COLOR") or not (_is_terminal() or os.environ.get("FORCE_COLOR")):
        print_text("".join(f"{''.join(text for text, _ in line)}\n" for line in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:  # what cannot be written is told of by print_text
        for line in lines:
            text = Text.assemble(*((piece, _COLOURS[style]) for piece, style in line))
            console.print(text, soft_wrap=True)
    print_text(capture.get())


def _fail(message: str) -> NoReturn:
    print_error(message)
    sys.exit(2)


def print_error(message: str) -> None:
    """One line on standard error that begins with the command's name."""
    print_note(f"{click.get_current_context().command_path}: {message}")


def print_note(line: str) -> None:
    """One line on standard error, whatever it holds."""
    try:
        click.echo(clean(line, 1000), err=True)
    except OSError:  # nobody may be there to read it: the exit code counts
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Write no more to `stream`: what its buffer still holds would fail once more on leaving."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Tell(Protocol):
    def __call__(self, share: float, done: int = 0, /) -> None:
        """The share done, from 0 to 1, and the bytes of it where they are known."""


class Progress:
    """One line on a terminal's standard error, for work of more than a second; gone at the end.

    It is written as a whole each time: whatever ends the process leaves the terminal as it was.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._start = self._shown = time.monotonic()
        self._written = False

    def __enter__(self) -> _Tell:
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._written:
            click.echo("\r\033[K", err=True, nl=False)

    def _show(self, share: float, done: int = 0, /) -> None:
        now = time.monotonic()
        if self._terminal and now - self._start > 1 and now - self._shown > 0.1:
            self._shown, self._written = now, True
            line = _progress_line(self._doing, share, done, now - self._start)
            click.echo(f"\r{line}\033[K", err=True, nl=False)


def _progress_line(doing: str, share: float, done: int, seconds: float) -> str:
    """What is done, how much of it, bytes, bytes a second, and how long it still takes."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from padiff.render.lines import ending
    from padiff.render.words import byte_size

    read = f"{byte_size(done)}, {byte_size(int(done / seconds))}/s, " if done else ""
    left = f"{_duration(seconds * (1 - share) / share)} left" if share else ""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    texts = (doing, f"{share:4.0%}", read + left)
    if console.width < _WITH_BAR:
        return ending(" ".join(texts).rstrip(), console.width - 1)
    words = (TextColumn(text, markup=False) for text in texts)
    first, *others = words
    bar = BarColumn(_BAR, complete_style="green")
    progress = Progress(first, bar, *others, console=console, auto_refresh=False)
    progress.add_task("", total=1000, completed=int(1000 * share))
    with console.capture() as capture:  # a cell less than there are, or some terminals go on
        console.print(progress.get_renderable(), width=console.width - 1)
    return capture.get().splitlines()[0].rstrip()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
