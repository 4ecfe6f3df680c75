"""What lies in a file of another tool: arrays by name, each to be opened when it is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from msgspec import Struct

from padiff.dtypes import DType
from padiff.errors import LocationError
from padiff.store.array import Array

__all__ = ["Contents", "Entry", "below"]


class Entry(Struct, frozen=True):
    """One array; `open` raises CorruptError where it is not there as it is described."""

    shape: tuple[int, ...]
    element: DType
    open: Callable[[], Array]


@dataclass(frozen=True, slots=True)
class Contents:
    """Named arrays in the order in which they lie; names have dots between their parts.

    `kind` tells what it is, such as `a safetensors file`; `framework` whose it is, empty where the
    file does not say. `refused` are names that have no array which padiff can read, and why.
    """

    kind: str
    framework: str
    entries: Mapping[str, Entry]
    refused: Mapping[str, str] = field(default_factory=dict)


def below(contents: Contents, prefix: str, where: str) -> Contents:
    """What is called `prefix.something`, without the prefix; LocationError where nothing is."""
    if not prefix:
        return contents
    start = f"{prefix}."
    kept = {
        name.removeprefix(start): entry
        for name, entry in contents.entries.items()
        if name.startswith(start)
    }
    if not kept:
        tops = list(dict.fromkeys(name.partition(".")[0] for name in contents.entries))
        held = ", ".join(tops[:8]) + (", ..." if len(tops) > 8 else "")
        raise LocationError(
            f"expected arrays called {start}... in {where}, found none: it has {held or 'nothing'}"
        )
    refused = {
        name.removeprefix(start): reason
        for name, reason in contents.refused.items()
        if name.startswith(start)
    }
    return replace(contents, entries=kept, refused=refused)
