"""The Zarr version 3 backend on a local file system.

Documents and raw chunks are plain files, so they are written and memory-mapped directly: a small
array costs a fifteenth of what it does through a general Zarr library, which reads it all the same.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from padiff.errors import CorruptError, LocationError, OccupiedError
from padiff.jsonio import Json
from padiff.store.base import Store
from padiff.store.format import SECTIONS, SectionName, check_root, has_meaning, root_attributes
from padiff.store.leftovers import PARTIAL
from padiff.store.storage import Storage
from padiff.store.zarr.array import ZarrArray
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
    refuse_link,
    replace_document,
)
from padiff.store.zarr.section import ZarrPartialDump

__all__ = ["ZarrStore"]


class ZarrStore(Store):
    """A Zarr hierarchy whose root is the directory `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._no_links: set[str] = set()

    @property
    def location(self) -> str:
        return str(self._root)

    def header(self, path: str) -> bytes:
        return header_of(self._inside(path))

    def attributes(self, path: str) -> Json:
        return attributes_of(self._inside(path))

    def identity(self, path: str) -> object:
        try:
            status = os.stat(f"{self._root}/{path}")  # noqa: PTH116  # a text is faster
        except OSError:
            return None
        return status.st_ino, status.st_ctime_ns

    def groups(self, path: str) -> list[str]:
        return [
            name
            for name in self._directories(path)
            if not name.startswith(".") and is_group(self._root / path / name)
        ]

    def unfinished(self, path: str) -> dict[str, str]:
        finished = set(self.groups(path))
        found = {}
        for name in self._directories(path):
            section = name[1:].split(".")[0] if name.endswith(PARTIAL) else name
            if section not in finished and not section.startswith("."):
                found[section] = f"{path}/{name}".lstrip("/")
        return found

    def _inside(self, path: str) -> Path:
        """Where a group or an array lies; CorruptError where a link stands on the way to it.

        The root itself may be one. Groups above others are looked at once.
        """
        names = path.split("/") if path else []
        for depth in range(1, len(names) + 1):
            group = "/".join(names[:depth])
            if group in self._no_links:
                continue
            if os.path.islink(f"{self._root}/{group}"):  # noqa: PTH114  # a text is faster
                raise CorruptError(
                    f"expected a directory at {self._root / group}, found a symbolic link, which "
                    "is not followed inside a store: put what it points to in its place"
                )
            if depth < len(names):
                self._no_links.add(group)
        return self._root / path

    def _directories(self, path: str) -> list[str]:
        """Names of the directories right below; a link counts where it has the name of a group."""
        try:
            with os.scandir(self._inside(path)) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                    or (entry.is_symlink() and has_meaning(entry.name))
                )
        except OSError as error:
            raise LocationError(
                f"expected a directory at {self._root / path}: {error.strerror or error}"
            ) from None

    def check_group(self, path: str) -> None:
        check_document(self._inside(path))

    def array(self, path: str) -> ZarrArray:
        return ZarrArray(str(self._inside(path)))

    def begin_dump(
        self, path: str, sections: Sequence[SectionName], storage: Storage
    ) -> ZarrPartialDump:
        self.create()
        dump = self._root
        for part in Path(path).parts:
            dump = dump / part
            refuse_link(dump)
            if not (dump / DOCUMENT).exists():
                make_group(dump, PLAIN_GROUP)
            elif part in SECTIONS and not holds_dumps(dump):
                raise OccupiedError(
                    f"expected a place for {' and '.join(sections)} outside of what was dumped, "
                    f"got one inside {dump}: choose another place, nothing was changed"
                )
        return ZarrPartialDump(dump, sections, storage)

    def create(self, claim: Mapping[str, str] | None = None) -> None:
        root = self._root
        document = group_document(root_attributes(claim))
        if not (root.is_dir() and (root / DOCUMENT).exists()):
            make_group(root, document)
            return
        check_root(self.attributes(""), str(root))
        if claim is not None:
            replace_document(root, document)
