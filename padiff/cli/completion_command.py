"""`padiff completion`: print what makes a shell complete the commands."""

import sys

import click
from click.shell_completion import get_completion_class

from padiff.cli.output import failing_in_one_line, print_text

__all__ = ["command"]

_COMMANDS = ("padiff", "padiff-check")

_EXAMPLES = """\b
Examples:
  eval "$(padiff completion bash)"     # a line for ~/.bashrc
  eval "$(padiff completion zsh)"      # a line for ~/.zshrc, after compinit
  padiff completion fish > padiff.fish # to lie in ~/.config/fish/conf.d
"""


@click.command(
    name="completion",
    epilog=_EXAMPLES,
    short_help="Print a script that makes a shell complete the commands.",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a script that makes SHELL complete commands, options, their choices, and files."""
    with failing_in_one_line():
        kind = get_completion_class(shell)
        assert kind is not None  # click has one for each of these
        for name in _COMMANDS:
            variable = f"_{name.replace('-', '_')}_COMPLETE".upper()
            # which command it is of does not show in it: that is asked when something is completed
            print_text(kind(command, {}, name, variable).source() + "\n")
    sys.exit(0)
