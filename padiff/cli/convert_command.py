"""`padiff convert`: write what is read in another format, exit 0 or 2."""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from padiff.cli.options import quiet_option
from padiff.cli.output import Progress, failing_in_one_line, print_note, print_text
from padiff.cli.places import complete_files
from padiff.store.address import is_elsewhere

if TYPE_CHECKING:  # loaded when there is something to convert, not for --help
    from padiff.converting.conversion import Conversion

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  padiff convert run.zarr run.h5
  padiff convert run.zarr run.zarr.zip --compression zstd
  padiff convert run.zarr/step_9 run.safetensors --overwrite
  padiff convert run.zarr/step_9 report.npz --section report

\b
Exit code: 0 DST is there as a whole; 2 wrong usage, or SRC cannot be read or
is damaged, or DST cannot be written: then DST is as it was before; 130
stopped by Ctrl-C, with a line that says what is there of DST.
"""

_NAMED = 8  # in a line
_SECTIONS = ("report", "params", "weights", "grads")


@click.command(
    name="convert",
    epilog=_EXAMPLES,
    short_help="Write a store, a part of one, or a file, in another format.",
)
@click.argument("src", shell_complete=complete_files)
@click.argument("dst", shell_complete=complete_files)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["zarr", "hdf5", "safetensors", "npz"]),
    help="What to write, whatever the suffix of DST is.",
)
@click.option(
    "--section",
    type=click.Choice(_SECTIONS),
    help="Convert this section alone. [default: all; for safetensors and npz the weights]",
)
@click.option(
    "--compression",
    metavar="CODEC",
    help="A codec of Zarr or filter of HDF5, such as zstd or gzip, or its JSON. [default: none]",
)
@click.option("--chunk-bytes", type=int, help="The most that a chunk holds. [default: 16 MiB]")
@click.option(
    "--shard-bytes", type=int, help="The most that a file of Zarr holds. [default: a chunk]"
)
@click.option("--overwrite", is_flag=True, help="Replace what lies at DST, when all is written.")
@quiet_option
def command(
    src: str,
    dst: str,
    kind: Any,
    section: Any,
    compression: str | None,
    chunk_bytes: int | None,
    shard_bytes: int | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write what lies at SRC to DST, in the format of its suffix, a chunk at a time.

    SRC is a store that padiff wrote, or a step, rank or section of one, or what another tool wrote
    (safetensors, npz, npy, HDF5, Zarr, what torch and paddle save). DST ends in .zarr, .zarr.zip,
    .h5, .hdf5, .safetensors or .npz, or is a URL, which takes Zarr. What has digests is held
    against them on the way.
    """
    before = _identity(dst)
    with failing_in_one_line(lambda: _state(dst, before)):
        from padiff.converting.convert import convert

        with Progress("converting") as progress:
            conversion = convert(
                src,
                dst,
                format=kind,
                section=section,
                compression=_compression(compression),
                chunk_bytes=chunk_bytes,
                shard_bytes=shard_bytes,
                overwrite=overwrite,
                progress=progress,
            )
        if not quiet:
            print_text(_text(src, conversion))
            for line in _not_there(conversion):
                print_note(line)
    sys.exit(0)


def _identity(dst: str) -> tuple[int, int] | None:
    """What tells a file or directory from one that takes its place; None where none is."""
    try:
        status = os.lstat(dst)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _state(dst: str, before: tuple[int, int] | None) -> str:
    """What a conversion that was stopped has left."""
    if is_elsewhere(dst):
        return ""  # a program that is told to stop asks no server
    now = _identity(dst)
    if now != before:
        return f" when all was written: {dst} is there as a whole"
    return f", nothing was left at {dst}" if now is None else f", {dst} is as it was before"


def _compression(word: str | None) -> Any:
    """A codec's name, or its JSON with the configuration."""
    from padiff.errors import UsageError

    if word is None or word[:1] not in ("{", "["):
        return word
    try:
        return json.loads(word)
    except ValueError as error:
        raise UsageError(f"expected JSON after --compression, got {word:.80}: {error}") from None


def _text(source: str, conversion: "Conversion") -> str:
    from padiff.render.words import byte_size, clean

    sections = f"{conversion.sections} section{'' if conversion.sections == 1 else 's'}"
    arrays = f"{conversion.arrays} array{'' if conversion.arrays == 1 else 's'}"
    lines = [
        f"CONVERTED: {source} to {conversion.location}, {sections}, {arrays} "
        f"({byte_size(conversion.bytes)})"
    ]
    if conversion.tied:
        more = ", ..." if len(conversion.tied) > _NAMED else ""
        names = ", ".join(conversion.tied[:_NAMED]) + more
        lines.append(f"written once: {names}, of parameters that have another name as well")
    return "".join(f"{clean(line, 1000)}\n" for line in lines)


def _not_there(conversion: "Conversion") -> Iterator[str]:
    """What the source has and DST lacks, a line for each reason."""
    for place in conversion.unfinished:
        yield f"unfinished: {place}, nothing of it was taken"
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in conversion.left_out.items():
        by_reason[reason].append(name)
    for reason, names in by_reason.items():
        more = f", ... ({len(names)} in all)" if len(names) > _NAMED else ""
        yield f"left out: {', '.join(names[:_NAMED])}{more}: {reason}"
