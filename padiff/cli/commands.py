"""The commands as processes of their own: `padiff` with all of them, and `padiff-check`."""

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import click

from padiff._kernel import end_when_cut_short
from padiff.cli.check_command import command as check_command
from padiff.cli.completion_command import command as completion_command
from padiff.cli.convert_command import command as convert_command
from padiff.cli.diff_tree_command import command as diff_tree_command
from padiff.cli.inspect_command import command as inspect_command
from padiff.cli.suggest_map_command import command as suggest_map_command
from padiff.cli.verify_command import command as verify_command
from padiff.version import __version__

__all__ = ["check", "group", "main"]

_CUT_SHORT = (
    "expected what is read to stay as it is, found a file of it cut short meanwhile: wait until "
    "whoever writes it is done, and run this again"
)

_EXAMPLES = """\b
Examples:
  padiff inspect torch.zarr
  padiff verify torch.zarr paddle.zarr
  padiff diff-tree torch.zarr paddle.zarr
  padiff convert torch.zarr/step_9 step_9.safetensors
  padiff check torch.zarr paddle.zarr --html comparison.html
"""


@click.group(
    name="padiff", epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="padiff")
def group() -> None:
    """Work with recorded runs of neural networks: look into them, compare them, look after them."""


group.add_command(check_command, "check")
group.add_command(verify_command, "verify")
group.add_command(inspect_command, "inspect")
group.add_command(diff_tree_command, "diff-tree")
group.add_command(convert_command, "convert")
group.add_command(suggest_map_command, "suggest-map")
group.add_command(completion_command, "completion")


def main() -> NoReturn:
    """`padiff`, which ends the process."""
    _run(group, "padiff")


def check() -> NoReturn:
    """`padiff-check`, which does as well."""
    _run(check_command, "padiff-check")


def _run(command: click.Command, name: str) -> NoReturn:
    try:
        end_when_cut_short(f"{name}: {_CUT_SHORT}\n")
        # on its own click would end an interrupt outside of the command itself with 1: diverged
        sys.exit(command.main(prog_name=name, standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:  # of what is written by click itself, as --help
        with suppress(OSError):
            print(f"{name}: expected to write, found {error.strerror}", file=sys.stderr)
        os._exit(2)  # what is still to be written would fail again
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said, and leaving takes a moment
