"""Options that several commands have, with one meaning in all of them."""

from collections.abc import Callable
from typing import Any

import click

from padiff.cli.places import complete_files

__all__ = ["json_flag", "json_option", "layer_option", "naming_options", "quiet_option"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def layer_option(doing: str, more: str = "") -> Decorator:
    """`--layer`, and what a command does with the layers that fit."""
    return click.option(
        "--layer",
        "layers",
        multiple=True,
        metavar="GLOB",
        help=f"{doing} only layers whose route fits, such as 'blocks.1.*'{more}.",
    )


def naming_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--rename` and `--map`, for names that differ."""
    for option in reversed((_rename, _map)):
        command = option(command)
    return command


_rename = click.option(
    "--rename",
    multiple=True,
    metavar="REGEX=REPLACEMENT",
    help="Rename layers and parameters of RAW, such as '^module\\.='; may be given again.",
)
_map = click.option(
    "--map",
    "name_map",
    metavar="FILE",
    shell_complete=complete_files,
    help="A table of names, as padiff suggest-map writes it.",
)
json_option = click.option(
    "--json",
    "json_file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Write a JSON document; - for standard output.",
)
json_flag = click.option("--json", "as_json", is_flag=True, help="Print a JSON document instead.")
quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells."
)
