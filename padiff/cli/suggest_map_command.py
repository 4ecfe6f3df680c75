"""`padiff suggest-map`: a table of which tensor is which, for a person to look through and edit."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from padiff.cli.output import (
    Progress,
    check_files,
    failing_in_one_line,
    print_text,
    write_document,
)
from padiff.cli.places import complete_files
from padiff.errors import UsageError

if TYPE_CHECKING:  # NumPy is loaded when there is something to read, not for --help
    from padiff.naming.table import NamedPair

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  padiff suggest-map torch.safetensors paddle.pdparams > names.csv
  padiff suggest-map torch.zarr/step_9 paddle.pdparams | grep -v certain
  padiff suggest-map torch.safetensors paddle.pdparams -o map.csv &&
    padiff check torch.safetensors paddle.pdparams --map map.csv

\b
Exit code: 0 a table was written; 2 wrong usage, or what cannot be read.
"""


@click.command(
    name="suggest-map",
    epilog=_EXAMPLES,
    short_help="Suggest which weights are which, where names differ.",
)
@click.argument("base", shell_complete=complete_files)
@click.argument("raw", shell_complete=complete_files)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    shell_complete=complete_files,
    help="A new file for the table. [default: standard output]",
)
def command(base: str, raw: str, output: str) -> None:
    """Suggest which weights of BASE are which of RAW, where their names differ.

    The table has a row for each pair: the names, how the elements lie (transposed, or a part of a
    tensor that is several on the other side), and how sure it is. Pairs of equal values are
    certain; others are likely, or a guess. Look through it, edit it, and give it to --map.
    """
    with failing_in_one_line():
        check_files({"--output": output})
        if output != "-" and Path(output).exists():  # which a person may have edited, or weights
            raise UsageError(
                f"expected the name of a new file after --output, found that {output} is there: "
                "choose another, or remove it"
            )
        from padiff.naming.suggest import suggest_map
        from padiff.naming.table import table_text

        with Progress("reading") as progress:
            rows = suggest_map(base, raw, progress=progress)
        if output == "-":
            print_text(table_text(rows), "utf-8")
        else:
            write_document(output, table_text(rows))
            print_text(_summary(rows))
    sys.exit(0)


def _summary(rows: "list[NamedPair]") -> str:
    """How many pairs there are, and how sure they are."""
    pairs: Counter[str] = Counter(row.certainty for row in rows if row.certainty is not None)
    known = [f"{pairs[kind]} {word}" for kind, word in _WORDS.items() if pairs[kind]]
    alone = sum(row.certainty is None for row in rows)
    lone = f"; {alone} without a partner" if alone else ""
    return f"{sum(pairs.values())} pairs: {', '.join(known) or 'none'}{lone}\n"


_WORDS = {"certain": "certain", "likely": "likely", "guess": "guessed"}
