"""A new file, and sections in it while they are written."""

import os
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5p, h5s, h5t
from numpy.typing import NDArray

from padiff.dtypes import DType
from padiff.jsonio import dumps
from padiff.store.base import PartialSection
from padiff.store.chunks import chunk_selection
from padiff.store.files import Writing, write_at
from padiff.store.format import ATTRIBUTE, SectionName, root_attributes
from padiff.store.hdf5.errors import WritingHdf5
from padiff.store.hdf5.filters import chunked_properties, contiguous_properties, is_contiguous
from padiff.store.hdf5.layout import Layout, layout_of, metadata_digest
from padiff.store.hdf5.types import type_of
from padiff.store.leftovers import Workplace
from padiff.store.rest import Extent
from padiff.store.storage import Storage

__all__ = ["Hdf5PartialSection", "NewFile", "extents_of"]

_METADATA_BLOCK = 2**16  # bytes; what HDF5 keeps together, so that tensors lie side by side
_ASIDE = ".spilled"
_ALIGNMENT = 16  # bytes; of the longest element


class NewFile:
    """An HDF5 file while it is written: HDF5 writes the structure, we write most tensors."""

    def __init__(self, path: Path, storage: Storage, workplaces: Sequence[Workplace]) -> None:
        self.path, self.storage = path, storage
        self._workplaces = workplaces  # which are there as long as this is
        self.extents: list[Extent] = []
        self.contiguous = contiguous_properties()
        self.with_groups = h5p.create(h5p.LINK_CREATE)  # makes the groups on the way
        self.with_groups.set_create_intermediate_group(True)
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_file_locking(False, True)
        access.set_fclose_degree(h5f.CLOSE_STRONG)  # with all groups that are still held
        # old enough for tools of today, new enough for groups of any size
        access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
        access.set_meta_block_size(_METADATA_BLOCK)
        access.set_alignment(1, _ALIGNMENT)
        with WritingHdf5(path, _METADATA_BLOCK):
            self.id = h5f.create(os.fsencode(path), h5f.ACC_EXCL, fapl=access)
        self.descriptor = os.open(path, os.O_WRONLY)
        self._held = self.id.get_vfd_handle()  # of HDF5's own descriptor
        _being_written.add(self)
        _set_text(h5g.open(self.id, b"/"), dumps(root_attributes()[ATTRIBUTE]).encode())

    def move_to(self, path: Path, workplaces: Sequence[Workplace]) -> None:
        """Have the file in another place, its sections being out of the way there.

        Raises OSError where that is on another file system.
        """
        self.path.replace(path)
        self.path, self._workplaces = path, workplaces
        with WritingHdf5(path, 0):
            for number, name in enumerate(list(self.id)):
                self.id.links.move(name, self.id, f"{_ASIDE}{number}".encode())

    def drop_aside(self) -> None:
        """Remove what `move_to` put out of the way and nobody adopted."""

        def forget(_: str, found: h5py.Group | h5py.Dataset) -> None:
            if isinstance(found, h5py.Dataset):
                for extent in extents_of(found.id):
                    if extent in self.extents:  # those that go through HDF5 are not known yet
                        self.extents.remove(extent)

        with WritingHdf5(self.path, 0):
            for name in [n for n in self.id if n.startswith(_ASIDE.encode())]:
                h5py.Group(h5g.open(self.id, name)).visititems(forget)
                self.id.unlink(name)

    def abandon(self) -> None:
        """Let go of a file that nobody wants: what HDF5 still holds back goes nowhere.

        Where it cannot write that, as on a full disk, it takes the process down later on.
        """
        if self.id.valid:
            self._divert()
        self.close()

    def _divert(self) -> None:
        """What HDF5 still writes goes nowhere."""
        with _nowhere() as spare:
            os.dup2(spare.fileno(), self._held)

    def close(self) -> None:
        """Let go of the file; what was written is in it. Safe to call twice."""
        descriptor, self.descriptor = self.descriptor, -1  # first: an interrupt calls this again
        if descriptor >= 0:
            os.close(descriptor)
        if self.id.valid:
            with WritingHdf5(self.path, sum(length for _, length in self.extents)):
                self.id.close()


_being_written: weakref.WeakSet[NewFile] = weakref.WeakSet()


def _divert_all() -> None:
    """A fork must not write to its parent's files what HDF5 had not written by then."""
    for file in list(_being_written):
        if file.descriptor >= 0:
            file._divert()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_divert_all)


def _nowhere() -> IO[bytes]:
    """A file in memory, or one without a name where the system has no such thing."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("padiff"), "r+b")
    return tempfile.TemporaryFile()


def _set_text(group: h5g.GroupID, text: bytes) -> None:
    """Give a group the attribute of ours."""
    kind = h5t.py_create(h5py.string_dtype(), logical=True)
    attribute = h5a.create(group, ATTRIBUTE.encode(), kind, h5s.create(h5s.SCALAR))
    attribute.write(np.array(text, h5py.string_dtype()))


@dataclass(frozen=True, slots=True)
class _Placed:
    """A dataset that was made, and where its elements are to be written, if we write them."""

    layout: Layout
    dataset: h5d.DatasetID | None
    offset: int = 0


class Hdf5PartialSection(PartialSection):
    """A group of a file that nobody reads yet."""

    def __init__(self, file: NewFile, name: SectionName) -> None:
        self._file = file
        with WritingHdf5(file.path, 0):
            self._group = h5g.create(file.id, name.encode())
        self._spaces: dict[tuple[int, ...], h5s.SpaceID] = {}
        self._placed: dict[str, _Placed] = {}

    def create_array(
        self,
        path: str,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        dims: Sequence[str],
    ) -> str:
        file = self._file
        contiguous = is_contiguous(file.storage, shape)
        with WritingHdf5(file.path, prod(shape) * element.itemsize):
            space = self._space_of(shape)
            plist = file.contiguous if contiguous else chunked_properties(file.storage, chunk_shape)
            name, kind = path.encode(), type_of(element)
            dataset = h5d.create(self._group, name, kind, space, plist, file.with_groups)
            if contiguous:
                placed = _Placed(Layout(shape, element, None), None, dataset.get_offset() or 0)
                file.extents.append((placed.offset, prod(shape) * element.itemsize))
            else:
                placed = _Placed(layout_of(dataset), dataset)
        self._placed[path] = placed
        return metadata_digest(placed.layout)

    def _space_of(self, shape: tuple[int, ...]) -> h5s.SpaceID:
        """The extent of a shape, of which a model has few."""
        if shape not in self._spaces:
            self._spaces[shape] = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
        return self._spaces[shape]

    def write_chunk(
        self, path: str, index: tuple[int, ...], pieces: Iterable[memoryview], size: int
    ) -> None:
        placed = self._placed[path]
        layout = placed.layout
        selection = chunk_selection(index, layout.shape, layout.chunk_shape)
        if placed.dataset is not None:
            self._write_decoded(placed.dataset, selection, pieces, layout, size)
            return
        start = 0  # chunks cut the first axes, so each is a piece of the whole
        for part, length in zip(selection, layout.shape, strict=True):
            start = start * length + part.start
        held = prod(part.stop - part.start for part in selection) * layout.element.itemsize
        with Writing(self._file.path, size):
            offset = placed.offset + start * layout.element.itemsize
            write_at(self._file.descriptor, offset, pieces, held)

    def _write_decoded(
        self,
        dataset: h5d.DatasetID,
        selection: tuple[slice, ...],
        pieces: Iterable[memoryview],
        layout: Layout,
        size: int,
    ) -> None:
        data = b"".join(pieces)
        counts = tuple(part.stop - part.start for part in selection)
        memory = h5s.create_simple(layout.chunk_shape)
        memory.select_hyperslab((0,) * len(counts), counts)
        space = h5s.create_simple(layout.shape)
        space.select_hyperslab(tuple(part.start for part in selection), counts)
        values = np.frombuffer(data, layout.element.numpy).reshape(layout.chunk_shape)
        with WritingHdf5(self._file.path, size):
            dataset.write(memory, space, values, type_of(layout.element))

    def written(self, path: str) -> NDArray[Any]:
        placed = self._placed[path]
        layout = placed.layout
        if placed.dataset is not None:
            values = np.empty(layout.shape, layout.element.numpy)
            placed.dataset.read(h5s.ALL, h5s.ALL, values, type_of(layout.element))
            return values
        if not prod(layout.shape):
            return np.empty(layout.shape, layout.element.numpy)
        return np.memmap(
            self._file.path, layout.element.numpy, "r", placed.offset, layout.shape or (1,)
        ).reshape(layout.shape)

    def adopt(self, path: str, source: PartialSection, name: str) -> bool:
        if not isinstance(source, Hdf5PartialSection) or source._file is not self._file:
            return False
        layer = path.rpartition("/")[0].encode()
        with WritingHdf5(self._file.path, 0):
            if layer not in self._group:
                h5g.create(self._group, layer)
            source._group.links.move(name.encode(), self._group, path.encode())
        self._placed[path] = source._placed.pop(name)
        return True

    def finish(self, header: bytes) -> None:
        with WritingHdf5(self._file.path, len(header)):
            _set_text(self._group, header)
            h5f.flush(self._file.id)  # so that chunks have their place
        for placed in self._placed.values():
            if placed.dataset is not None:
                self._file.extents += extents_of(placed.dataset)
        self._placed.clear()


def extents_of(dataset: h5d.DatasetID) -> list[Extent]:
    """Where the elements of a dataset lie in its file."""
    if dataset.get_create_plist().get_layout() != h5d.CHUNKED:
        offset = dataset.get_offset()
        return [] if offset is None else [(offset, dataset.get_storage_size())]
    infos = (dataset.get_chunk_info(number) for number in range(dataset.get_num_chunks()))
    return [(info.byte_offset, info.size) for info in infos]
