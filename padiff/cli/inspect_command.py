"""`padiff inspect`: print what lies at a location, exit 0 or 2."""

import sys

import click

from padiff.cli.options import json_flag, layer_option
from padiff.cli.output import Progress, failing_in_one_line, print_text
from padiff.cli.places import complete_files

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  padiff inspect run.zarr
  padiff inspect run.zarr/step_9 --stats
  padiff inspect run.zarr/step_9/report --layer 'blocks.7.*' --stats
  padiff inspect run.zarr --json | jq '.sections[] | [.step, .nan]'

\b
Exit code: 0 something could be shown, though other parts may be damaged or
unfinished, which is told; 2 wrong usage, or nothing there that can be shown.
"""


@click.command(
    name="inspect",
    epilog=_EXAMPLES,
    short_help="Show what was recorded, and where there is NaN or Inf.",
)
@click.argument("location", shell_complete=complete_files)
@layer_option("Show", ", and all of these: each tensor with a line of its own")
@click.option(
    "--stats", is_flag=True, help="Show min, max, mean, L2 norm, NaN and Inf of each tensor."
)
@json_flag
def command(location: str, layers: tuple[str, ...], stats: bool, as_json: bool) -> None:
    """Show what was recorded: steps, sections, layers, tensors, and where there is NaN or Inf.

    LOCATION is a store that padiff wrote, or a step, rank or section of one, or what another tool
    wrote. Of several dumps one is shown, the first with NaN or Inf if any has. No element is read,
    but for --stats of another tool's files, and nothing is held against its digest but trees:
    padiff verify does that.
    """
    with failing_in_one_line():
        from padiff.inspecting.inspect import inspect
        from padiff.jsonio import dumps
        from padiff.render.inspection import render

        with Progress("reading") as progress:
            inspection = inspect(location, layers=layers or None, measure=stats, progress=progress)
        if as_json:
            print_text(dumps(inspection.to_json(), indented=True) + "\n", "utf-8")
        else:
            print_text(render(inspection, stats=stats))
    sys.exit(0)
