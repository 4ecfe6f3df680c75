"""The command `padiff-check`: compare two stores, print what was found, exit 0, 1 or 2."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

try:  # it takes longer to load this than to start: an interrupt may well come meanwhile
    import click

    from padiff.errors import PadiffError, UsageError, WriteError
    from padiff.version import __version__
except KeyboardInterrupt:
    sys.exit(130)

if TYPE_CHECKING:  # NumPy is loaded when there is something to compare, not for --help
    from padiff.comparing.comparison import Comparison

__all__ = ["check", "command"]

_EXAMPLES = """\b
Examples:
  padiff-check torch.zarr paddle.zarr
  padiff-check torch.zarr/step_9 paddle.zarr/step_9 --mode strict --atol 1e-5
  padiff-check base.zarr raw.zarr --layer 'blocks.7.*' --phase backward
  padiff-check base.zarr raw.zarr --section params --json - | jq .first_divergence

\b
Exit code: 0 aligned; 1 diverged; 2 wrong usage, or a store that cannot be
read, is incomplete, or has nothing in common with the other.
"""


@click.command(
    name="padiff-check", epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.argument("base")
@click.argument("raw")
@click.option(
    "--section",
    "sections",
    multiple=True,
    type=click.Choice(["report", "params", "weights", "grads"]),
    help="Compare only this section. [default: every one that both have]",
)
@click.option(
    "--phase",
    type=click.Choice(["forward", "backward", "both"]),
    default="both",
    show_default=True,
    help="Outputs and weights, gradients, or both.",
)
@click.option(
    "--mode",
    type=click.Choice(["mean", "strict"]),
    default="mean",
    show_default=True,
    help="Hold the mean error of a tensor against the tolerance, or that of every element.",
)
@click.option("--atol", type=float, default=1e-4, show_default=True, help="Absolute tolerance.")
@click.option("--rtol", type=float, default=1e-7, show_default=True, help="Relative tolerance.")
@click.option("--step", "steps", type=int, multiple=True, help="Compare only this step.")
@click.option("--rank", "ranks", type=int, multiple=True, help="Compare only this rank.")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="GLOB",
    help="Compare only layers whose route fits, such as 'blocks.1.*'.",
)
@click.option(
    "--strict-structure",
    is_flag=True,
    help="Count what has no partner as a divergence: steps, ranks, sections, layers, and what the "
    "model itself takes and returns.",
)
@click.option("--jobs", type=int, help="Threads to compare with. [default: one a processor]")
@click.option(
    "--json", "json_file", metavar="FILE", help="Write a JSON document; - for standard output."
)
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    help="Write a page to look at in a browser; - for standard output.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells.")
@click.version_option(__version__, prog_name="padiff-check")
def command(
    base: str,
    raw: str,
    sections: tuple[str, ...],
    phase: str,
    mode: str,
    atol: float,
    rtol: float,
    steps: tuple[int, ...],
    ranks: tuple[int, ...],
    layers: tuple[str, ...],
    strict_structure: bool,
    jobs: int | None,
    json_file: str | None,
    html_file: str | None,
    quiet: bool,
) -> None:
    """Compare two recorded runs, and name the first place where they part.

    BASE is the reference and RAW what is under test: stores that padiff wrote, or a step or rank of
    one.
    """
    try:
        _check_files(json_file, html_file)
        from padiff.comparing.engine import compare

        with _Progress() as progress:
            comparison = compare(
                base,
                raw,
                sections=sections or None,
                phase=phase,
                mode=mode,
                atol=atol,
                rtol=rtol,
                steps=steps or None,
                ranks=ranks or None,
                layers=layers or None,
                strict_structure=strict_structure,
                jobs=jobs,
                progress=progress,
            )
        _write(comparison, json_file, html_file, quiet)
    except (PadiffError, OSError) as error:
        _fail(str(error))
    except MemoryError:
        _fail("expected more memory than there is: compare fewer layers at once, with fewer --jobs")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if comparison.aligned else 1)


def check() -> NoReturn:
    """The command as a process of its own, which ends with it."""
    try:
        command.main()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said, and leaving takes a moment
    raise AssertionError("unreachable: click ends the process")


def _check_files(json_file: str | None, html_file: str | None) -> None:
    for option, name in (("--json", json_file), ("--html", html_file)):
        if name == "":
            raise UsageError(f"expected a file name or - after {option}, got an empty word")
    if json_file is not None and json_file == html_file:
        raise UsageError(
            f"expected different files for --json and --html, got {json_file} for both"
        )


def _write(
    comparison: "Comparison", json_file: str | None, html_file: str | None, quiet: bool
) -> None:
    """All outputs that were asked for; the text unless another takes standard output."""
    from padiff.jsonio import dumps
    from padiff.render.html import render as render_html
    from padiff.render.text import render as render_text

    if html_file is not None:
        _write_document(html_file, render_html(comparison))
    if json_file is not None:
        _write_document(json_file, dumps(comparison.to_json(), indented=True) + "\n")
    if not quiet and "-" not in (json_file, html_file):
        _print(render_text(comparison), getattr(sys.stdout, "encoding", None) or "utf-8")


def _write_document(name: str, text: str) -> None:
    """UTF-8 whatever the terminal's encoding is, to a file or, for `-`, to standard output."""
    if name == "-":
        _print(text, "utf-8")
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
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _print(text: str, encoding: str) -> None:
    """Write to standard output; what its encoding lacks is spelled out."""
    try:
        click.echo(text.encode(encoding, "backslashreplace"), nl=False)
    except OSError as error:
        _give_up(sys.stdout)
        if isinstance(error, BrokenPipeError):  # the reader has seen enough: the exit code counts
            return
        raise WriteError(
            f"expected to write to standard output, but the system refused: {error.strerror}"
        ) from None


def _fail(message: str) -> NoReturn:
    """One line on standard error, whatever the message holds."""
    from padiff.render.words import clean

    try:
        click.echo(f"padiff-check: {clean(message, 1000)}", err=True)
    except OSError:  # nobody may be there to read it: the exit code counts
        _give_up(sys.stderr)
    sys.exit(2)


def _give_up(stream: TextIO) -> None:
    """Write no more to `stream`: what its buffer still holds would fail once more on leaving."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Progress:
    """One line on a terminal's standard error, for work of more than a second; gone at the end."""

    def __init__(self) -> None:
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._start = self._shown = time.monotonic()
        self._written = False

    def __enter__(self) -> Callable[[float], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._written:
            click.echo("\r\033[K", err=True, nl=False)

    def _show(self, share: float) -> None:
        now = time.monotonic()
        if self._terminal and now - self._start > 1 and now - self._shown > 0.1:
            self._shown, self._written = now, True
            click.echo(f"\rcomparing {share:4.0%}", err=True, nl=False)
