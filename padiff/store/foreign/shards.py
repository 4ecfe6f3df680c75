"""Tensors over several files, as large models are published: with an index, or without."""

from collections.abc import Collection
from pathlib import Path

from padiff.errors import CorruptError, FormatError
from padiff.jsonio import Reader, loads
from padiff.store.foreign.contents import Contents, Entry
from padiff.store.foreign.safetensors import read_safetensors
from padiff.store.foreign.torch_files import read_torch
from padiff.store.foreign.values import file_name
from padiff.store.foreign.zips import members_of
from padiff.store.raw import OpenFile

__all__ = ["INDEX", "index_in", "read_index", "read_shards"]

INDEX = ".index.json"
_LONGEST = 2**28  # bytes of an index
_SUFFIX = ".safetensors"


def index_in(path: Path) -> Path | None:
    """The index in a directory, that of `.safetensors` first; None where it has none."""
    found = sorted(path.glob(f"*{INDEX}"), key=lambda each: (_SUFFIX not in each.name, each.name))
    return found[0] if found else None


def read_index(path: Path) -> Contents:
    """The tensors that an index tells the files of; these lie beside it."""
    file = OpenFile(path)
    if file.size > _LONGEST:
        raise FormatError(f"expected an index of at most {_LONGEST} bytes at {path}, found more")
    index = Reader(loads(bytes(file.part(0, file.size)), str(path)), str(path)).object("weight_map")
    names = {name: index.string(name) for name in index.values}
    for shard in set(names.values()):
        try:
            file_name(shard)
        except ValueError:
            raise CorruptError(
                f"expected the names of files beside {path} in it, found {shard!r:.80}: it was "
                "changed, so make it again"
            ) from None
    held = {shard: _read(path.parent / shard) for shard in dict.fromkeys(names.values())}
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for name, shard in names.items():
        if name in held[shard].entries:
            entries[name] = held[shard].entries[name]
        elif name in held[shard].refused:
            refused[name] = held[shard].refused[name]
        else:
            raise CorruptError(
                f"expected {name} in {path.parent / shard}, as {path.name} says, found no such "
                "tensor: the files are not of one model"
            )
    return _together(held.values(), entries, refused)


def read_shards(path: Path) -> Contents:
    """The tensors of all `.safetensors` files in a directory."""
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    held = [_read(file) for file in sorted(path.glob(f"*{_SUFFIX}"))]
    for contents in held:
        twice = next((name for name in contents.entries if name in entries), None)
        if twice is not None:
            raise FormatError(
                f"expected each tensor in one of the {_SUFFIX} files in {path}, found {twice} in "
                "two: name one of the files"
            )
        entries.update(contents.entries)
        refused.update(contents.refused)
    return _together(held, entries, refused)


def _read(path: Path) -> Contents:
    if path.name.endswith(_SUFFIX):
        return read_safetensors(path)
    file = OpenFile(path)
    return read_torch(file, members_of(file))


def _together(
    held: Collection[Contents], entries: dict[str, Entry], refused: dict[str, str]
) -> Contents:
    frameworks = {contents.framework for contents in held}
    framework = frameworks.pop() if len(frameworks) == 1 else ""
    others = tuple(dict.fromkeys(name for contents in held for name in contents.others))
    return Contents("files of one model", framework, entries, refused, others)
