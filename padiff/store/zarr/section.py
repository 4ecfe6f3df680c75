"""Sections of a Zarr hierarchy while they are written."""

from collections.abc import Iterable, Sequence

from padiff.dtypes import DType
from padiff.store.base import PartialDump, PartialSection
from padiff.store.format import SectionName, digest
from padiff.store.media.base import Pending
from padiff.store.zarr.array import DOCUMENT, array_document, chunk_key
from padiff.store.zarr.group import PLAIN_GROUP, section_document

__all__ = ["ZarrPartialDump", "ZarrPartialSection"]


class ZarrPartialSection(PartialSection):
    """A section that a medium keeps out of sight."""

    def __init__(self, pending: Pending, name: SectionName) -> None:
        self._pending = pending
        self._name = name
        self._groups: set[str] = set()
        self.prefix = pending.prefix

    def create_array(
        self,
        path: str,
        shape: tuple[int, ...],
        element: DType,
        chunk_shape: tuple[int, ...],
        dims: Sequence[str],
    ) -> str:
        document = array_document(shape, element, chunk_shape, dims)
        self._make_group(path.rpartition("/")[0])
        self._pending.make_directory(self._name, path)
        self._put(f"{path}/{DOCUMENT}", document)
        return digest(document)

    def _make_group(self, path: str) -> None:
        if path in self._groups:
            return
        above = path.rpartition("/")[0]
        if above:
            self._make_group(above)
        self._pending.make_directory(self._name, path)
        self._put(f"{path}/{DOCUMENT}", PLAIN_GROUP)
        self._groups.add(path)

    def _put(self, name: str, data: bytes) -> None:
        self._pending.put(self._name, name, [memoryview(data)], len(data))

    def write_chunk(
        self, path: str, index: tuple[int, ...], pieces: Iterable[memoryview], size: int
    ) -> None:
        self._pending.put(self._name, f"{path}/{chunk_key(index)}", pieces, size)

    def finish(self, header: bytes) -> None:
        self._pending.finish(self._name, DOCUMENT, section_document(header))


class ZarrPartialDump(PartialDump):
    """Sections that a medium makes visible together."""

    def __init__(self, pending: Pending) -> None:
        self._pending = pending

    def section(self, name: SectionName) -> ZarrPartialSection:
        return ZarrPartialSection(self._pending, name)

    def commit(self) -> None:
        self._pending.publish()

    def discard(self) -> None:
        self._pending.discard()
