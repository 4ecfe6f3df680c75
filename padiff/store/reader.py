"""What the comparator and users call: dumps, sections and layers, loaded when asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from padiff.errors import CorruptError, FormatError, IncompleteError, UsageError
from padiff.showing import Shown
from padiff.store.address import Location
from padiff.store.base import Store
from padiff.store.format import (
    ATTRIBUTE,
    SECTIONS,
    SectionName,
    numbered,
)
from padiff.store.location import locate_for_reading
from padiff.store.roots import absolute_numbers
from padiff.store.section import Layer, Section, Tensors

__all__ = ["Dump", "Dumps", "Layer", "Section", "Tensors", "open_dump", "open_dumps"]


class Dump(Shown):
    """The sections of one step of one rank; `step` and `rank` are None where the path has none."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self.step, self.rank = absolute_numbers(path)
        held = store.groups(path)
        self.sections: tuple[SectionName, ...] = tuple(n for n in SECTIONS if n in held)
        begun = store.unfinished(path)
        self.unfinished: dict[SectionName, str] = {n: begun[n] for n in SECTIONS if n in begun}
        self._open: dict[str, Section] = {}

    @property
    def location(self) -> str:
        """Where the dump lies, as a user would type it."""
        return f"{self._store.location}/{self._path}".rstrip("/")

    def section(self, name: SectionName) -> Section:
        """One section; IncompleteError when it was begun but not finished, UsageError if absent.

        What lacks `weights` or `grads` has them in its `params`.
        """
        if name in ("weights", "grads") and not self._has(name) and "params" in self.sections:
            if name not in self._open:
                self._open[name] = self.section("params").part(name)
            return self._open[name]
        if name not in self.sections:
            if name in self.unfinished:
                begun = f"{self._store.location}/{self.unfinished[name]}"
                raise IncompleteError(
                    f"expected a finished {name} in {self.location}, found one whose writer was "
                    f"stopped or is still at work: dump it again, remove {begun}, or leave its "
                    "step or section out"
                )
            held = ", ".join(self.sections) or "nothing"
            raise UsageError(f"expected {name} in {self.location}, found {held}: dump it first")
        if name not in self._open:
            path = f"{self._path}/{name}".lstrip("/")
            section = Section(self._store, path)
            if section.header.section != name:
                raise CorruptError(
                    f"expected {name} at {section.location}, "
                    f"found a section that calls itself {section.header.section}"
                )
            self._open[name] = section
        return self._open[name]

    def _has(self, name: SectionName) -> bool:
        return name in self.sections or name in self.unfinished

    @property
    def report(self) -> Section:
        """What every layer took, gave and passed back."""
        return self.section("report")

    @property
    def params(self) -> Section:
        """Parameters and their gradients, as they were together."""
        return self.section("params")

    @property
    def weights(self) -> Section:
        """Parameters alone."""
        return self.section("weights")

    @property
    def grads(self) -> Section:
        """Gradients of the parameters alone."""
        return self.section("grads")

    def __repr__(self) -> str:
        return f"<Dump {self.location}: {', '.join(self.sections) or 'no finished section'}>"


class Dumps:
    """All dumps at or below one location, by (step, rank) as the path below it names them."""

    def __init__(self, location: str, dumps: dict[tuple[int | None, int | None], Dump]) -> None:
        self.location = location
        self.dumps = dumps


def open_dumps(location: Location) -> Dumps:
    """Every dump of a location: a store, a step of it, or a rank of a step.

    Raises LocationError when nothing lies there, FormatError when it is no store or a newer one,
    IncompleteError when it holds no finished section.
    """
    store, path = locate_for_reading(location)
    if "section" in store.attributes(path).get(ATTRIBUTE, {}):
        raise FormatError(
            f"expected a store, a step or a rank at {location}, found one section: "
            f"name the directory above it"
        )
    found: dict[tuple[int | None, int | None], Dump] = {}
    for step, below in _numbered_groups(store, path, "step"):
        for rank, group in _numbered_groups(store, below, "rank"):
            dump = Dump(store, group)
            if dump.sections or dump.unfinished:
                found[step, rank] = dump
    if not any(dump.sections for dump in found.values()):
        _explain_nothing_finished(str(location), list(found.values()))
    return Dumps(str(location), found)


def _numbered_groups(
    store: Store, path: str, kind: Literal["step", "rank"]
) -> Iterator[tuple[int | None, str]]:
    """The group itself, then its steps (or ranks) by number."""
    yield None, path
    for name in store.unfinished(path):
        if numbered(kind, name) is not None:
            raise CorruptError(
                f"expected a {kind} at {Path(store.location, path, name)}, found a directory that "
                "lost its document: dump it again, or remove it"
            )
    found = ((numbered(kind, name), name) for name in store.groups(path))
    for number, name in sorted(pair for pair in found if pair[0] is not None):
        group = f"{path}/{name}".lstrip("/")
        store.attributes(group)  # what is no group's document is damage, whatever lies below
        yield number, group


def _explain_nothing_finished(location: str, dumps: list[Dump]) -> None:
    if dumps:
        held = ", ".join(f"{dump.location}/{name}" for dump in dumps for name in dump.unfinished)
        raise IncompleteError(
            f"expected a finished section in {location}, found only unfinished ones ({held}): "
            "the writer was stopped or is still at work, so dump again, or wait"
        )
    raise IncompleteError(
        f"expected at least one dump in {location}, found an empty store: "
        "call try_dump or dump_report on a model that has run"
    )


def open_dump(location: Location) -> Dump:
    """The one dump at `location`, loaded lazily.

        dump = open_dump("run.zarr/step_9")
        dump.report["blocks.1.mlp.fc1"].forward[0][:10]

    Raises what `open_dumps` does, and FormatError when the location holds several dumps.
    """
    dumps = open_dumps(location).dumps
    if len(dumps) > 1:
        names = ", ".join(dump.location for dump in list(dumps.values())[:4])
        raise FormatError(
            f"expected one dump at {location}, found {len(dumps)}: name one of them ({names}"
            f"{', ...' if len(dumps) > 4 else ''})"
        )
    return next(iter(dumps.values()))
