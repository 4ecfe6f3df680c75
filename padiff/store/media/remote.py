"""A hierarchy behind a URL, in whatever fsspec reaches: S3, other object stores, memory.

An object store renames nothing. The groups and arrays of a section are put below a name of their
own, a *generation*, and the one object that is the section's document makes them visible.
"""

import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from padiff.errors import CorruptError, LocationError, OccupiedError
from padiff.store.format import GENERATION, SectionName
from padiff.store.media.base import Medium, Pending, cut_short
from padiff.store.media.objects import Objects

__all__ = ["Remote"]

_AT_ONCE = 16  # requests on their way; each may hold a chunk


class Remote(Medium):
    """The objects are those whose URLs begin with that of the root."""

    kind = "Zarr at a URL"

    def __init__(self, url: str) -> None:
        self.objects = Objects(url)
        self._url = self.objects.url

    @property
    def location(self) -> str:
        return self._url

    def document(self, name: str, longest: int) -> bytes:
        data = self.objects.get(name)
        if data is None:
            raise FileNotFoundError(f"nothing is at {self._url}/{name}")
        if len(data) > longest:
            raise OSError(f"it has {len(data)} bytes, which no document has: at most {longest}")
        return data

    def chunk(self, name: str, size: int) -> bytes:
        data = self.whole(name)
        if len(data) != size:
            raise cut_short(f"chunk {self._url}/{name}", size, len(data))
        return data

    def whole(self, name: str) -> bytes:
        data = self.objects.get(name)
        if data is None:
            raise self._gone(name)
        return data

    def _gone(self, name: str) -> CorruptError:
        return CorruptError(
            f"expected the chunk {self._url}/{name}, found none: it was removed, or the section "
            "was dumped again meanwhile"
        )

    def size(self, name: str) -> int:
        found = self.objects.info(name)
        if found is None:
            raise self._gone(name)
        return int(found["size"])

    def part(self, name: str, start: int, size: int) -> bytes:
        data = self.objects.get(name, start=start, end=None if start < 0 else start + size) or b""
        if len(data) != size:
            raise cut_short(f"shard {self._url}/{name} from {start} on", size, len(data))
        return data

    def has(self, name: str) -> bool:
        return self.objects.info(name) is not None

    def directories(self, path: str) -> list[str]:
        held = self.objects.below(path)
        if held is None:
            raise LocationError(f"expected something at {self._url}/{path}, found nothing there")
        return [name for name, kind in held if kind == "directory"]

    def identity(self, path: str) -> object:
        return None  # what was opened lies below a name of its own, and is removed, not replaced

    def check(self) -> None:
        pass  # each object stands for itself

    def replace(self, name: str, data: bytes) -> None:
        self.objects.put(name, data)

    def refuse_occupied(self, path: str) -> None:
        held = [n for n, _ in self.objects.below(path) or () if not n.startswith(GENERATION)]
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

    def generations(self, section: str) -> list[str]:
        """All generations of a section, by their paths."""
        held = self.objects.below(section) or ()
        return [f"{section}/{name}" for name, _ in held if name.startswith(GENERATION)]


class _Pending(Pending):
    """Each section in a generation of its own, put by several requests at once."""

    def __init__(
        self, medium: Remote, dump: str, sections: Sequence[SectionName], document: str
    ) -> None:
        self._objects, self._document = medium.objects, document
        self._generation = f"{GENERATION}{uuid.uuid4().hex[:12]}"
        self.prefix = f"{self._generation}/"
        self._paths = {name: f"{dump}/{name}".lstrip("/") for name in sections}
        self._before: dict[str, list[str]] = {}
        self._states: dict[str, str | None] = {}
        self._last: dict[SectionName, bytes] = {}
        for path in self._paths.values():
            self._before[path] = medium.generations(path)
            self._states[path] = self._objects.state(f"{path}/{document}")
        self._pool = ThreadPoolExecutor(_AT_ONCE, "padiff-put")
        self._requests: deque[Future[None]] = deque()
        self._published: set[str] = set()

    def make_directory(self, section: SectionName, name: str) -> None:
        pass  # an object store has none

    def put(self, section: SectionName, name: str, pieces: Iterable[memoryview], size: int) -> None:
        data = b"".join(pieces)
        self._requests.append(
            self._pool.submit(self._objects.put, f"{self._paths[section]}/{name}", data)
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
            self._objects.put_if(f"{path}/{self._document}", document, self._states[path])
            self._published.add(path)
            self._objects.remove(self._before[path])

    def discard(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        paths = set(self._paths.values()) - self._published
        self._objects.remove(f"{path}/{self._generation}" for path in sorted(paths))
