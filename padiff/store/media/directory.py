"""A hierarchy in a directory of a local file system: read and memory-mapped without detours."""

import errno
import mmap
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from padiff.errors import CorruptError, LocationError, OccupiedError
from padiff.store.exchange import put_in_place
from padiff.store.files import Writing, link_directory, unreadable, write_file, write_pieces
from padiff.store.flush import flush_directory, flush_trees
from padiff.store.format import SectionName, has_meaning
from padiff.store.leftovers import Workplace, begin_alone, make_directory, replace_file
from padiff.store.media.base import Medium, Pending, cut_short

__all__ = ["Directory"]

_SHORT = 2**13  # bytes; the document of an array has fewer, and is all there is when fewer come
_MAP_FROM = 2**21  # bytes; below, reading is cheaper than mapping, with two threads most of all
# A pipe in the place of a file must not be waited for, nor a link lead out of the store.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


class _Descriptor:
    """An open file as the system knows it: making a file object would cost half as much again."""

    __slots__ = ("_file",)

    def __init__(self, path: str) -> None:
        try:
            self._file = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise OSError("it is a symbolic link, which a store has none of") from None

    def __enter__(self) -> int:
        return self._file

    def __exit__(self, *error: object) -> None:
        os.close(self._file)


class Directory(Medium):
    """The objects are the files below `root`."""

    kind = "Zarr directory"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._no_links: set[str] = set()
        self._text = str(root)  # Paths cost more than the system's own part of a small file

    @property
    def location(self) -> str:
        return self._text

    def _refuse_links(self, path: str) -> None:
        """CorruptError where a link stands on the way to a directory; the root may be one.

        Directories above others are looked at once.
        """
        names = path.split("/") if path else []
        for depth in range(1, len(names) + 1):
            place = "/".join(names[:depth])
            if place in self._no_links:
                continue
            if os.path.islink(f"{self._text}/{place}"):  # noqa: PTH114  # a text is faster
                raise CorruptError(
                    f"expected a directory at {self._root / place}, found a symbolic link, which "
                    "is not followed inside a store: put what it points to in its place"
                )
            if depth < len(names):
                self._no_links.add(place)

    def document(self, name: str, longest: int) -> bytes:
        self._refuse_links(name.rpartition("/")[0])
        with _Descriptor(f"{self._text}/{name}") as file:
            start = os.read(file, _SHORT)
            if len(start) < _SHORT:
                return start
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("it is no regular file")
            if status.st_size > longest:
                raise OSError(
                    f"it has {status.st_size} bytes, which no document has: at most {longest}"
                )
            return start + os.read(file, status.st_size)

    def chunk(self, name: str, size: int) -> Any:
        path = f"{self._text}/{name}"
        try:
            with _Descriptor(path) as file:
                data: Any = os.read(file, size + 1) if size < _MAP_FROM else b""
                if len(data) != size:
                    found = os.fstat(file).st_size
                    if found != size:
                        raise cut_short(f"chunk {path}", size, found)
                    data = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise unreadable(f"the chunk {path}", error) from None
        return data

    def opened(self, name: str) -> AbstractContextManager[int]:
        path = f"{self._text}/{name}"
        try:
            return _Descriptor(path)
        except OSError as error:
            raise unreadable(f"the chunk {path}", error) from None

    def whole(self, name: str) -> bytes:
        path = f"{self._text}/{name}"
        try:
            with open(path, "rb", opener=_open) as file:  # a Path takes no opener
                return file.read()
        except OSError as error:
            raise unreadable(f"the chunk {path}", error) from None

    def size(self, name: str) -> int:
        path = f"{self._text}/{name}"
        try:
            with _Descriptor(path) as file:
                return os.fstat(file).st_size
        except OSError as error:
            raise unreadable(f"the chunk {path}", error) from None

    def part(self, name: str, start: int, size: int) -> bytes:
        path = f"{self._text}/{name}"
        try:
            with _Descriptor(path) as file:
                held = os.fstat(file).st_size
                data = os.pread(file, size, max(0, start + held) if start < 0 else start)
        except OSError as error:
            raise unreadable(f"the chunk {path}", error) from None
        if len(data) != size:
            raise cut_short(f"shard {path} from {start} on", size, len(data))
        return data

    def has(self, name: str) -> bool:
        path, above = f"{self._text}/{name}", name.rpartition("/")[0]
        try:
            # a link is taken for one, and so is a pipe: they are refused when they are opened
            if above and os.path.islink(f"{self._text}/{above}"):  # noqa: PTH114  # as above
                return True
            return not stat.S_ISDIR(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False
        except OSError as error:
            raise unreadable(Path(path).parent, error) from None

    def directories(self, path: str) -> list[str]:
        try:
            self._refuse_links(path)
            with os.scandir(self._root / path) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                    or (entry.is_symlink() and has_meaning(entry.name))
                )
        except PermissionError as error:
            raise unreadable(self._root / path, error) from None
        except OSError as error:
            raise LocationError(
                f"expected a directory at {self._root / path}: {error.strerror or error}"
            ) from None

    def identity(self, path: str) -> object:
        try:
            status = os.stat(f"{self._text}/{path}")  # noqa: PTH116  # a text is faster
        except OSError:
            return None
        return status.st_ino, status.st_ctime_ns

    def check(self) -> None:
        pass  # each object stands for itself

    def replace(self, name: str, data: bytes) -> None:
        path = self._root / name
        if path.parent != self._root and not path.parent.exists():
            make_directory(path.parent, path.name, data)
            return
        made = [folder for folder in path.parents if not folder.exists()]
        try:
            with Writing(path, len(data)):
                path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, data)
        except BaseException:
            with suppress(OSError):  # another rank is at work in there
                for folder in made:
                    folder.rmdir()
            raise

    def refuse_occupied(self, path: str) -> None:
        place = self._root / path
        try:
            # hidden files may be those of another rank that makes the same group just now, and the
            # directory itself may appear any time: it is looked at once
            occupied = any(not name.startswith(".") for name in os.listdir(place))  # noqa: PTH208
        except FileNotFoundError:
            occupied = place.is_symlink()
        except NotADirectoryError:  # which it is, or what it is in
            occupied = place.exists() or place.is_symlink()
        if occupied:
            kind = "a directory with other files" if place.is_dir() else "a file"
            raise OccupiedError(
                f"expected a padiff store or nothing at {place}, found {kind}: "
                "choose another place, nothing was changed"
            )

    def refuse_link(self, path: str) -> None:
        place = self._root / path
        if path and place.is_symlink():
            raise OccupiedError(
                f"expected a directory or nothing at {place}, found a symbolic link: "
                "remove it or choose another place, nothing was changed"
            )

    def begin(
        self, dump: str, sections: Sequence[SectionName], *, document: str, durable: bool
    ) -> "_Pending":
        return _Pending(self._root / dump, sections, document, durable=durable)


class _Pending(Pending):
    """Sections in hidden directories beside their places, into which they are renamed.

    All of them are flushed to the disk before the first is.
    """

    def __init__(
        self, dump: Path, sections: Sequence[SectionName], document: str, *, durable: bool
    ) -> None:
        self._dump, self._document = dump, document
        self._durable = durable
        self._workplaces: dict[SectionName, Workplace] = {}
        try:
            for name in sections:
                with Writing(dump / name, 0):
                    self._workplaces[name] = begin_alone(dump, name, what=f"{dump / name}")
        except BaseException:
            self.discard()
            raise
        self._paths = {name: str(place.path) for name, place in self._workplaces.items()}

    def make_directory(self, section: SectionName, name: str) -> None:
        path = f"{self._paths[section]}/{name}"
        with Writing(path, 0):
            os.mkdir(path)  # noqa: PTH102  # a text is faster

    def put(self, section: SectionName, name: str, pieces: Iterable[memoryview], size: int) -> None:
        write_pieces(f"{self._paths[section]}/{name}", pieces, size)

    def adopt(self, section: SectionName, name: str, source: Path) -> None:
        link_directory(source, self._workplaces[section].path / name)

    def directory(self, section: SectionName) -> Path:
        return self._workplaces[section].path

    def finish(self, section: SectionName, document: bytes) -> None:
        write_file(f"{self._paths[section]}/{self._document}", document)

    def publish(self) -> None:
        if self._durable:
            first = next(iter(self._workplaces.values()))
            flush_trees([place.path for place in self._workplaces.values()], first.descriptor)
        for name, workplace in self._workplaces.items():
            with Writing(self._dump / name, 0):
                put_in_place(workplace.path, self._dump / name)
        if self._durable:
            flush_directory(self._dump)
        self.discard()

    def discard(self) -> None:
        for workplace in self._workplaces.values():
            workplace.remove()


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _OPEN_FLAGS)
