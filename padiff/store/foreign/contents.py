"""What lies in a file of another tool: arrays by name, each to be opened when it is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod

from msgspec import Struct

from padiff.dtypes import DType
from padiff.errors import CorruptError, FormatError, LocationError
from padiff.jsonio import LONGEST, MOST_AXES
from padiff.store.array import Array
from padiff.store.chunks import chunk_grid
from padiff.tree import Phase, TensorRecord

__all__ = ["Contents", "Entry", "below", "check_chunks", "check_sizes", "put", "record_of"]

# Bytes of all arrays, and so many times those of the file: elements that lie nowhere, such as those
# of chunks that were left out, take time to compare.
_MOST = 2**36
_MOST_TIMES = 100
_MOST_CHUNKS = 2**20  # of one array: each takes time, whether it is there or not


class Entry(Struct, frozen=True):
    """One array; `open` raises CorruptError where it is not there as it is described."""

    shape: tuple[int, ...]
    element: DType
    open: Callable[[], Array]


@dataclass(frozen=True, slots=True)
class Contents:
    """Named arrays in the order in which they lie; names have dots between their parts.

    `kind` tells what it is, such as `a safetensors file`; `framework` whose it is, empty where the
    file does not say. `refused` are names that have no array which padiff can read, and why;
    `others` those of what is no array at all, such as numbers and texts.
    """

    kind: str
    framework: str
    entries: Mapping[str, Entry]
    refused: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def record_of(
    entry: Entry, array: str, phase: Phase | None, place: str, order: int, *, buffer: bool
) -> TensorRecord:
    """An array in a layer tree; nobody has measured it, and there are no digests of it."""
    return TensorRecord(
        array=array,
        phase=phase,
        place=place,
        shape=entry.shape,
        dtype=entry.element.name,
        device="",
        order=order,
        stats=None,
        chunks=(),
        metadata="",
        buffer=buffer,
    )


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
    others = tuple(n.removeprefix(start) for n in contents.others if n.startswith(start))
    return replace(contents, entries=kept, refused=refused, others=others)


def put(entries: dict[str, Entry], name: str, entry: Entry, where: str) -> None:
    """Add an array; CorruptError where there is one of its name."""
    if name in entries:
        raise CorruptError(
            f"expected one array called {name} in {where}, found two, once their names have dots "
            "between the parts: rename one of them"
        )
    entries[name] = entry


def check_chunks(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> None:
    """FormatError, without the place, for an array in more chunks than any tensor is cut in."""
    count = prod(chunk_grid(shape, chunk_shape))
    if count > _MOST_CHUNKS:
        raise FormatError(f"it is in {count} chunks, of which padiff reads at most {_MOST_CHUNKS}")


def check_sizes(contents: Contents, where: str, held: Callable[[], int]) -> None:
    """CorruptError for an array that NumPy cannot have, or more elements than `held` bytes make."""
    total = 0
    for name, entry in contents.entries.items():
        size = entry.element.itemsize
        for length in entry.shape:
            size *= max(1, length)
        if len(entry.shape) > MOST_AXES or size > LONGEST:
            raise CorruptError(
                f"expected an array that memory can address at {name} in {where}, found the shape "
                f"{list(entry.shape)}: it was changed, so make it again"
            )
        total += size
    if total > _MOST and total > _MOST_TIMES * held():
        raise CorruptError(
            f"expected arrays in {where} of at most {_MOST_TIMES} times its {held()} bytes, found "
            f"{total}: it is made to take time, so it is not read"
        )
