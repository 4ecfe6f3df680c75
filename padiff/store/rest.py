"""The digest of all in a file that has no digest of its own: of what is left beside the chunks."""

import mmap
from collections.abc import Iterable

from padiff.store.format import running_digest

__all__ = ["Extent", "digest_of_rest"]

Extent = tuple[int, int]  # the offset and the number of bytes


def digest_of_rest(held: mmap.mmap, extents: Iterable[Extent], end: int) -> str:
    """Of all bytes before `end` that lie in none of the extents, which come in order."""
    found = running_digest()
    position = 0
    with memoryview(held) as view:
        for start, length in (*extents, (end, 0)):
            with view[position:start] as part:
                found.update(part)
            position = start + length
    return found.hexdigest()
