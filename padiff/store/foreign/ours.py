"""What is left of a padiff store, which must not pass for another tool's hierarchy of arrays."""

import re
from collections.abc import Iterable

from padiff.errors import CorruptError
from padiff.store.format import SECTIONS

__all__ = ["is_of_ours", "refuse_ours"]

# How the leaf of an array is called: of a report, and of a section of parameters.
_LEAF = re.compile(r"(input|forward|loss|grad_output|backward)\..+|.+\.(weight|grad)")
_PARTIAL = ".partial"


def is_of_ours(names: Iterable[str]) -> bool:
    """Whether the names that lead to an array are those of one in a section of ours.

    Or of one in a section that is not finished. Those of `weights` alone may be anybody's.
    """
    *above, leaf = names
    sections = set(SECTIONS).intersection(above)
    if any(name.startswith(".") and name.endswith(_PARTIAL) for name in above):
        return True
    return bool(sections - {"weights"}) and _LEAF.fullmatch(leaf) is not None


def refuse_ours(where: str, found: str) -> CorruptError:
    """What to raise where a part of a padiff store lies, but not its root."""
    return CorruptError(
        f"expected a padiff store or another tool's arrays at {where}, found {found} of a padiff "
        "store without its root: name the directory that was dumped to, or copy it again if its "
        "documents are gone"
    )
