"""Sections of a Zarr hierarchy on a local file system while they are written."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from padiff.dtypes import DType
from padiff.errors import OccupiedError
from padiff.store.base import PartialDump, PartialSection
from padiff.store.exchange import put_in_place
from padiff.store.files import Writing, write_file, write_pieces
from padiff.store.flush import flush_directory, flush_trees
from padiff.store.format import SectionName, digest
from padiff.store.leftovers import Workplace, begin_alone
from padiff.store.storage import Storage
from padiff.store.zarr.array import array_document, chunk_key
from padiff.store.zarr.group import (
    DOCUMENT,
    PLAIN_GROUP,
    holds_dumps,
    refuse_link,
    refuse_occupied,
    section_document,
)

__all__ = ["ZarrPartialDump", "ZarrPartialSection"]


class ZarrPartialSection(PartialSection):
    """A section in a hidden directory beside the place it will take."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace  # which is there as long as it is
        self._path = workplace.path
        self._groups: set[str] = set()

    def create_array(
        self,
        path: str,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        dims: Sequence[str],
    ) -> str:
        # texts, not Paths, which cost more than the system's own part of a small file
        group, array = f"{self._path}/{path.rpartition('/')[0]}", f"{self._path}/{path}"
        document = array_document(shape, element, chunk_shape, dims)
        with Writing(array, len(document)):
            if group not in self._groups:
                os.mkdir(group)  # noqa: PTH102
                write_file(f"{group}/{DOCUMENT}", PLAIN_GROUP)
                self._groups.add(group)
            os.mkdir(array)  # noqa: PTH102
        write_file(f"{array}/{DOCUMENT}", document)
        return digest(document)

    def write_chunk(
        self, path: str, index: tuple[int, ...], pieces: Iterable[memoryview], size: int
    ) -> None:
        write_pieces(f"{self._path}/{path}/{chunk_key(index)}", pieces, size)

    def finish(self, header: bytes) -> None:
        write_file(self._path / DOCUMENT, section_document(header))


class ZarrPartialDump(PartialDump):
    """Each section is renamed into place, all of them flushed to the disk before the first is."""

    def __init__(self, dump: Path, sections: Sequence[SectionName], storage: Storage) -> None:
        self._dump = dump
        self._storage = storage
        self._workplaces: dict[SectionName, Workplace] = {}
        try:
            for name in sections:
                _check_replaceable(dump / name, name)
                with Writing(dump / name, 0):
                    self._workplaces[name] = begin_alone(dump, name, what=f"{dump / name}")
        except BaseException:
            self.discard()
            raise

    def section(self, name: SectionName) -> ZarrPartialSection:
        return ZarrPartialSection(self._workplaces[name])

    def commit(self) -> None:
        if self._storage.durable:
            first = next(iter(self._workplaces.values()))
            flush_trees([place.path for place in self._workplaces.values()], first.descriptor)
        for name, workplace in self._workplaces.items():
            with Writing(self._dump / name, 0):
                put_in_place(workplace.path, self._dump / name)
        if self._storage.durable:
            flush_directory(self._dump)
        self.discard()

    def discard(self) -> None:
        for workplace in self._workplaces.values():
            workplace.remove()


def _check_replaceable(path: Path, name: SectionName) -> None:
    """OccupiedError where something lies that is no section of ours."""
    refuse_link(path)
    if not (path / DOCUMENT).is_file():
        refuse_occupied(path)
    elif holds_dumps(path):
        raise OccupiedError(
            f"expected a {name} or nothing at {path}, found a directory that was dumped "
            "to: choose another place, nothing was changed"
        )
