"""The Zarr version 3 backend on a local file system.

Documents and raw chunks are plain files, so they are written and memory-mapped directly: a small
array costs a fifteenth of what it does through a general Zarr library, which reads it all the same.
"""

import itertools
import mmap
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.dtypes import DType, dtype_named
from padiff.errors import CorruptError, FormatError, LocationError, OccupiedError, WriteError
from padiff.jsonio import Json, Reader, dumps, loads
from padiff.store.base import Array, PartialSection, Selection, Store
from padiff.store.chunks import chunk_selection
from padiff.store.exchange import put_in_place
from padiff.store.format import check_root, digest, root_attributes

__all__ = ["DOCUMENT", "ZarrArray", "ZarrPartialSection", "ZarrStore"]

DOCUMENT = "zarr.json"
_PARTIAL = ".partial"
_MAP_FROM = 2**18  # bytes; below, reading a chunk is cheaper than mapping it


def _group_document(attributes: Mapping[str, Any]) -> bytes:
    return dumps({"attributes": attributes, "node_type": "group", "zarr_format": 3}).encode(
        errors="surrogatepass"
    )


_PLAIN_GROUP = _group_document({})


def _array_document(
    shape: tuple[int, ...], element: DType, chunk_shape: tuple[int, ...], dims: Sequence[str]
) -> bytes:
    codec: Json = {"name": "bytes"}
    if element.itemsize > 1:
        codec["configuration"] = {"endian": "little"}
    fill: object = {"exact": 0, "real": 0.0, "complex": [0.0, 0.0]}[element.kind]
    return dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "data_type": element.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": False if element.name == "bool" else fill,
            "codecs": [codec],
            "dimension_names": list(dims),
            "attributes": {},
        }
    ).encode()


def _chunk_key(index: tuple[int, ...]) -> str:
    return ".".join(("c", *map(str, index)))


@contextmanager
def _writing(path: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"expected to write {size} bytes to {path}, but the file system refused: "
            f"{error.strerror or error}; free space or choose another place, "
            "what was dumped before is intact"
        ) from error


def _write_file(path: Path, data: bytes | memoryview) -> None:
    with _writing(path, len(data)), path.open("xb", buffering=0) as file:
        view = memoryview(data)
        while view:  # one call writes at most 2 GiB, and less on a full disk before it fails
            view = view[file.write(view) :]


class ZarrArray(Array):
    """One array of a Zarr hierarchy whose chunks are raw little-endian bytes in C order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._document = (path / DOCUMENT).read_bytes()
        except OSError as error:
            raise CorruptError(
                f"expected an array at {path}, but its {DOCUMENT} cannot be read: "
                f"{error.strerror or error}"
            ) from None
        data = Reader(loads(self._document, str(path / DOCUMENT)), str(path / DOCUMENT))
        self._expect(data, "node_type", "array")
        self.shape = data.shape("shape")
        self.element = dtype_named(data.string("data_type"))
        grid = data.object("chunk_grid")
        self._expect(grid, "name", "regular")
        self.chunk_shape = grid.object("configuration").shape("chunk_shape")
        if len(self.chunk_shape) != len(self.shape) or 0 in self.chunk_shape:
            raise CorruptError(
                f"expected one chunk length of at least 1 per axis of {path}, "
                f"found {self.chunk_shape} for the shape {self.shape}"
            )
        codecs = [codec.get("name") for codec in data.items("codecs") if isinstance(codec, dict)]
        if codecs != ["bytes"]:
            raise FormatError(
                f"expected raw chunks (the codec 'bytes' alone) in {path}, found {codecs}"
            )
        self._last: tuple[tuple[int, ...], NDArray[Any]] | None = None

    @staticmethod
    def _expect(data: Reader, key: str, value: str) -> None:
        if (found := data.string(key)) != value:
            raise CorruptError(f"expected {key} {value!r} in {data.where}, found {found!r:.60}")

    def metadata_digest(self) -> str:
        return digest(self._document)

    def chunk_bytes(self, index: tuple[int, ...]) -> memoryview:
        return self._chunk(index).reshape(-1).view(np.uint8).data

    def read(self, selection: Selection) -> NDArray[Any]:
        ranges = [
            range(part.start // chunk, -(-part.stop // chunk))
            for part, chunk in zip(selection, self.chunk_shape, strict=True)
        ]
        if all(len(indices) == 1 for indices in ranges):
            return self._part(tuple(indices[0] for indices in ranges), selection)
        out = np.empty([part.stop - part.start for part in selection], self.dtype)
        for index in itertools.product(*ranges):
            held = chunk_selection(index, self.shape, self.chunk_shape)
            common = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(selection, held, strict=True)
            )
            target = tuple(
                slice(a.start - b.start, a.stop - b.start)
                for a, b in zip(common, selection, strict=True)
            )
            out[target] = self._part(index, common)
        out.flags.writeable = False
        return out

    def _part(self, index: tuple[int, ...], selection: Selection) -> NDArray[Any]:
        """What lies in one chunk, by indices of the whole array."""
        return self._chunk(index)[
            tuple(
                slice(part.start - i * chunk, part.stop - i * chunk)
                for part, i, chunk in zip(selection, index, self.chunk_shape, strict=True)
            )
        ]

    def _chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        # Neighbouring blocks lie in one chunk: opening it once for all of them is most of the
        # speed of small blocks. One assignment, so threads at worst open a chunk twice.
        last = self._last
        if last is None or last[0] != index:
            last = (index, self._open_chunk(index))
            self._last = last
        return last[1]

    def _open_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        path = self._path / _chunk_key(index)
        expected = self.element.itemsize
        for length in self.chunk_shape:
            expected *= length
        try:
            with path.open("rb", buffering=0) as file:
                found = os.fstat(file.fileno()).st_size
                if found != expected:
                    raise CorruptError(
                        f"expected {expected} bytes in the chunk {path}, found {found}: "
                        "it was cut short or changed, so dump it again"
                    )
                data: Any
                if expected >= _MAP_FROM:
                    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                else:
                    data = file.read()
        except OSError as error:
            raise CorruptError(
                f"expected the chunk {path} to be readable: {error.strerror or error}"
            ) from None
        return np.frombuffer(data, self.dtype).reshape(self.chunk_shape)


class ZarrPartialSection(PartialSection):
    """A section in a hidden directory beside the place it will take."""

    def __init__(self, dump: Path, name: str) -> None:
        self._final = dump / name
        if not (self._final / DOCUMENT).is_file():
            _refuse_occupied(self._final)
        self._path = dump / f".{name}.{uuid.uuid4().hex[:12]}{_PARTIAL}"
        self._groups: set[Path] = set()
        with _writing(self._path, 0):
            self._path.mkdir()

    def create_array(
        self,
        path: str,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        dims: Sequence[str],
    ) -> str:
        array = self._path / path
        document = _array_document(shape, element, chunk_shape, dims)
        with _writing(array, len(document)):
            if array.parent not in self._groups:
                array.parent.mkdir()
                _write_file(array.parent / DOCUMENT, _PLAIN_GROUP)
                self._groups.add(array.parent)
            array.mkdir()
        _write_file(array / DOCUMENT, document)
        return digest(document)

    def write_chunk(self, path: str, index: tuple[int, ...], data: memoryview) -> None:
        _write_file(self._path / path / _chunk_key(index), data)

    def commit(self, attributes: Mapping[str, Json]) -> None:
        _write_file(self._path / DOCUMENT, _group_document(attributes))
        with _writing(self._final, 0):
            put_in_place(self._path, self._final)
        self.discard()

    def discard(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


class ZarrStore(Store):
    """A Zarr hierarchy whose root is the directory `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def location(self) -> str:
        return str(self._root)

    def attributes(self, path: str) -> Json:
        document = self._root / path / DOCUMENT
        try:
            data = loads(document.read_bytes(), str(document))
        except (FileNotFoundError, NotADirectoryError):
            raise LocationError(f"expected a Zarr group at {document.parent}, found none") from None
        except OSError as error:
            raise CorruptError(
                f"expected {document} to be readable: {error.strerror or error}"
            ) from None
        reader = Reader(data, str(document))
        if data.get("zarr_format") != 3 or reader.string("node_type") != "group":
            raise FormatError(
                f"expected a Zarr version 3 group in {document}, found something else"
            )
        attributes = data.get("attributes", {})
        if not isinstance(attributes, dict):
            raise FormatError(f"expected attributes to be an object in {document}")
        return attributes

    def groups(self, path: str) -> list[str]:
        return [
            name
            for name in self._directories(path)
            if not name.startswith(".") and (self._root / path / name / DOCUMENT).is_file()
        ]

    def unfinished(self, path: str) -> list[str]:
        names = {
            name[1:].split(".")[0] for name in self._directories(path) if name.endswith(_PARTIAL)
        }
        return sorted(names - set(self.groups(path)))

    def _directories(self, path: str) -> list[str]:
        try:
            with os.scandir(self._root / path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except OSError as error:
            raise LocationError(
                f"expected a directory at {self._root / path}: {error.strerror or error}"
            ) from None

    def array(self, path: str) -> ZarrArray:
        return ZarrArray(self._root / path)

    def begin_section(self, path: str, name: str) -> ZarrPartialSection:
        self.create()
        dump = self._root
        for part in Path(path).parts:
            dump = dump / part
            if not (dump / DOCUMENT).exists():
                _make_group(dump, _PLAIN_GROUP)
        return ZarrPartialSection(dump, name)

    def create(self, claim: Mapping[str, str] | None = None) -> None:
        """Make the root, or check that what lies there is a store that may be added to.

        `claim` replaces the claim of an existing root.
        """
        root = self._root
        if root.is_dir() and (root / DOCUMENT).exists():
            check_root(self.attributes(""), str(root))
            if claim is None:
                return
        else:
            _make_group(root, _group_document(root_attributes(claim)))
            return
        _replace_document(root, _group_document(root_attributes(claim)))


def _make_group(path: Path, document: bytes) -> None:
    """Make a group where nothing is yet; OccupiedError where something else lies."""
    _refuse_occupied(path)
    with _writing(path, len(document)):
        path.mkdir(parents=True, exist_ok=True)
    _replace_document(path, document)


def _refuse_occupied(path: Path) -> None:
    """OccupiedError where something lies that is no group."""
    if path.is_dir():
        # hidden files may be those of another rank that makes the same group just now
        occupied = any(not entry.name.startswith(".") for entry in path.iterdir())
    else:
        occupied = path.exists() or path.is_symlink()
    if occupied:
        kind = "a directory with other files" if path.is_dir() else "a file"
        raise OccupiedError(
            f"expected a padiff store or nothing at {path}, found {kind}: "
            "choose another place, nothing was changed"
        )


def _replace_document(path: Path, document: bytes) -> None:
    beside = path / f".{DOCUMENT}.{uuid.uuid4().hex[:12]}"
    _write_file(beside, document)
    with _writing(path / DOCUMENT, len(document)):
        beside.replace(path / DOCUMENT)
