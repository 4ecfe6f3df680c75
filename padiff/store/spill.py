"""Tensors that go to the disk before it is settled which dump will hold them."""

import itertools
import os
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.errors import WriteError
from padiff.store.address import Location, is_elsewhere, local_path
from padiff.store.base import PartialDump
from padiff.store.files import Writing
from padiff.store.format import safe_name
from padiff.store.hdf5.locating import is_hdf5
from padiff.store.leftovers import Workplace, begin_alone
from padiff.store.placing import store_in
from padiff.store.section_writer import SectionWriter, Stored
from padiff.store.storage import Format, Storage

__all__ = ["Spill"]


class Spill:
    """A dump that is never finished, `partial`, with one `section`, in a hidden directory.

    It is removed when nobody has this any more.
    """

    def __init__(self, parent: Path, backend: Format, storage: Storage) -> None:
        made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
        with Writing(parent, 0):
            parent.mkdir(parents=True, exist_ok=True)
            workplace = begin_alone(parent, "spill", what="what was spilled", among=True)
        store = store_in(workplace.path / "store", backend)  # the lock of the other is held
        self.partial = store.begin_dump("", ("report",), storage)
        # In a thread of its own: what HDF5 keeps in memory for each array would else lie between
        # the model's own tensors, and the room that these leave could not be used for others.
        self._thread = ThreadPoolExecutor(1, "padiff-spill")
        self.process = os.getpid()
        self._end = weakref.finalize(
            self, _remove, self.process, self.partial, workplace, self._thread, made
        )
        self.section = self.partial.section("report")
        self._writer = SectionWriter(self.section, "report", storage)
        self._count = itertools.count()

    @classmethod
    def beside(cls, location: Location, storage: Storage) -> "Spill":
        """One on the file system of a dump that may go to `location`, and of its format.

        What goes to a URL, or where nothing can be written, is spilled to the directory for
        temporary files.
        """
        if not is_elsewhere(location):
            path = local_path(location).absolute()
            backend = storage.format or ("hdf5" if is_hdf5(path) else "zarr")
            with suppress(WriteError):
                return cls(path.parent, backend, storage)
        return cls(Path(gettempdir()), "zarr", storage)

    def add(self, leaf: str, values: NDArray[Any], dims: Sequence[str] | None = None) -> Stored:
        """Write a tensor now; `leaf` is the name that its array will have in the dump."""
        path = f"{next(self._count)}/{safe_name(leaf)}"
        return self._thread.submit(self._writer.add, path, values, dims).result()

    def values(self, stored: Stored) -> NDArray[Any]:
        """The elements of a tensor that was added, read from the disk."""
        return np.asarray(self.section.written(stored.array))

    def close(self) -> None:
        """Remove what is left of it now. Safe to call twice."""
        self._end()


def _remove(
    process: int,
    partial: PartialDump,
    workplace: Workplace,
    thread: ThreadPoolExecutor,
    made: list[Path],
) -> None:
    if os.getpid() != process:  # a fork has a copy of what is its parent's
        return
    thread.shutdown()
    partial.discard()
    workplace.remove()
    with suppress(OSError):  # where something else lies by now
        for folder in made:
            folder.rmdir()
