"""Which layers of two dumps belong together, the same ones in all their sections."""

from collections.abc import Set
from functools import cached_property

from padiff.matching.routes import has_classes, match_routes
from padiff.matching.trees import Matching, match_trees
from padiff.naming.names import Names
from padiff.store.format import SectionName
from padiff.store.reader import Dump, Section
from padiff.tree import Node

__all__ = ["Partners", "tells_of"]

Routes = tuple[tuple[str, str], ...]  # of base and raw


class Partners:
    """The pairs of layers of two dumps.

    A report tells more of layers than their parameters do: in which order they ran, and what they
    returned. So where both dumps have one, of the run that wrote the parameters, its pairs hold
    for these too. The pairs that a user named come before all others.
    """

    def __init__(self, base: Dump, raw: Dump, names: Names) -> None:
        self._dumps, self._names = (base, raw), names

    def matching(self, name: SectionName) -> Matching:
        """The layers of one section that both dumps have."""
        if name == "report":
            return self._report
        told = all(tells_of(dump, dump.section(name)) for dump in self._dumps)
        return self._match(name, self._routes if told else ())

    @cached_property
    def _report(self) -> Matching:
        return self._match("report")

    @cached_property
    def _routes(self) -> Routes:
        return tuple((base.route, raw.route) for base, raw in self._report.pairs)

    def _match(self, name: SectionName, known: Routes = ()) -> Matching:
        base, raw = (dump.section(name).header for dump in self._dumps)
        ours, theirs = ([node.route for node in side.tree.walk()] for side in (base, raw))
        known = (*self._names.layers(ours, theirs), *known)
        if not (has_classes(base.tree) and has_classes(raw.tree)):
            return match_routes(base.tree, raw.tree, known)
        found = match_trees(base.tree, raw.tree, base.layer_map, raw.layer_map, known)
        return _without(found, self._names.apart())


def _without(matching: Matching, apart: Set[tuple[str, str]]) -> Matching:
    """The same, but for pairs of these routes: their layers are alone."""
    if not apart:
        return matching
    pairs: list[tuple[Node, Node]] = []
    lone: list[tuple[Node, Node]] = []
    for base, raw in matching.pairs:
        (lone if (base.route, raw.route) in apart else pairs).append((base, raw))
    ours, theirs = ([pair[side] for pair in lone] for side in (0, 1))
    return Matching(tuple(pairs), (*matching.base_only, *ours), (*matching.raw_only, *theirs))


def tells_of(dump: Dump, section: Section) -> bool:
    """Whether the dump has a report of the run that wrote the section."""
    return "report" in dump.sections and dump.report.header.run == section.header.run
