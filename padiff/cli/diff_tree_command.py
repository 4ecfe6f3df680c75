"""`padiff diff-tree`: compare the layers of two stores and none of their elements, exit 0, 1, 2."""

import sys

import click

from padiff.cli.options import json_flag, layer_option, naming_options
from padiff.cli.output import Progress, failing_in_one_line, print_text
from padiff.cli.places import complete_files

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  padiff diff-tree torch.zarr paddle.zarr
  padiff diff-tree base.zarr/step_9 raw.zarr/step_9 --layer 'blocks.*'
  padiff diff-tree base.zarr raw.zarr --json | jq '.differences[] | .kind'

\b
Exit code: 0 the same structure; 1 another; 2 wrong usage, or a store that
cannot be read, is incomplete, or has nothing in common with the other.
"""


@click.command(
    name="diff-tree",
    epilog=_EXAMPLES,
    short_help="Compare the layers of two runs, and none of their elements.",
)
@click.argument("base", shell_complete=complete_files)
@click.argument("raw", shell_complete=complete_files)
@layer_option("Compare")
@naming_options
@json_flag
def command(
    base: str,
    raw: str,
    layers: tuple[str, ...],
    rename: tuple[str, ...],
    name_map: str | None,
    as_json: bool,
) -> None:
    """Compare the layers of two recorded runs: what one side lacks, and what is another.

    Told are layers and tensors of one side, and of those that go together another class, setting
    (such as eps=1e-05 and eps=1e-06), shape, dtype or order. BASE and RAW are stores that padiff
    wrote, or a step or rank of one; or files of other tools, such as .safetensors, .npz, .pt,
    .pdparams, HDF5 and Zarr, which have names and shapes alone. No element is read.
    """
    with failing_in_one_line():
        from padiff.comparing.diff_tree import diff_tree
        from padiff.jsonio import dumps
        from padiff.render.structure import render

        with Progress("reading") as progress:
            difference = diff_tree(
                base,
                raw,
                layers=layers or None,
                rename=rename,
                name_map=name_map,
                progress=progress,
            )
        if as_json:
            print_text(dumps(difference.to_json(), indented=True) + "\n", "utf-8")
        else:
            print_text(render(difference))
    sys.exit(0 if difference.same else 1)
