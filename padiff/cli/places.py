"""How a shell completes what commands take."""

import click
from click.shell_completion import CompletionItem

__all__ = ["complete_files"]


def complete_files(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Files and directories, by the shell's own means."""
    return [CompletionItem(incomplete, type="file")]
