"""What of two locations is compared: which steps, ranks and sections, which phases and layers."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from padiff.comparing.comparison import SideName, Source, Unmatched
from padiff.errors import FormatError, UsageError
from padiff.naming.names import Names
from padiff.store.address import Location
from padiff.store.format import SECTIONS, SectionHeader, SectionName
from padiff.store.reader import Dump, Dumps, Section
from padiff.tree import GRADIENTS, Phase

__all__ = [
    "PHASES",
    "DumpPair",
    "PhaseChoice",
    "Runs",
    "Scope",
    "check_locations",
    "pair_dumps",
    "scope_of",
    "source_of",
]

PhaseChoice = Literal["both", "forward", "backward"]
PHASES: tuple[PhaseChoice, ...] = get_args(PhaseChoice)


Numbered = dict[tuple[int | None, int | None], Dump]  # by step and rank


_PARTS: tuple[SectionName, ...] = ("weights", "grads")  # of params


@dataclass(frozen=True, slots=True)
class Scope:
    """What was asked for; None stands for all there is."""

    sections: tuple[SectionName, ...] | None = None
    phase: PhaseChoice = "both"
    steps: tuple[int, ...] | None = None
    ranks: tuple[int, ...] | None = None
    layers: tuple[str, ...] | None = None
    names: Names = Names()  # noqa: RUF009  # it is frozen

    def takes_section(self, name: str) -> bool:
        return self.sections is None or name in self.sections

    def takes_phase(self, phase: Phase | None) -> bool:
        """Gradients are `backward`; inputs, outputs, losses and parameters' values `forward`."""
        return self.phase == "both" or (self.phase == "backward") == (phase in GRADIENTS)

    def takes_layer(self, *routes: str) -> bool:
        """Whether a pattern fits the route of either side."""
        return self.layers is None or any(
            fnmatchcase(route, pattern) for route in routes for pattern in self.layers
        )


def check_locations(base: object, raw: object) -> None:
    """UsageError for a side that is no path."""
    for side, location in (("base", base), ("raw", raw)):
        if not isinstance(location, str | os.PathLike):
            raise UsageError(f"expected the path of a padiff store for {side}, got {location!r}")


def source_of(location: Location, header: SectionHeader) -> Source:
    """What a comparison says of one of its sides, by a section of it."""
    return Source(
        str(location),
        header.model,
        header.framework,
        header.framework_version,
        header.origin,
        header.created,
        header.environment or {},
    )


def scope_of(
    sections: Sequence[str] | None,
    phase: str,
    steps: Iterable[int] | None,
    ranks: Iterable[int] | None,
    layers: Sequence[str] | None,
    names: Names = Names(),  # noqa: B008  # it is frozen
) -> Scope:
    """Check what a user asked for; UsageError names what there is to choose from."""
    if phase not in PHASES:
        raise UsageError(f"expected the phase {', '.join(PHASES)}, got {phase!r}")
    wanted = None
    if sections is not None:
        asked = [sections] if isinstance(sections, str) else list(sections)
        unknown = [name for name in asked if name not in SECTIONS]
        if unknown or not asked:
            raise UsageError(f"expected sections out of {', '.join(SECTIONS)}, got {asked!r}")
        wanted = tuple(name for name in SECTIONS if name in asked)
    patterns = None
    if layers is not None:
        patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    return Scope(wanted, phase, _numbers("steps", steps), _numbers("ranks", ranks), patterns, names)


def _numbers(name: str, values: Iterable[int] | None) -> tuple[int, ...] | None:
    if values is None:
        return None
    if not isinstance(values, Iterable):
        raise UsageError(f"expected {name} to be a list of whole numbers, got {values!r}")
    numbers = tuple(values)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise UsageError(f"expected {name} of at least 0, got {list(numbers)!r}")
    return numbers


class Runs:
    """Which runs wrote the sections of the two sides, told while these are opened in order."""

    def __init__(self) -> None:
        self._last: dict[tuple[SideName, int | None], tuple[str, str]] = {}
        self._met: set[frozenset[str]] = set()

    def note(self, side: SideName, rank: int | None, section: Section) -> Iterator[str]:
        """That a section is of another run than the one before it; once for the same two runs."""
        run = section.header.run
        if run is None:
            return
        before, location = self._last.get((side, rank), (run, section.location))
        self._last[side, rank] = run, section.location
        runs = frozenset((before, run))
        if len(runs) > 1 and runs not in self._met:
            self._met.add(runs)
            yield f"{section.location} was written by another run than {location}"


@dataclass(frozen=True, slots=True)
class DumpPair:
    """One step of one rank on both sides, and the sections that both have."""

    step: int | None
    rank: int | None
    base: Dump
    raw: Dump
    sections: tuple[SectionName, ...]
    runs: Runs


def pair_dumps(base: Dumps, raw: Dumps, scope: Scope) -> tuple[list[DumpPair], list[Unmatched]]:
    """The pairs in order of steps and ranks, and what only one side has.

    Two single dumps are a pair whatever their steps; of two runs of one rank it does not matter
    which of them numbers it. Raises UsageError for a step, rank or section that was asked for and
    that a side lacks, IncompleteError when one in scope was never finished, and FormatError when
    there is nothing in common.
    """
    _check_numbers("step", scope.steps, base, raw)
    _check_numbers("rank", scope.ranks, base, raw)
    ours, theirs = (
        {key: dump for key, dump in side.dumps.items() if _takes(scope, dump)}
        for side in (base, raw)
    )
    _check_finished(scope, [*ours.values(), *theirs.values()])
    ours, theirs = _without_lone_ranks(ours, theirs)
    pairs = []
    runs = Runs()
    unmatched: list[Unmatched] = []
    for key in sorted(ours | theirs, key=lambda key: [-1 if n is None else n for n in key]):
        left, right = ours.get(key), theirs.get(key)
        unmatched += _lone("base", left, right, scope) + _lone("raw", right, left, scope)
        if left is not None and right is not None:
            common = tuple(name for name in _common(left, right) if scope.takes_section(name))
            if common:
                pairs.append(DumpPair(left.step, left.rank, left, right, common, runs))
    _check_sections(scope, pairs, base, raw)
    if not pairs:
        raise FormatError(
            f"expected a section of one step in both locations, found {_inventory(base)} and "
            f"{_inventory(raw)}: name one step of each, or dump the same ones on both sides"
        )
    return pairs, unmatched


def _without_lone_ranks(ours: Numbered, theirs: Numbered) -> tuple[Numbered, Numbered]:
    """The same by steps alone where one side numbers its only rank, and the other does not."""
    ranks = [{rank for _, rank in side} for side in (ours, theirs)]
    if ranks not in ([{0}, {None}], [{None}, {0}]):
        return ours, theirs
    return _by_steps(ours), _by_steps(theirs)


def _by_steps(side: Numbered) -> Numbered:
    return {(step, None): dump for (step, _), dump in side.items()}


def _takes(scope: Scope, dump: Dump) -> bool:
    return (scope.steps is None or dump.step in scope.steps) and (
        scope.ranks is None or dump.rank in scope.ranks
    )


def _common(left: Dump, right: Dump) -> tuple[SectionName, ...]:
    """The sections that both dumps have: what is in one's params the other may have alone."""
    ours, theirs = set(left.sections), set(right.sections)
    if "params" not in ours & theirs:
        for parts, whole in ((ours, theirs), (theirs, ours)):
            whole |= parts & set(_PARTS) if "params" in whole else set()
    return tuple(name for name in SECTIONS if name in ours & theirs)


def _lone(side: SideName, dump: Dump | None, other: Dump | None, scope: Scope) -> list[Unmatched]:
    """Sections of a dump that the other side lacks; of params that it has in part, the rest."""
    if dump is None:
        return []
    names = list(dump.sections)
    held = set() if other is None else {*_common(dump, other), *other.sections}
    if "params" in names and "params" not in held and held & set(_PARTS):
        rest = [name for name in _PARTS if name not in names and _has_part(dump, name)]
        names = [*(name for name in names if name != "params"), *rest]
    return [
        Unmatched(side, "section", name, dump.step, dump.rank)
        for name in names
        if name not in held and scope.takes_section(name)
    ]


def _has_part(dump: Dump, name: SectionName) -> bool:
    """Whether there is anything of a part in the params of a dump."""
    return any(node.tensors for node in dump.section(name).tree.walk())


def _check_finished(scope: Scope, dumps: Sequence[Dump]) -> None:
    for dump in dumps:
        for name in dump.unfinished:
            if scope.takes_section(name):
                dump.section(name)  # raises, and says what became of it


def _check_numbers(
    kind: Literal["step", "rank"], asked: tuple[int, ...] | None, base: Dumps, raw: Dumps
) -> None:
    for side in (base, raw):
        there = {getattr(dump, kind) for dump in side.dumps.values()}
        for number in asked or ():
            if number not in there:
                raise UsageError(
                    f"expected {kind} {number} in {side.location}, found {_inventory(side)}: "
                    f"ask for another {kind}, or leave it out to compare all"
                )


def _check_sections(scope: Scope, pairs: Sequence[DumpPair], base: Dumps, raw: Dumps) -> None:
    found = {name for pair in pairs for name in pair.sections}
    for name in scope.sections or ():
        if name in found:
            continue
        held = [any(name in dump.sections for dump in side.dumps.values()) for side in (base, raw)]
        where, how = (" of one step", ", in the same step") if all(held) else ("", "")
        raise UsageError(
            f"expected {name}{where} in both locations, found {_inventory(base)} and "
            f"{_inventory(raw)}: dump it on both sides{how}, or ask for another section"
        )


def _inventory(side: Dumps) -> str:
    """What a location holds, in a few words: `report, params of steps 0, 1, 2 in run.zarr`."""
    held: dict[str, list[str]] = {}  # sections by the steps and ranks that they are of
    for name in SECTIONS:
        dumps = [dump for dump in side.dumps.values() if name in dump.sections]
        if dumps:
            held.setdefault(_of_which(dumps), []).append(name)
    words = ", ".join(f"{', '.join(names)}{which}" for which, names in held.items())
    return f"{words or 'nothing finished'} in {side.location}"


def _of_which(dumps: Sequence[Dump]) -> str:
    """The steps and ranks of some dumps, like ` of steps 0, 1, 2`; empty where there are none."""
    words = ""
    for kind in ("step", "rank"):
        numbers = {getattr(dump, kind) for dump in dumps} - {None}
        if numbers:
            listed = [str(number) for number in sorted(numbers)]
            if len(listed) > 8:
                listed = [*listed[:4], "...", *listed[-2:]]
            words += f" of {kind}{'s' if len(listed) > 1 else ''} {', '.join(listed)}"
    return words
