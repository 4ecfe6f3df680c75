"""`padiff-check`: compare two stores, print what was found, exit 0, 1 or 2."""

import sys
from typing import TYPE_CHECKING

import click

from padiff.cli.options import json_option, layer_option, naming_options, quiet_option
from padiff.cli.output import (
    Progress,
    check_files,
    failing_in_one_line,
    output_size,
    print_lines,
    write_document,
)
from padiff.cli.places import complete_files
from padiff.version import __version__

if TYPE_CHECKING:  # NumPy is loaded when there is something to compare, not for --help
    from padiff.comparing.comparison import Comparison

__all__ = ["command"]

_CLOSE_UPS = 400  # pairs of tensors whose insides a page shows: some 3 MB

_EXAMPLES = """\b
Examples:
  padiff-check torch.zarr paddle.zarr
  padiff-check torch.zarr/step_9 paddle.zarr/step_9 --mode strict --atol 1e-5
  padiff-check base.zarr raw.zarr --layer 'blocks.7.*' --phase backward
  padiff-check base.zarr raw.zarr --json - | jq .first_divergence

\b
Exit code: 0 aligned; 1 diverged; 2 wrong usage, or a store that cannot be
read, is incomplete, or has nothing in common with the other.
"""


@click.command(
    name="padiff-check",
    epilog=_EXAMPLES,
    short_help="Compare two runs, and name the first place where they part.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("base", shell_complete=complete_files)
@click.argument("raw", shell_complete=complete_files)
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
@layer_option("Compare")
@naming_options
@click.option(
    "--strict-structure",
    is_flag=True,
    help="Count what has no partner as a divergence: steps, ranks, sections, layers, and what the "
    "model itself takes and returns.",
)
@click.option(
    "--no-digest",
    is_flag=True,
    help="Read all chunks, those with equal digests too: damage on disk is no longer passed over.",
)
@click.option("--jobs", type=int, help="Threads to compare with. [default: one a processor]")
@json_option
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Write a page to look at in a browser; - for standard output.",
)
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="Print more than a screen: the whole trees, all that differs, all without a partner.",
)
@quiet_option
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
    rename: tuple[str, ...],
    name_map: str | None,
    strict_structure: bool,
    no_digest: bool,
    jobs: int | None,
    json_file: str | None,
    html_file: str | None,
    show_all: bool,
    quiet: bool,
) -> None:
    """Compare two recorded runs, and name the first place where they part.

    BASE is the reference and RAW what is under test: stores that padiff wrote, or a step or rank of
    one; or files of other tools, such as .safetensors, .npz, .pt, .pdparams, HDF5 and Zarr.

    Chunks whose digests are equal on both sides count as equal and are not read. Where a store may
    have been damaged since it was written, run padiff verify on it first, or use --no-digest.
    """
    with failing_in_one_line():
        check_files({"--json": json_file, "--html": html_file}, (base, raw))
        from padiff.comparing.engine import compare

        with Progress("comparing") as progress:
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
                rename=rename,
                name_map=name_map,
                strict_structure=strict_structure,
                digests=not no_digest,
                jobs=jobs,
                close_ups=0 if html_file is None else _CLOSE_UPS,
                progress=progress,
            )
        _write_documents(comparison, json_file, html_file)
        if not quiet and "-" not in (json_file, html_file):
            from padiff.render.terminal import screen

            width, height = output_size()
            print_lines(screen(comparison, width, None if show_all else height))
    sys.exit(0 if comparison.aligned else 1)


def _write_documents(
    comparison: "Comparison", json_file: str | None, html_file: str | None
) -> None:
    """Those that were asked for."""
    if html_file is not None:
        from padiff.render.page import render as render_html

        write_document(html_file, render_html(comparison))
    if json_file is not None:
        from padiff.jsonio import dumps

        write_document(json_file, dumps(comparison.to_json(), indented=True) + "\n")
