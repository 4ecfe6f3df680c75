"""`padiff verify`: hold every byte of stores against what was written, exit 0, 1 or 2."""

import sys
from typing import TYPE_CHECKING

import click

from padiff.cli.output import Progress, check_files, failing_in_one_line, print_text, write_document

if TYPE_CHECKING:  # loaded when there is something to verify, not for --help
    from padiff.store.verification import Verification

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  padiff verify run.zarr
  padiff verify run.zarr/step_9 --json - | jq .damages
  padiff verify torch.zarr paddle.zarr && padiff-check torch.zarr paddle.zarr

\b
Exit code: 0 all is what was written; 1 something is damaged; 2 wrong usage, or
what cannot be read as a store, or holds nothing finished.
"""


@click.command(name="verify", epilog=_EXAMPLES)
@click.argument("locations", metavar="LOCATION...", nargs=-1, required=True)
@click.option("--jobs", type=int, help="Threads to read with. [default: one a processor]")
@click.option(
    "--json", "json_file", metavar="FILE", help="Write a JSON document; - for standard output."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells.")
def command(
    locations: tuple[str, ...], jobs: int | None, json_file: str | None, quiet: bool
) -> None:
    """Read all of what was recorded, and tell every byte that is not as it was written.

    LOCATION is a store that padiff wrote, or a step, rank or section of one. With --json the
    document of several locations is a list.
    """
    with failing_in_one_line():
        check_files(**{"--json": json_file})
        from padiff.store.verify import verify

        found = []
        for number, location in enumerate(locations, 1):
            of_all = f" {number} of {len(locations)}" if len(locations) > 1 else ""
            with Progress(f"verifying{of_all}") as progress:
                found.append(verify(location, jobs=jobs, progress=progress))
        _write(found, json_file, quiet)
    sys.exit(0 if all(verification.intact for verification in found) else 1)


def _write(found: "list[Verification]", json_file: str | None, quiet: bool) -> None:
    from padiff.jsonio import dumps

    if json_file is not None:
        documents = [verification.to_json() for verification in found]
        document = documents[0] if len(documents) == 1 else documents
        write_document(json_file, dumps(document, indented=True) + "\n")
    if not quiet and json_file != "-":
        print_text("".join(map(_text, found)))


def _text(verification: "Verification") -> str:
    from padiff.render.words import clean

    lines = []
    for damage in verification.damages:
        chunk = "" if damage.chunk is None else f" chunk {damage.chunk}"
        array = "" if damage.array is None else f" array {damage.array}{chunk} of"
        lines.append(f"DAMAGED{array} {damage.section}: {damage.message}")
    lines += [
        f"unfinished: {place}, nothing of it was looked at" for place in verification.unfinished
    ]
    counts = verification.counts
    words = ", ".join(
        f"{count} {name}{'' if count == 1 else 's'}"
        for name, count in (
            ("section", counts.sections),
            ("array", counts.arrays),
            ("chunk", counts.chunks),
        )
    )
    words += f" ({_size(counts.bytes)})"
    if verification.intact:
        lines.append(f"INTACT: {verification.location}, checked {words}")
    else:
        count = len(verification.damages)
        lines.append(f"DAMAGED: {count} in {verification.location}, intact beside are {words}")
    return "".join(f"{clean(line, 1000)}\n" for line in lines)


def _size(count: int) -> str:
    """Bytes in the unit that leaves few digits."""
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.3g} {units[0]}" if units[0] != "bytes" else f"{count} bytes"
