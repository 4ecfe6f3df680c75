"""Directories of `torch.distributed.checkpoint`: tensors in pieces, over the files of all ranks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.errors import CorruptError, FormatError, PadiffError
from padiff.jsonio import LONGEST
from padiff.store.array import Array
from padiff.store.chunks import Selection, empty
from padiff.store.foreign.contents import Contents, Entry
from padiff.store.foreign.elements import torch_element
from padiff.store.foreign.machine import as_text
from padiff.store.foreign.pickles import read_pickle
from padiff.store.foreign.torch_files import NAMES, tensor_in_zip
from padiff.store.foreign.values import file_name, outermost, sizes_of
from padiff.store.raw import OpenFile

__all__ = ["METADATA", "read_distributed"]

METADATA = ".metadata"
KIND = "a directory of torch.distributed.checkpoint"
_ABOUT = "torch.distributed.checkpoint."
_NAMES = (
    *NAMES,
    *(f"{_ABOUT}metadata.{name}" for name in ("Metadata", "MetadataIndex", "StorageMeta")),
    *(f"{_ABOUT}metadata.{name}" for name in ("TensorStorageMetadata", "BytesStorageMetadata")),
    *(f"{_ABOUT}metadata.{name}" for name in ("ChunkStorageMetadata", "TensorProperties")),
    f"{_ABOUT}metadata._MEM_FORMAT_ENCODING",
    f"{_ABOUT}filesystem._StorageInfo",
    "builtins.getattr",  # by which some versions of Python name the members of an enumeration
)

_MOST_PIECES = 10_000  # of one tensor; each is compared with others


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a tensor, and where it lies: a file of torch in a part of a file."""

    selection: Selection
    file: str
    start: int
    size: int


def read_distributed(path: Path) -> Contents:
    """The tensors that the metadata of a directory tells of."""
    file = OpenFile(path / METADATA)
    metadata, _ = read_pickle(file.part(0, file.size), 0, _NAMES, str(path / METADATA))
    try:
        return _contents(path, metadata)
    except PadiffError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorruptError(
            f"expected the metadata of a checkpoint at {path / METADATA}, found something else "
            f"({type(error).__name__} {error}): save it again"
        ) from None


def _contents(path: Path, metadata: Any) -> Contents:
    state = metadata.state
    places: dict[tuple[str, tuple[int, ...]], _Place] = {}
    for index, place in state["storage_data"].items():
        key = index.state["fqn"], sizes_of(index.state.get("offset") or ())
        places[key] = _place(place)
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    others: list[str] = []
    files: dict[str, OpenFile] = {}
    for name, about in state["state_dict_metadata"].items():
        if type(name) is not str:
            raise ValueError("a name that is no text")
        if about.kind != f"{_ABOUT}metadata.TensorStorageMetadata":
            others.append(name)
            continue  # a number or a text
        try:
            entries[name] = _entry(path, name, about.state, places, files)
        except CorruptError:
            raise
        except FormatError as error:
            refused[name] = str(error)
    return Contents(KIND, "torch", entries, refused, outermost(others, [*entries, *refused]))


_Place = tuple[str, int, int]  # the file, the first byte, and how many there are


def _place(value: Any) -> _Place:
    name, start, size = (value.state[key] for key in ("relative_path", "offset", "length"))
    if not all(type(n) is int and 0 <= n <= LONGEST for n in (start, size)):
        raise ValueError("no place in a file")
    return file_name(name), start, size


def _entry(
    path: Path,
    name: str,
    about: Any,
    places: dict[tuple[str, tuple[int, ...]], _Place],
    files: dict[str, OpenFile],
) -> Entry:
    shape = sizes_of(about["size"])
    element = torch_element(as_text(_dtype(about["properties"])))
    if len(about["chunks"]) > _MOST_PIECES:
        raise ValueError(f"{name!r:.80} in more than {_MOST_PIECES} pieces")
    pieces = []
    for chunk in about["chunks"]:
        offsets, sizes = sizes_of(chunk.state["offsets"]), sizes_of(chunk.state["sizes"])
        place = places.get((name, offsets)) or places.get((name, ()))
        inside = all(a + n <= whole for a, n, whole in zip(offsets, sizes, shape, strict=True))
        if place is None or not inside:
            raise CorruptError(
                f"expected all pieces of {name} in {path}, found none for the one at "
                f"{list(offsets)}: save it again"
            )
        selection = tuple(slice(a, a + n) for a, n in zip(offsets, sizes, strict=True))
        pieces.append(_Piece(selection, *place))
    _refuse_overlap(pieces, name, path)
    covered = sum(prod(part.stop - part.start for part in p.selection) for p in pieces)
    if covered != prod(shape):
        raise CorruptError(
            f"expected pieces of {name} in {path} for all of its {list(shape)}, found them for "
            f"{covered} elements: save it again"
        )

    def opened(file: str) -> OpenFile:
        if file not in files:
            files[file] = OpenFile(path / file)
        return files[file]

    return Entry(shape, element, lambda: _Pieces(f"{path}/{name}", shape, element, pieces, opened))


def _refuse_overlap(pieces: Sequence[_Piece], name: str, path: Path) -> None:
    """CorruptError where two pieces hold the same elements: then others are in none."""
    if len(pieces) < 2 or not pieces[0].selection:
        return
    corners = np.array([[(s.start, s.stop) for s in piece.selection] for piece in pieces])
    starts, stops = corners[..., 0], corners[..., 1]
    axis = max(range(starts.shape[1]), key=lambda axis: len(np.unique(starts[:, axis])))
    order = np.argsort(starts[:, axis], kind="stable")
    starts, stops = starts[order], stops[order]
    ends = np.searchsorted(starts[:, axis], stops[:, axis])
    for number, end in enumerate(ends):
        others = slice(number + 1, end)
        common = np.minimum(stops[number], stops[others]) > np.maximum(
            starts[number], starts[others]
        )
        if common.all(axis=1).any():
            raise CorruptError(
                f"expected pieces of {name} in {path} that lie beside each other, found some that "
                "lie over others: save it again"
            )


def _dtype(properties: Any) -> Any:
    """The type of the elements, which is the first of what is kept of a tensor."""
    state = properties.state
    return state["dtype"] if isinstance(state, dict) else state[0]


class _Pieces(Array):
    """A tensor that is put together from pieces, each opened when something of it is read."""

    def __init__(
        self,
        where: str,
        shape: tuple[int, ...],
        element: DType,
        pieces: Sequence[_Piece],
        opened: Callable[[str], OpenFile],
    ) -> None:
        self.shape, self.element = shape, element
        self._where, self._pieces, self._files = where, pieces, opened
        self._open: dict[int, Array] = {}
        first = self._piece(0).chunk_shape if pieces else shape
        self.chunk_shape = tuple(max(1, length) for length in first)

    def _piece(self, number: int) -> Array:
        """Opened once; a map of the last of its chunks stays open as long as the array."""
        found = self._open.get(number)
        if found is None:
            piece = self._pieces[number]
            file = self._files(piece.file)
            try:
                entry = tensor_in_zip(file, piece.start, piece.size, self._where)
            except CorruptError:
                raise
            except FormatError as error:
                raise CorruptError(
                    f"expected a piece of {self._where} in {file.path}, found that {error}: save "
                    "it again"
                ) from None
            expected = tuple(part.stop - part.start for part in piece.selection)
            if (entry.shape, entry.element) != (expected, self.element):
                raise CorruptError(
                    f"expected {self.element.name}{list(expected)} in {piece.file} for a piece of "
                    f"{self._where}, found {entry.element.name}{list(entry.shape)}: save it again"
                )
            found = self._open[number] = entry.open()
        return found

    def check_intact(self) -> None:
        for number in range(len(self._pieces)):
            self._piece(number).check_intact()

    def file_of(self, index: tuple[int, ...] | None) -> str:
        return self._where

    def read(self, selection: Selection, into: NDArray[Any] | None = None) -> NDArray[Any]:
        shape = [part.stop - part.start for part in selection]
        out: NDArray[Any] | None = None
        for number, piece in enumerate(self._pieces):
            common = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(selection, piece.selection, strict=True)
            )
            if any(part.stop <= part.start for part in common):
                continue
            inside = tuple(
                slice(a.start - b.start, a.stop - b.start)
                for a, b in zip(common, piece.selection, strict=True)
            )
            if common == selection:
                return self._piece(number).read(inside, into)
            if out is None:
                out = empty(shape, self.dtype, into)
            target = tuple(
                slice(a.start - b.start, a.stop - b.start)
                for a, b in zip(common, selection, strict=True)
            )
            out[target] = self._piece(number).read(inside)
        if out is None:  # nothing is selected, or the pieces leave it out
            out = np.zeros(shape, self.dtype)
        out.flags.writeable = False
        return out
