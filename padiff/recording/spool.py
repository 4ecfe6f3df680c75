"""Where captured tensors wait between the run that made them and the dump."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from padiff.errors import WriteError
from padiff.recording.memory import Memory
from padiff.store.address import Location
from padiff.store.section_writer import Later, SectionWriter, Stored, measured
from padiff.store.spill import Spill
from padiff.store.storage import Storage

__all__ = ["InMemory", "Kept", "Room", "Spool", "Tensors"]

Tensors = Literal["full", "statistics"]


class Kept(ABC):
    """A tensor in the keeping of a spool, for as long as this object lives."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @abstractmethod
    def values(self) -> NDArray[Any]:
        """The elements as they were when captured; not to be written to."""

    @abstractmethod
    def write(self, writer: SectionWriter, path: str, dims: Sequence[str] | None) -> Later:
        """Begin to put the tensor into a section."""


class InMemory(Kept):
    """The elements themselves."""

    __slots__ = ("_values",)

    def __init__(self, values: NDArray[Any]) -> None:
        super().__init__(values.shape)
        self._values = values

    def values(self) -> NDArray[Any]:
        return self._values

    def write(self, writer: SectionWriter, path: str, dims: Sequence[str] | None) -> Later:
        return writer.begin(path, self._values, dims)


class _OnDisk(Kept):
    """What did not fit into memory; its spill stays as long as this."""

    __slots__ = ("_spill", "_stored")

    def __init__(self, spill: Spill, stored: Stored) -> None:
        super().__init__(stored.shape)
        self._spill, self._stored = spill, stored

    def values(self) -> NDArray[Any]:
        self._check_process()
        return self._spill.values(self._stored)

    def write(self, writer: SectionWriter, path: str, dims: Sequence[str] | None) -> Later:
        self._check_process()
        return writer.adopt(path, self._stored, self._spill.section)

    def _check_process(self) -> None:
        if self._spill.process != os.getpid():
            raise WriteError(
                "expected to dump what this process has recorded, got what another one spilled "
                "before it was forked: dump it there, or clear the report and record again"
            )


class _Measured(Kept):
    """A tensor of which only the statistics and digests are kept."""

    __slots__ = ("_stored",)

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored.shape)
        self._stored = stored

    def values(self) -> NDArray[Any]:
        raise TypeError("expected a tensor whose elements were kept, got one of statistics alone")

    def write(self, writer: SectionWriter, path: str, dims: Sequence[str] | None) -> Later:
        return writer.note(path, self._stored)


@dataclass(slots=True)
class Room:
    """Where the spools of one recording keep tensors, one report after another.

    What does not fit into `memory` is spilled beside `place`, where the last dump went, and before
    there was one beside what `home` returns.
    """

    memory: Memory
    tensors: Tensors
    storage: Storage
    home: Callable[[], Location]
    place: Location | None = None

    def begin_spill(self) -> Spill:
        """A spill on the file system where the next dump is likely to go."""
        return Spill.beside(self.home() if self.place is None else self.place, self.storage)


class Spool:
    """Takes the tensors of one report in the order they are captured.

    They are copied into memory, and once that is full written to a spill, which is begun for the
    first of them. Of `statistics` nothing else is kept.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self.keeps_elements = room.tensors == "full"
        self.spill: Spill | None = None

    def keep(self, leaf: str, values: NDArray[Any], dims: Sequence[str] | None = None) -> Kept:
        """Hold on to the elements as they are now; `leaf` is the name that their array will have.

        Raises WriteError when they do not fit into memory, and the file system refuses them.
        """
        if not self.keeps_elements:
            return _Measured(measured(values, self._room.storage, dims))
        copied = self._room.memory.copy(values)
        if copied is not None:
            return InMemory(copied)
        if self.spill is None or self.spill.process != os.getpid():  # in a fork
            self.spill = self._room.begin_spill()
        return _OnDisk(self.spill, self.spill.add(leaf, values, dims))
