"""A hierarchy behind a URL, in whatever fsspec reaches: S3, other object stores, memory.

An object store renames nothing. The groups and arrays of a section are put below a name of their
own, a *generation*, and the one object that is the section's document makes them visible.
"""

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from padiff.errors import (
    CorruptError,
    LocationError,
    OccupiedError,
    PadiffError,
    UnreadableError,
    UsageError,
    WriteError,
)
from padiff.store.format import GENERATION, SectionName
from padiff.store.media.base import Medium, Pending, cut_short

__all__ = ["Remote"]

T = TypeVar("T")

_AT_ONCE = 16  # requests on their way; each may hold a chunk
_ONE_REQUEST = 2**32  # bytes; a document is put whole, so that the condition holds for all of it
# What a server answers that holds an object to a condition, when it is not met.
_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        import fsspec
    except ImportError:
        raise UsageError(
            f"expected fsspec to be there for {url}: pip install fsspec, and s3fs for s3://"
        ) from None
    try:
        # what others write meanwhile must be seen
        fs, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:  # of what fsspec needs for this kind of URL
        raise UsageError(f"expected to reach {url}: {error}") from None
    except ValueError as error:
        raise UsageError(f"expected a URL that fsspec knows, got {url}: {error}") from None
    return fs, path.rstrip("/")


class Remote(Medium):
    """The objects are those whose URLs begin with that of the root."""

    kind = "Zarr at a URL"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._fs, self._root = _file_system(self._url)

    @property
    def location(self) -> str:
        return self._url

    def document(self, name: str, longest: int) -> bytes:
        data = self._cat(name)
        if data is None:
            raise FileNotFoundError(f"nothing is at {self._url}/{name}")
        if len(data) > longest:
            raise OSError(f"it has {len(data)} bytes, which no document has: at most {longest}")
        return data

    def _cat(self, name: str, **part: int | None) -> bytes | None:
        """The bytes of an object, or some of them; None where there is none."""
        return self._ask(name, lambda: self._fs.cat_file(f"{self._root}/{name}", **part))

    def chunk(self, name: str, size: int) -> bytes:
        data = self.whole(name)
        if len(data) != size:
            raise cut_short(f"chunk {self._url}/{name}", size, len(data))
        return data

    def whole(self, name: str) -> bytes:
        data = self._cat(name)
        if data is None:
            raise self._gone(name)
        return data

    def _gone(self, name: str) -> CorruptError:
        return CorruptError(
            f"expected the chunk {self._url}/{name}, found none: it was removed, or the section "
            "was dumped again meanwhile"
        )

    def size(self, name: str) -> int:
        found = self._info(name)
        if found is None:
            raise self._gone(name)
        return int(found["size"])

    def part(self, name: str, start: int, size: int) -> bytes:
        data = self._cat(name, start=start, end=None if start < 0 else start + size) or b""
        if len(data) != size:
            raise cut_short(f"shard {self._url}/{name} from {start} on", size, len(data))
        return data

    def has(self, name: str) -> bool:
        return self._info(name) is not None

    def directories(self, path: str) -> list[str]:
        held = self._below(path)
        if held is None:
            raise LocationError(f"expected something at {self._url}/{path}, found nothing there")
        return [name for name, kind in held if kind == "directory"]

    def _below(self, path: str) -> list[tuple[str, str]] | None:
        """Name and kind of what lies right below a path; None where nothing does."""
        where = f"{self._root}/{path}".rstrip("/")
        self._fs.invalidate_cache()
        entries = self._ask(path, lambda: self._fs.ls(where, detail=True, refresh=True))
        if entries is None:
            return None
        return sorted(
            (entry["name"].rstrip("/").rpartition("/")[2], entry["type"])
            for entry in entries
            if entry["name"].rstrip("/") != where
        )

    def identity(self, path: str) -> object:
        return None  # what was opened lies below a name of its own, and is removed, not replaced

    def check(self) -> None:
        pass  # each object stands for itself

    def replace(self, name: str, data: bytes) -> None:
        with self._writing(name, len(data)):
            self._fs.pipe_file(f"{self._root}/{name}", data)

    def refuse_occupied(self, path: str) -> None:
        held = [n for n, _ in self._below(path) or () if not n.startswith(GENERATION)]
        if held:
            raise OccupiedError(
                f"expected a padiff store or nothing at {self._url}/{path}, found {held[0]}: "
                "choose another place, nothing was changed"
            )

    def refuse_link(self, path: str) -> None:
        pass  # there are none

    def begin(
        self, dump: str, sections: Sequence[SectionName], *, document: str, durable: bool
    ) -> "_Pending":
        return _Pending(self, dump, sections, document)

    def _ask(self, name: str, request: Callable[[], T]) -> T | None:
        """What the server answers; None where nothing is there, UnreadableError for all else."""
        try:
            return request()
        except FileNotFoundError as error:
            # HTTP says so of a server that does not answer, too
            cause = error.__cause__
            if not isinstance(cause, OSError) or isinstance(cause, FileNotFoundError):
                return None
            reason = _reason(cause)
        except Exception as error:  # of whatever library speaks the protocol
            reason = _reason(error)
        raise UnreadableError(
            f"expected to read {self._url}/{name}, but it cannot be reached: "
            f"{reason}; check the address, the connection and the credentials"
        )

    @contextmanager
    def _writing(self, name: str, size: int) -> Iterator[None]:
        """WriteError where what is behind the URL refuses."""
        try:
            yield
        except PadiffError:
            raise
        except Exception as error:  # of whatever library speaks the protocol
            raise WriteError(
                f"expected to write {size} bytes to {self._url}/{name}, but it was refused: "
                f"{_reason(error)}; check the address, the connection and the credentials, "
                "what was dumped before is intact"
            ) from error

    def _info(self, name: str) -> dict[str, Any] | None:
        """What the file system says of an object as it is now; None where there is none."""
        self._fs.invalidate_cache()
        found: dict[str, Any] | None = self._ask(
            name, lambda: self._fs.info(f"{self._root}/{name}")
        )
        return found if found is not None and found["type"] == "file" else None

    def state(self, name: str) -> str | None:
        """What tells an object from one that takes its place; None where there is none."""
        found = self._info(name)
        if found is None:
            return None
        keys = ("ETag", "etag", "created", "mtime", "LastModified", "size")
        return str(next(found[key] for key in keys if found.get(key) is not None))

    def put_if(self, name: str, data: bytes, state: str | None) -> None:
        """Put an object unless it is in another state by now: OccupiedError.

        Where the server knows conditions it is held to them, so that nothing comes between.
        """
        lost = OccupiedError(
            f"expected to be alone in writing {self._url}/{name}, found that another writer has "
            "put its own there meanwhile: dump again, or choose another place"
        )
        if self.state(name) != state:
            raise lost
        protocols = self._fs.protocol
        conditions: dict[str, Any] = {}
        if "s3" in ((protocols,) if isinstance(protocols, str) else protocols):
            conditions = {"chunksize": _ONE_REQUEST}
            conditions |= {"mode": "create"} if state is None else {"IfMatch": state}
        with self._writing(name, len(data)):
            try:
                self._fs.pipe_file(f"{self._root}/{name}", data, **conditions)
            except FileExistsError:
                raise lost from None
            except OSError as error:
                answer = getattr(error.__cause__, "response", {}).get("Error", {})
                if answer.get("Code") in _REFUSED:
                    raise lost from None
                raise
        # where the server knows no conditions: before anything of the other writer is removed
        if self._cat(name) != data:
            raise lost

    def remove(self, paths: Iterable[str]) -> None:
        """Remove all below some paths, as far as that is possible."""
        for path in paths:
            try:
                self._fs.rm(f"{self._root}/{path}", recursive=True)
            except FileNotFoundError:
                continue
            except Exception:  # it is out of sight already, and the next writer tries again
                return

    def generations(self, section: str) -> list[str]:
        """All generations of a section, by their paths."""
        held = self._below(section) or ()
        return [f"{section}/{name}" for name, _ in held if name.startswith(GENERATION)]


class _Pending(Pending):
    """Each section in a generation of its own, put by several requests at once."""

    def __init__(
        self, medium: Remote, dump: str, sections: Sequence[SectionName], document: str
    ) -> None:
        self._medium, self._document = medium, document
        self._generation = f"{GENERATION}{uuid.uuid4().hex[:12]}"
        self.prefix = f"{self._generation}/"
        self._paths = {name: f"{dump}/{name}".lstrip("/") for name in sections}
        self._before: dict[str, list[str]] = {}
        self._states: dict[str, str | None] = {}
        self._last: dict[SectionName, bytes] = {}
        for path in self._paths.values():
            self._before[path] = medium.generations(path)
            self._states[path] = medium.state(f"{path}/{document}")
        self._pool = ThreadPoolExecutor(_AT_ONCE, "padiff-put")
        self._requests: deque[Future[None]] = deque()
        self._published: set[str] = set()

    def make_directory(self, section: SectionName, name: str) -> None:
        pass  # an object store has none

    def put(self, section: SectionName, name: str, pieces: Iterable[memoryview], size: int) -> None:
        data = b"".join(pieces)
        self._requests.append(
            self._pool.submit(self._medium.replace, f"{self._paths[section]}/{name}", data)
        )
        if len(self._requests) > _AT_ONCE:
            self._requests.popleft().result()

    def finish(self, section: SectionName, document: bytes) -> None:
        self._last[section] = document

    def publish(self) -> None:
        while self._requests:
            self._requests.popleft().result()
        for section, document in self._last.items():
            path = self._paths[section]
            self._medium.put_if(f"{path}/{self._document}", document, self._states[path])
            self._published.add(path)
            self._medium.remove(self._before[path])

    def discard(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        paths = set(self._paths.values()) - self._published
        self._medium.remove(f"{path}/{self._generation}" for path in sorted(paths))


def _reason(error: Exception) -> str:
    """What an error of another library says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
