"""HDF5 dumps on a local file system: a file for each, in directories for steps and ranks."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from padiff.errors import (
    CorruptError,
    FormatError,
    LocationError,
    OccupiedError,
    UnreadableError,
    VersionError,
)
from padiff.jsonio import Json, dumps, loads
from padiff.store.array import StoredArray
from padiff.store.base import WritableStore
from padiff.store.files import Writing, unreadable
from padiff.store.flush import flush_directory
from padiff.store.format import (
    ATTRIBUTE,
    SECTIONS,
    SectionName,
    check_root,
    header_text,
    is_sealed,
    root_attributes,
)
from padiff.store.hdf5.array import open_array
from padiff.store.hdf5.dump import Hdf5PartialDump
from padiff.store.hdf5.file import Hdf5File, identity_of
from padiff.store.hdf5.filters import check_storage
from padiff.store.hdf5.names import (
    DUMP_FILE,
    ROOT_DOCUMENT,
    SUFFIXES,
    Place,
    begun_in,
    file_named,
    group_named,
    is_number,
    refuse_link,
    resolve,
)
from padiff.store.leftovers import replace_file
from padiff.store.storage import Storage

__all__ = ["Hdf5Store"]

_MOST_OPEN = 8  # files; each takes two descriptors
_MOST_BYTES = 2**20  # of the document of a root


class Hdf5Store(WritableStore):
    """The dumps in and below a directory.

    With `lone` its files are dumps that say all of themselves, as where a user named a file to dump
    to; otherwise the directory is for dumps alone, and has a document.
    """

    kind = "HDF5"

    def __init__(self, root: Path, *, lone: bool = False) -> None:
        self._root, self._lone = root, lone
        self._open: dict[Path, Hdf5File] = {}
        self._files: dict[str, Path] = {}  # of sections
        self._opening = threading.Lock()

    @property
    def location(self) -> str:
        return str(self._root)

    def attributes(self, path: str) -> Json:
        place = self._place(path)
        if path and place.file is not None and place.file.exists():
            return self._file(place.file).attributes(place.inner)
        return {} if path else self._document()

    def header_text(self, path: str) -> bytes:
        if not path:
            return header_text(self._document()[ATTRIBUTE])
        place = self._place(path)
        if place.file is None:
            return b""
        text = self._file(place.file).text(place.inner)
        if is_sealed(text):
            return text
        return header_text(loads(text, f"the attribute {ATTRIBUTE!r} of {path}")) if text else b""

    def identity(self, path: str) -> object:
        file = self._holding(path)
        return None if file is None else identity_of(file)

    def groups(self, path: str) -> list[str]:
        place = self._place(path)
        found: set[str] = set()
        if place.file is not None and place.file.exists():
            found.update(self._file(place.file).groups(place.inner))
        if place.directory is not None:
            try:
                found.update(_groups_in(place.directory))
            except PermissionError as error:
                raise unreadable(place.directory, error) from None
        return sorted(found)

    def unfinished(self, path: str) -> dict[str, str]:
        above, _, name = path.rpartition("/") if path else ("", "", DUMP_FILE)
        place = resolve(self._root, above)
        if place.directory is None or place.inner:
            return {}
        finished = self.groups(path)
        begun = begun_in(place.directory).get(group_named(name), {})
        return {
            section: f"{above}/{workplace}".lstrip("/")
            for section, workplace in begun.items()
            if section not in finished
        }

    def array(self, path: str) -> StoredArray:
        names = path.split("/")
        at = next((n for n, name in enumerate(names) if name in SECTIONS), len(names))
        file = self._holding("/".join(names[: at + 1]))
        if file is None or at == len(names):
            raise CorruptError(f"expected an array at {self._root / path}, found none")
        return open_array(self._file(file), "/".join(names[at:]))

    def _holding(self, section: str) -> Path | None:
        """The file of a section, looked for once: what takes its place has another identity."""
        file = self._files.get(section)
        if file is None and (file := resolve(self._root, section).file) is not None:
            self._files[section] = file
        return file

    def check_group(self, path: str) -> None:
        place = self._place(path)
        if not path:
            text = self._text()
            if text is not None and dumps(self._document()).encode() != text:
                raise CorruptError(
                    f"expected {self._root / ROOT_DOCUMENT} as it was written, found a byte in it "
                    "that is another: it was changed after it was written, so dump it again"
                )
        elif place.file is not None and place.file.exists():
            if not place.inner:
                self._open.pop(place.file, None)  # so that its seal is looked at
                if not is_sealed(self._file(place.file).text("")):
                    raise CorruptError(
                        f"expected the root of {place.file} to have the digest that it gives, "
                        "found another: it was changed after it was written, so dump it again"
                    )
            self._file(place.file).groups(place.inner)

    def is_covered(self, path: str) -> bool:
        place = self._place(path)
        if place.inner or place.file is None or not place.file.exists():
            return True
        return self._file(place.file).is_sealed

    def _place(self, path: str) -> Place:
        """Where a path leads; LocationError where nothing is, nor was begun."""
        place = resolve(self._root, path)
        if place.directory is None and (place.file is None or not place.file.exists()):
            above, _, name = path.rpartition("/")
            parent = resolve(self._root, above).directory
            if parent is None or group_named(name) not in begun_in(parent):
                raise LocationError(f"expected an HDF5 dump at {self._root / path}, found none")
        return place

    def _file(self, path: Path) -> Hdf5File:
        with self._opening:
            found = self._open.get(path)
            if found is None or found.identity != identity_of(path):
                self._open.pop(path, None)
                found = Hdf5File(path)
                if len(self._open) >= _MOST_OPEN:
                    del self._open[next(iter(self._open))]
                self._open[path] = found
            return found

    def _text(self) -> bytes | None:
        """The document of the root; None where it has none, as where files were copied."""
        document = self._root / ROOT_DOCUMENT
        refuse_link(document)
        try:
            if not document.exists():
                return None
            if not document.is_file() or document.stat().st_size > _MOST_BYTES:
                raise FormatError(f"expected a JSON document in {document}, found something else")
            return document.read_bytes()
        except OSError as error:
            raise unreadable(document, error) from None

    def _document(self) -> Json:
        """The attributes of the root; where it has no document, each file speaks for itself."""
        text = self._text()
        if text is None:
            if self._lone:
                return root_attributes()
            raise LocationError(f"expected a directory of HDF5 dumps at {self._root}, found none")
        found = loads(text, str(self._root / ROOT_DOCUMENT))
        check_root(found, str(self._root))
        return found

    def create(self, claim: Mapping[str, str] | None = None) -> None:
        root = self._root
        if not (root / ROOT_DOCUMENT).exists():
            _refuse_occupied(root)
        else:
            self._document()
            if claim is None:
                return
        with Writing(root, 0):
            root.mkdir(parents=True, exist_ok=True)
        replace_file(root / ROOT_DOCUMENT, dumps(root_attributes(claim)).encode(), durable=True)

    def begin_dump(
        self, path: str, sections: Sequence[SectionName], storage: Storage
    ) -> Hdf5PartialDump:
        check_storage(storage)
        names = path.split("/") if path else [DUMP_FILE]
        absent = [each for each in (self._root / path).parents if not each.exists()]
        if not self._lone:
            self.create()
        directory = self._root
        for part, below in pairwise(names):
            if below in SECTIONS and file_named(directory, part).is_file():
                raise OccupiedError(
                    f"expected a place for {' and '.join(sections)} outside of what was dumped, "
                    f"got one inside {directory / part / below}: choose another place, nothing "
                    "was changed"
                )
            directory /= part
            refuse_link(directory)
        if directory.exists() and not directory.is_dir():
            raise _occupied(directory, "a file where a directory is needed")
        with Writing(directory, 0):
            directory.mkdir(parents=True, exist_ok=True)
        if storage.durable:
            for each in absent:
                flush_directory(each.parent)
        final = file_named(directory, names[-1])
        refuse_link(final)
        _check_replaceable(final)
        return Hdf5PartialDump(final, sections, storage)


def _groups_in(directory: Path) -> Iterator[str]:
    """Names of the groups that files and directories in a directory are."""
    yield from begun_in(directory)
    for entry in directory.iterdir():
        if entry.name == DUMP_FILE or entry.name.startswith("."):
            continue
        if entry.suffix in SUFFIXES:
            yield group_named(entry.name)
        elif is_number(entry.name) and entry.is_dir():
            yield entry.name


def _refuse_occupied(root: Path) -> None:
    """OccupiedError where something lies that is no directory of dumps.

    What another rank makes meanwhile, which begins to write to the same root, is no such thing.
    """
    if (root.exists() or root.is_symlink()) and not root.is_dir():
        raise _occupied(root, "a file where a directory is needed")
    if root.is_dir():
        names = {each.name for each in root.iterdir() if not each.name.startswith(".")}
        if not all(is_number(group_named(name)) for name in names - {ROOT_DOCUMENT}):
            raise _occupied(root, "a directory with other files")


def _check_replaceable(final: Path) -> None:
    """OccupiedError where something lies that is no dump; what it raises where one is damaged."""
    if final.is_dir():
        raise _occupied(final, "a directory where a file is needed")
    if not final.exists():
        return
    try:
        Hdf5File(final)
    except CorruptError as error:
        raise CorruptError(f"{error}; remove it first, since its other sections are lost") from None
    except (VersionError, UnreadableError):
        raise
    except (FormatError, LocationError):
        raise _occupied(final, "a file that is no dump") from None


def _occupied(path: Path, found: str) -> OccupiedError:
    return OccupiedError(
        f"expected a padiff store or nothing at {path}, found {found}: choose another place, "
        "nothing was changed"
    )
