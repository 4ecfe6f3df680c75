"""What the recorder calls: the sections of one dump, visible together when committed."""

import itertools
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from padiff.errors import LocationError, PadiffError
from padiff.store.address import Location
from padiff.store.base import WritableStore
from padiff.store.files import Writing
from padiff.store.format import ATTRIBUTE, SectionName, safe_name
from padiff.store.placing import locate_for_writing, store_in
from padiff.store.section_writer import SectionWriter
from padiff.store.spill import Spill
from padiff.store.storage import DEFAULT, Format, Storage

__all__ = ["DumpWriter", "claim_store", "write_section"]

# Tells this process from one that wrote a store earlier; forks differ by their number.
_PROCESS = uuid.uuid4().hex
# The runs of this process by the directory they hold: others overwrite the claims in these.
_HELD: dict[tuple[int, Path], str] = {}


class DumpWriter:
    """Write sections of one dump, which become visible together when all are finished.

    A context manager: leaving it before every section is finished, by an error or by Ctrl-C,
    removes what was written and leaves older sections of those names as they were.

    What is in `spill` is moved here where it can be, and is lost to others.

    Raises OccupiedError when something else lies at the location, or another writer is at work on
    one of the sections, and WriteError when the file system refuses (full, read-only, no
    permission).
    """

    def __init__(
        self,
        location: Location | tuple[WritableStore, str],
        *sections: SectionName,
        step: int | None = None,
        rank: int | None = None,
        storage: Storage = DEFAULT,
        spill: Spill | None = None,
    ) -> None:
        """`location` may be a store as well, with the path of the dump in it."""
        self._handled = sys.exception()  # by the caller, who dumps what there is
        if isinstance(location, tuple):
            store, path = location
        else:
            store, path = locate_for_writing(location, step=step, rank=rank, backend=storage.format)
        with Writing(f"{store.location}/{path}".rstrip("/"), 0):
            self._partial = store.begin_dump(path, sections, storage)
        if spill is not None:
            self._partial.take_over(spill.partial)
        self._storage = storage
        self._writers: list[SectionWriter] = []
        self._expected = sections

    def section(self, name: SectionName) -> SectionWriter:
        """What takes the arrays of one of the sections, and its header at the end."""
        writer = SectionWriter(self._partial.section(name), name, self._storage)
        self._writers.append(writer)
        return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for writer in self._writers:
                writer.close()
            if kind is None and {w.name for w in self._writers if w.finished} == {*self._expected}:
                self._partial.commit()
        except Exception as failure:
            self._raise_interrupt(failure)
            raise
        finally:
            self._partial.discard()
        self._raise_interrupt(error)

    def _raise_interrupt(self, error: BaseException | None) -> None:
        """Raise the interrupt on whose way up an error came, as of a lock that it kept half taken.

        The interrupt is what the user is to hear of.
        """
        while error is not None and error is not self._handled:
            if isinstance(error, KeyboardInterrupt):
                raise error from None
            error = error.__context__


@contextmanager
def write_section(
    location: Location,
    section: SectionName,
    *,
    step: int | None = None,
    rank: int | None = None,
    storage: Storage = DEFAULT,
) -> Iterator[SectionWriter]:
    """The same for a single section, visible when this is left."""
    with DumpWriter(location, section, step=step, rank=rank, storage=storage) as dump:
        yield dump.section(section)


def claim_store(
    root: Path, name: str, *, framework: str, run: str, backend: Format | None = None
) -> Path:
    """The directory `<root>/<name>` for the run `run`, with a number where that is another's.

    It is another's while a run of this process holds it (two models of one name), or when it was
    written with another framework. The same script run again gets the same directory again.
    """
    mine = {"process": f"{_PROCESS}-{os.getpid()}", "run": run, "framework": framework}
    for attempt in itertools.count():
        path = root / (safe_name(name) + (f"_{attempt}" if attempt else ""))
        held = os.getpid(), path.absolute()  # a fork has runs of its own
        if _HELD.get(held, run) != run:
            continue
        _check_reachable(path)
        store = store_in(path.absolute(), backend)
        try:
            found = store.attributes("").get(ATTRIBUTE, {}).get("claim", {})
        except LocationError:
            if path.exists():  # not ours to write to
                continue
            found = {}
        except (PadiffError, AttributeError):
            continue
        this_process = found.get("process") == mine["process"]
        other_framework = found.get("framework") not in (None, framework)
        if found != mine and (this_process or other_framework):
            continue
        store.create(mine)
        _HELD[held] = run
        return path
    raise AssertionError("unreachable: itertools.count does not end")


def _check_reachable(path: Path) -> None:
    """WriteError where the system cannot tell what lies at `path`, whatever its number."""
    with Writing(path, 0), suppress(FileNotFoundError, NotADirectoryError):
        os.close(os.open(path.parent, os.O_RDONLY))
        path.stat()
