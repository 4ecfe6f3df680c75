"""`padiff verify`: hold every byte of stores against what was written, exit 0, 1 or 2."""

import sys
from typing import TYPE_CHECKING

import click

from padiff.cli.options import json_option, quiet_option
from padiff.cli.output import (
    Progress,
    check_files,
    failing_in_one_line,
    print_error,
    print_text,
    write_document,
)
from padiff.cli.places import complete_files
from padiff.errors import PadiffError

if TYPE_CHECKING:  # loaded when there is something to verify, not for --help
    from padiff.store.verification import Verification

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  padiff verify run.zarr
  padiff verify run.zarr/step_9 --json - | jq .damages
  padiff verify torch.zarr paddle.zarr && padiff-check torch.zarr paddle.zarr

\b
Exit code: 0 all is what was written; 1 something is damaged, as a file that
has the suffix of a store and is none; 2 wrong usage, or what is no store,
holds nothing finished, or cannot be read. A step that was removed as a whole
leaves no trace: the steps that were found are printed.
"""


@click.command(
    name="verify",
    epilog=_EXAMPLES,
    short_help="Tell every byte of a store that is not as it was written.",
)
@click.argument(
    "locations", metavar="LOCATION...", nargs=-1, required=True, shell_complete=complete_files
)
@click.option("--jobs", type=int, help="Threads to read with. [default: one a processor]")
@json_option
@quiet_option
def command(
    locations: tuple[str, ...], jobs: int | None, json_file: str | None, quiet: bool
) -> None:
    """Read all of what was recorded, and tell every byte that is not as it was written.

    LOCATION is a store that padiff wrote, or a step, rank or section of one. With --json the
    document of several locations is a list.
    """
    with failing_in_one_line():
        check_files({"--json": json_file})
        from padiff.jsonio import dumps
        from padiff.store.verify import verify
        from padiff.threads import check_jobs

        codes, documents = [], []
        check_jobs(jobs)
        for number, location in enumerate(locations, 1):
            of_all = f" {number} of {len(locations)}" if len(locations) > 1 else ""
            try:
                with Progress(f"verifying{of_all}") as progress:
                    verification = verify(location, jobs=jobs, progress=progress)
            except PadiffError as error:
                if len(locations) == 1:
                    raise
                print_error(str(error))  # and go on: what is told of the others counts too
                documents.append({"location": location, "intact": None, "error": str(error)})
                codes.append(2)
                continue
            documents.append(verification.to_json())
            codes.append(_exit_code(verification))
            if not quiet and json_file != "-":
                print_text(_text(verification))
        if json_file is not None:
            document = documents[0] if len(locations) == 1 else documents
            write_document(json_file, dumps(document, indented=True) + "\n")
    sys.exit(1 if 1 in codes else max(codes))


def _exit_code(verification: "Verification") -> int:
    if all(damage.denied for damage in verification.damages):
        return 2 if verification.damages else 0
    return 1


def _text(verification: "Verification") -> str:
    from padiff.render.words import clean

    lines = []
    for damage in verification.damages:
        chunk = "" if damage.chunk is None else f" chunk {damage.chunk}"
        array = "" if damage.array is None else f" array {damage.array}{chunk} of"
        word = "UNREADABLE" if damage.denied else "DAMAGED"
        lines.append(f"{word}{array} {damage.section}: {damage.message}")
    lines += [
        f"unfinished: {place}, nothing of it was looked at" for place in verification.unfinished
    ]
    lines += [
        f"without a seal: {file}, which another tool has rewritten, or which lost its last bytes; "
        "its trees, arrays and chunks were checked, and what lies around them was not"
        for file in verification.uncovered
    ]
    if verification.intact:
        lines.append(f"INTACT: {verification.location}, checked {_checked(verification)}")
    else:
        denied = sum(damage.denied for damage in verification.damages)
        count = len(verification.damages) - denied
        found = f"DAMAGED: {count}" if count else ""
        found += f"{', ' if count else ''}UNREADABLE: {denied}" if denied else ""
        lines.append(
            f"{found} in {verification.location}, intact beside are {_checked(verification)}"
        )
    return "".join(f"{clean(line, 1000)}\n" for line in lines)


def _checked(verification: "Verification") -> str:
    from padiff.render.words import byte_size, ranges

    counts, steps = verification.counts, verification.steps
    words = [
        f"{count} {name}{'' if count == 1 else 's'}"
        for name, count in (
            ("section", counts.sections),
            ("array", counts.arrays),
            ("chunk", counts.chunks),
        )
    ]
    if steps:
        words[0] += f" of step{'' if len(steps) == 1 else 's'} {ranges(steps)}"
    return f"{', '.join(words)} ({byte_size(counts.bytes)})"
