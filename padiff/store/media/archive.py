"""A hierarchy in one zip file, `run.zarr.zip`, whose members are stored as they are.

A zip file cannot be changed in place. A dump is written to a directory beside it; then the archive
is made anew, with all that it held but the sections that are replaced, and renamed into place.
"""

import os
import shutil
import stat
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from padiff.errors import CorruptError, LocationError, OccupiedError
from padiff.store.files import Writing, link_directory, unreadable, write_file, write_pieces
from padiff.store.flush import flush_directory, flush_trees
from padiff.store.format import SectionName
from padiff.store.leftovers import Workplace, begin_alone
from padiff.store.media.archive_seal import is_whole, make_room, put_seal
from padiff.store.media.base import Medium, Pending, cut_short

__all__ = ["SUFFIX", "Archive", "pack"]

SUFFIX = ".zarr.zip"
_PATIENCE = 600.0  # seconds to wait for others who make the same archive anew
_DATE = (1980, 1, 1, 0, 0, 0)  # the same content makes the same bytes
_PIECE = 2**20


class Archive(Medium):
    """The objects are the members of the zip file at `path`, as it was when first looked at.

    Documents of groups are kept until a dump is made visible, which makes the archive anew.
    """

    kind = "zip file of Zarr"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = _opened(path)
        self._fresh: dict[str, bytes] = {}
        self._below: dict[str, set[str]] = {"": set()}
        for name in self._zip.namelist() if self._zip else ():
            self._note(name)

    def _note(self, name: str) -> None:
        """Note the directories that lead to an object."""
        above = ""
        for part in name.split("/")[:-1]:
            self._below[above].add(part)
            above = f"{above}/{part}".lstrip("/")
            self._below.setdefault(above, set())

    @property
    def location(self) -> str:
        return str(self._path)

    def has(self, name: str) -> bool:
        return name in self._fresh or (self._zip is not None and name in self._zip.NameToInfo)

    def document(self, name: str, longest: int) -> bytes:
        if name in self._fresh:
            return self._fresh[name]
        if self._zip is None or name not in self._zip.NameToInfo:
            raise FileNotFoundError(f"the archive has no {name}")
        if self._zip.getinfo(name).file_size > longest:
            raise OSError("it has more bytes than any document")
        return self._read(name)

    def chunk(self, name: str, size: int) -> bytes:
        found = self.size(name)
        if found != size:
            raise cut_short(f"chunk {self._path}/{name}", size, found)
        return self._read(name)

    def whole(self, name: str) -> bytes:
        self.size(name)
        return self._read(name)

    def _read(self, name: str) -> bytes:
        assert self._zip is not None
        try:
            return self._zip.read(name)
        except Exception as error:  # of a damaged header, or what unpacks another tool's members
            raise self._damaged(name, error) from None

    def part(self, name: str, start: int, size: int) -> bytes:
        held = self.size(name)
        assert self._zip is not None
        try:
            with self._zip.open(name) as file:
                file.seek(max(0, start + held) if start < 0 else start)
                data = file.read(size)
        except Exception as error:  # of a damaged header, or what unpacks another tool's members
            raise self._damaged(name, error) from None
        if len(data) != size:
            raise self._damaged(name, f"{len(data)} of {size} bytes at {start}")
        return data

    def _damaged(self, name: str, reason: object) -> CorruptError:
        return CorruptError(
            f"expected to read {name} in {self._path}, found it damaged ({reason}): dump it again"
        )

    def size(self, name: str) -> int:
        if self._zip is None or name not in self._zip.NameToInfo:
            raise CorruptError(f"expected the chunk {self._path}/{name}, found none: dump it again")
        return self._zip.getinfo(name).file_size

    def directories(self, path: str) -> list[str]:
        if path not in self._below:
            raise LocationError(f"expected {path} in {self._path}, found no such directory")
        return sorted(self._below[path])

    def identity(self, path: str) -> object:
        return None  # what was opened stays what it is, whatever takes the archive's place

    def check(self) -> None:
        if self._zip is not None and not is_whole(self._zip):
            raise CorruptError(
                f"expected the headers in {self._path} to have the digest that its comment gives, "
                "found others: it was changed after it was written, so dump it again"
            )

    def is_covered(self) -> bool:
        return self._zip is None or bool(self._zip.comment)

    def replace(self, name: str, data: bytes) -> None:
        self._fresh[name] = data
        self._note(name)

    def refuse_occupied(self, path: str) -> None:
        if self._zip is not None and any(
            name.startswith(f"{path}/".lstrip("/")) for name in self._zip.namelist()
        ):
            raise OccupiedError(
                f"expected a padiff store or nothing at {self._path}/{path}, found other files: "
                "choose another place, nothing was changed"
            )

    def refuse_link(self, path: str) -> None:
        pass  # there are none

    def begin(
        self, dump: str, sections: Sequence[SectionName], *, document: str, durable: bool
    ) -> "_Pending":
        return _Pending(self._path, dump, sections, self._fresh, document, durable=durable)


class _Pending(Pending):
    """Sections in directories beside the archive, until it is made anew with them."""

    def __init__(
        self,
        path: Path,
        dump: str,
        sections: Sequence[SectionName],
        groups: dict[str, bytes],
        document: str,
        *,
        durable: bool,
    ) -> None:
        self._path, self._groups, self._durable = path, groups, durable
        self._document = document
        self._places: dict[SectionName, str] = {n: f"{dump}/{n}".lstrip("/") for n in sections}
        self._workplaces: dict[SectionName, Workplace] = {}
        try:
            with Writing(path, 0):
                path.parent.mkdir(parents=True, exist_ok=True)
                for name, place in self._places.items():
                    self._workplaces[name] = begin_alone(
                        path.parent,
                        f"{path.name}.{place.replace('/', '.')}",
                        what=f"{path}/{place}",
                    )
        except BaseException:
            self.discard()
            raise

    def make_directory(self, section: SectionName, name: str) -> None:
        with Writing(self._path, 0):
            (self._workplaces[section].path / name).mkdir()

    def put(self, section: SectionName, name: str, pieces: Iterable[memoryview], size: int) -> None:
        write_pieces(f"{self._workplaces[section].path}/{name}", pieces, size)

    def adopt(self, section: SectionName, name: str, source: Path) -> None:
        link_directory(source, self._workplaces[section].path / name)

    def finish(self, section: SectionName, document: bytes) -> None:
        write_file(self._workplaces[section].path / self._document, document)

    def publish(self) -> None:
        """Make the archive anew, one writer after another."""
        workplace = self._turn()
        try:
            new = workplace.path / self._path.name
            with Writing(self._path, 0):
                self._pack(new)
                if self._durable:
                    flush_trees([workplace.path], workplace.descriptor)
                new.replace(self._path)
                if self._durable:
                    flush_directory(self._path.parent)
        finally:
            workplace.remove()
        self.discard()

    def _turn(self) -> Workplace:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return begin_alone(
                    self._path.parent, f"{self._path.name}.anew", what=f"{self._path}"
                )
            except OccupiedError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _pack(self, path: Path) -> None:
        replaced = tuple(f"{place}/" for place in self._places.values())
        old = _opened(self._path)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
            for member in old.infolist() if old else ():
                if not member.filename.startswith(replaced):
                    _copy(old, member, new)
            for name, document in self._groups.items():
                if name not in new.NameToInfo:
                    new.writestr(zipfile.ZipInfo(name, _DATE), document)
            for section, place in self._places.items():
                _add(new, self._workplaces[section].path, f"{place}/")
            make_room(new)
        put_seal(path)

    def discard(self) -> None:
        for workplace in self._workplaces.values():
            workplace.remove()


def pack(directory: Path, path: Path) -> None:
    """Make an archive of a hierarchy in a directory; WriteError when the file system refuses."""
    with Writing(path, 0):
        with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as new:
            _add(new, directory, "")
            make_room(new)
        put_seal(path)


def _add(new: zipfile.ZipFile, top: Path, prefix: str) -> None:
    """Put all files below a directory into an archive, in an order that is always the same."""
    for folder, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            member = zipfile.ZipInfo(f"{prefix}{file.relative_to(top).as_posix()}", _DATE)
            member.file_size = file.stat().st_size
            with file.open("rb") as source, new.open(member, "w") as target:
                shutil.copyfileobj(source, target, _PIECE)


def _opened(path: Path) -> zipfile.ZipFile | None:
    """The zip file at a path, None where there is nothing; CorruptError for anything else."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe must not be waited for
            raise OSError("it is no regular file")
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # damaged in whatever way
        raise CorruptError(
            f"expected a zip file at {path}, but it cannot be read: {error}"
        ) from None


def _copy(old: zipfile.ZipFile | None, member: zipfile.ZipInfo, new: zipfile.ZipFile) -> None:
    assert old is not None
    made = zipfile.ZipInfo(member.filename, _DATE)
    made.file_size = member.file_size
    try:
        with old.open(member) as source, new.open(made, "w") as target:
            shutil.copyfileobj(source, target, _PIECE)
    except OSError:  # of what is written
        raise
    except Exception as error:  # of a damaged header, or what unpacks another tool's members
        raise CorruptError(
            f"expected to copy {member.filename} of {old.filename}, found it damaged ({error}): "
            "remove the archive, or dump to another place"
        ) from None
