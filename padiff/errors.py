"""Every error padiff raises on purpose.

Each has a parent of our own and one of Python's, so that a caller may catch either. The message is
one sentence: what was expected, what came, where, and the cure.
"""

__all__ = [
    "CorruptError",
    "FormatError",
    "IncompleteError",
    "LocationError",
    "OccupiedError",
    "PadiffError",
    "PadiffWarning",
    "UnreadableError",
    "UsageError",
    "VersionError",
    "WriteError",
]


class PadiffError(Exception):
    """Anything padiff refuses or cannot do."""

    def __str__(self) -> str:
        """One line, whatever names from a file are in it."""
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
            for char in text
        )


class UsageError(PadiffError, ValueError):
    """An argument that padiff does not take."""


class LocationError(PadiffError, FileNotFoundError):
    """Nothing lies at a location, or nothing that can be looked at."""


class UnreadableError(LocationError):
    """What may lie at a location cannot be looked at: no permission, no answer, no files left.

    Nothing is known of it.
    """


class FormatError(PadiffError, ValueError):
    """What lies at a location is not a padiff store, or breaks the format."""


class VersionError(FormatError):
    """The store was written in a format this version does not know."""


class IncompleteError(FormatError):
    """A store without a finished section: the writer was stopped, or nothing was dumped."""


class CorruptError(FormatError):
    """A finished section of which something is missing, cut short or changed."""


class OccupiedError(PadiffError, FileExistsError):
    """Something that is not ours lies where a dump was to be written."""


class WriteError(PadiffError, OSError):
    """The file system refused a write; what had been dumped before is intact."""


class PadiffWarning(UserWarning):
    """What went wrong while a training goes on, as it was asked to."""
