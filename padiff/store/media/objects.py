"""Objects behind a URL, in whatever fsspec reaches: to get, put, list and remove them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from padiff.errors import OccupiedError, PadiffError, UnreadableError, UsageError, WriteError

__all__ = ["Objects"]

T = TypeVar("T")

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


class Objects:
    """Those whose URLs begin with `url`; of what a server refuses it makes sentences.

    Raises UsageError where fsspec knows no such URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._fs, self._root = _file_system(self.url)

    def get(self, name: str, **part: int | None) -> bytes | None:
        """The bytes of an object, or some of them; None where there is none."""
        return self._ask(name, lambda: self._fs.cat_file(f"{self._root}/{name}", **part))

    def below(self, path: str) -> list[tuple[str, str]] | None:
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

    def info(self, name: str) -> dict[str, Any] | None:
        """What the file system says of an object as it is now; None where there is none."""
        self._fs.invalidate_cache()
        found: dict[str, Any] | None = self._ask(
            name, lambda: self._fs.info(f"{self._root}/{name}")
        )
        return found if found is not None and found["type"] == "file" else None

    def put(self, name: str, data: bytes) -> None:
        """Put an object, in place of an older one at once."""
        with self._writing(name, len(data)):
            self._fs.pipe_file(f"{self._root}/{name}", data)

    def state(self, name: str) -> str | None:
        """What tells an object from one that takes its place; None where there is none."""
        found = self.info(name)
        if found is None:
            return None
        keys = ("ETag", "etag", "created", "mtime", "LastModified", "size")
        return str(next(found[key] for key in keys if found.get(key) is not None))

    def put_if(self, name: str, data: bytes, state: str | None) -> None:
        """Put an object unless it is in another state by now: OccupiedError.

        Where the server knows conditions it is held to them, so that nothing comes between.
        """
        lost = OccupiedError(
            f"expected to be alone in writing {self.url}/{name}, found that another writer has "
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
        if self.get(name) != data:
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
            f"expected to read {self.url}/{name}, but it cannot be reached: "
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
                f"expected to write {size} bytes to {self.url}/{name}, but it was refused: "
                f"{_reason(error)}; check the address, the connection and the credentials, "
                "what was dumped before is intact"
            ) from error


def _reason(error: Exception) -> str:
    """What an error of another library says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
