"""The commands `padiff` and `padiff-check`: all that prints or exits."""

import sys

try:  # it takes longer to load this than to start: an interrupt may well come meanwhile
    from padiff.cli.commands import check, main
except KeyboardInterrupt:
    sys.exit(130)

__all__ = ["check", "main"]
