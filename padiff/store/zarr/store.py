"""The Zarr version 3 backend, on any medium.

Documents and raw chunks are plain objects, so they are written and memory-mapped directly: a small
array costs a fifteenth of what it does through a general Zarr library, which reads it all the same.
"""

from collections.abc import Mapping, Sequence

from padiff.dtypes import dtype_named
from padiff.errors import OccupiedError, UnreadableError
from padiff.jsonio import Json
from padiff.store.base import WritableStore
from padiff.store.format import SECTIONS, SectionName, check_root, root_attributes
from padiff.store.leftovers import PARTIAL, is_group_begun
from padiff.store.media.base import Medium
from padiff.store.storage import Storage
from padiff.store.zarr.array import ZarrArray
from padiff.store.zarr.codecs import chain_for
from padiff.store.zarr.group import (
    DOCUMENT,
    PLAIN_GROUP,
    attributes_of,
    check_document,
    group_document,
    header_of,
    holds_dumps,
    is_group,
    make_group,
    replace_document,
)
from padiff.store.zarr.section import ZarrPartialDump

__all__ = ["ZarrStore"]


class ZarrStore(WritableStore):
    """A Zarr hierarchy whose objects lie on `medium`."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self.kind = medium.kind

    @property
    def location(self) -> str:
        return self._medium.location

    def header_text(self, path: str) -> bytes:
        return header_of(self._medium, path)

    def attributes(self, path: str) -> Json:
        return attributes_of(self._medium, path)

    def identity(self, path: str) -> object:
        return self._medium.identity(path)

    def groups(self, path: str) -> list[str]:
        return [
            name
            for name in self._medium.directories(path)
            if not name.startswith(".") and self._may_be_group(f"{path}/{name}".lstrip("/"))
        ]

    def _may_be_group(self, path: str) -> bool:
        try:
            return is_group(self._medium, path)
        except UnreadableError:  # which whoever opens it is told
            return True

    def unfinished(self, path: str) -> dict[str, str]:
        finished = set(self.groups(path))
        found = {}
        for name in self._medium.directories(path):
            if is_group_begun(name):
                continue
            section = name[1:].split(".")[0] if name.endswith(PARTIAL) else name
            if section not in finished and not section.startswith("."):
                found[section] = f"{path}/{name}".lstrip("/")
        return found

    def check_group(self, path: str) -> None:
        if not path:
            self._medium.check()
        check_document(self._medium, path)

    def is_covered(self, path: str) -> bool:
        return bool(path) or self._medium.is_covered()

    def array(self, path: str) -> ZarrArray:
        return ZarrArray(self._medium, path)

    def begin_dump(
        self, path: str, sections: Sequence[SectionName], storage: Storage
    ) -> ZarrPartialDump:
        if storage.compression is not None:  # before anything is made
            chain_for(storage.compression, dtype_named("float32"))
        self.create()
        dump = ""
        for part in path.split("/") if path else ():
            dump = f"{dump}/{part}".lstrip("/")
            self._medium.refuse_link(dump)
            if not is_group(self._medium, dump):
                make_group(self._medium, dump, PLAIN_GROUP)
            elif part in SECTIONS and not holds_dumps(self._medium, dump):
                raise OccupiedError(
                    f"expected a place for {' and '.join(sections)} outside of what was dumped, "
                    f"got one inside {self.location}/{dump}: choose another place, nothing was "
                    "changed"
                )
        for name in sections:
            self._check_replaceable(f"{dump}/{name}".lstrip("/"), name)
        pending = self._medium.begin(dump, sections, document=DOCUMENT, durable=storage.durable)
        return ZarrPartialDump(pending, storage)

    def _check_replaceable(self, path: str, name: SectionName) -> None:
        """OccupiedError where something lies that is no section of ours."""
        self._medium.refuse_link(path)
        if not is_group(self._medium, path):
            self._medium.refuse_occupied(path)
        elif holds_dumps(self._medium, path):
            raise OccupiedError(
                f"expected a {name} or nothing at {self.location}/{path}, found a directory that "
                "was dumped to: choose another place, nothing was changed"
            )

    def create(self, claim: Mapping[str, str] | None = None) -> None:
        document = group_document(root_attributes(claim))
        if not is_group(self._medium, ""):
            make_group(self._medium, "", document)
            return
        check_root(self.attributes(""), self.location)
        if claim is not None:
            replace_document(self._medium, "", document)
