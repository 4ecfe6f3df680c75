"""Which tensors of two dumps are compared, and in which order causes come before effects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import Struct

from padiff.comparing.absent import Absent, silent_calls
from padiff.comparing.buffers import Buffers
from padiff.comparing.comparison import BufferKind, Kind, SideName, Unmatched
from padiff.comparing.gradients import ExpectedGradients
from padiff.comparing.named import NamedTensors, lone_tensors, named_tensors
from padiff.comparing.order import Positions, cause_of
from padiff.comparing.partners import Partners
from padiff.comparing.pieces import Piece, match_pieces, whole_of
from padiff.comparing.scope import DumpPair, Scope
from padiff.matching.routes import has_classes
from padiff.matching.tensors import TensorMatching, match_inputs, match_tensors
from padiff.matching.trees import Matching
from padiff.store.format import SectionName
from padiff.store.reader import Section
from padiff.tree import Node, Phase, TensorRecord, Unrecorded

__all__ = ["Plan", "Planned", "plan_dumps"]

_SIDES: tuple[SideName, SideName] = ("base", "raw")
TensorPairs = list[tuple[TensorRecord, TensorRecord]]


class Planned(Struct, frozen=True):
    """One record to be: a pair of tensors, or one whose partner is missing.

    Within a step, sorting by `cause` and then `position` puts what may cause a difference before
    what it affects. `explained` is the share of its size by which the tensor may differ, as the
    conventions of two frameworks differ.
    """

    dumps: DumpPair
    sections: tuple[Section, Section]
    phase: Phase | None
    cause: int
    position: tuple[int, ...]
    nodes: tuple[Node | None, Node | None]
    tensors: tuple[TensorRecord | None, TensorRecord | None]
    buffer: BufferKind | None = None
    explained: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """All that comparing one section of a pair of dumps comes to; `layers` were in the scope.

    `notes` say what a reader of the outcome must know of the two sections, a sentence each.
    """

    planned: tuple[Planned, ...]
    unmatched: tuple[Unmatched, ...]
    layers: int
    notes: tuple[str, ...]
    matching: Matching


def plan_dumps(dumps: DumpPair, scope: Scope) -> list[Plan]:
    """Match the layers of each section of two dumps, and the tensors of each pair of them."""
    partners = Partners(dumps.base, dumps.raw, scope.names)
    return [_plan_section(dumps, name, partners.matching(name), scope) for name in dumps.sections]


def _plan_section(dumps: DumpPair, name: SectionName, matching: Matching, scope: Scope) -> Plan:
    sections = dumps.base.section(name), dumps.raw.section(name)
    planner = _Planner(dumps, sections, scope)
    pairs = [pair for pair in matching.pairs if scope.takes_layer(*(n.route for n in pair))]
    if name != "report":
        trees = sections[0].tree, sections[1].tree
        planner.add_named(named_tensors(*trees, scope.names), lone_tensors(*trees, scope.names))
    planner.add_pairs(matching.pairs)
    if name == "report" and scope.takes_phase("forward"):
        for pair in silent_calls([pair for pair in pairs if not pair[0].route]):
            planner.add_silent(*pair)
    for node in matching.base_only:
        planner.add_lone("base", node)
    for node in matching.raw_only:
        planner.add_lone("raw", node)
    return Plan(
        tuple(planner.planned), tuple(planner.unmatched), len(pairs), planner.notes(), matching
    )


class _Planner:
    """Collects the plan of one section."""

    def __init__(self, dumps: DumpPair, sections: tuple[Section, Section], scope: Scope) -> None:
        self._dumps, self._sections, self._scope = dumps, sections, scope
        self._name = sections[0].header.section
        self._positions = Positions(sections[0].tree, of_calls=self._name == "report")
        self._gradients = ExpectedGradients(*sections)
        headers = [section.header for section in sections]
        self._by_statistics = any(header.tensors for header in headers)
        self._has_classes = all(has_classes(header.tree) for header in headers)
        self._frameworks = headers[0].framework, headers[1].framework
        nodes = [{n.route: n for n in h.tree.walk()} for h in headers]
        self._nodes = nodes[0], nodes[1]
        self._buffers = Buffers((dumps.base, dumps.raw), sections)
        self._absent = Absent(self._name, self._gradients)
        # tensors that are compared in pieces, with those of other layers
        self._in_pieces: set[int] = set()
        # tensors that a user gave a partner, or said to have none: no rule asks for them again
        self._told: set[int] = set()
        self._lone: set[int] = set()
        self.planned: list[Planned] = []
        self.unmatched: list[Unmatched] = []

    def add_pairs(self, pairs: Sequence[tuple[Node, Node]]) -> None:
        """Matched layers in the scope: their tensors, and those of them without a partner."""
        pieces = [self._match_pieces(pair) for pair in pairs]
        matched = [
            (base, raw, self._match(base, raw, found))
            for (base, raw), found in zip(pairs, pieces, strict=True)
        ]
        for _, _, matching in matched:  # a parameter's partner may lie outside of the scope
            for pair in matching.pairs:
                self._absent.have_each_other(*pair)
        for base, raw, matching in matched:
            if self._scope.takes_layer(base.route, raw.route):
                self._add_pair(base, raw, matching)

    def add_named(self, pairs: Sequence[NamedTensors], lone: Sequence[TensorRecord]) -> None:
        """The tensors that a user named, wherever they stand, and said to have no partner."""
        self._lone.update(map(id, lone))
        for pair in pairs:
            if self._by_statistics and any(isinstance(tensor, Piece) for tensor in pair.tensors):
                self._list_pieces(pair.nodes, [pair.tensors])
                continue
            if not self._scope.takes_phase(pair.tensors[0].phase):
                continue
            self._in_pieces.update(id(whole_of(tensor)) for tensor in pair.tensors)
            self._absent.have_each_other(*pair.tensors)
            if self._scope.takes_layer(*(node.route for node in pair.nodes)):
                self._plan(pair.nodes, pair.tensors)
        self._told = self._in_pieces | self._lone

    def _match_pieces(self, layers: tuple[Node, Node]) -> TensorPairs:
        if self._name == "report":
            return []
        found = [
            pair
            for pair in match_pieces(layers, self._frameworks, self._nodes)
            if not any(id(whole_of(tensor)) in self._told for tensor in pair)
        ]
        if self._by_statistics:
            self._list_pieces(layers, found)
            return []
        pairs = [pair for pair in found if self._scope.takes_phase(pair[0].phase)]
        self._in_pieces.update(id(whole_of(tensor)) for pair in pairs for tensor in pair)
        return pairs

    def _list_pieces(self, layers: tuple[Node, Node], pieces: TensorPairs) -> None:
        """Parts of tensors of which only the whole was measured: nothing is known of them."""
        reason = "of a part of a tensor its statistics do not tell"
        for pair in pieces:
            for side, node, piece in zip(_SIDES, layers, pair, strict=True):
                self._in_pieces.add(id(whole_of(piece)))
                found = self._unmatched(side, "unrecorded", node, piece)
                self.unmatched.append(replace(found, reason=reason))

    def _match(self, base: Node, raw: Node, pieces: TensorPairs) -> TensorMatching:
        ours, theirs = self._taken(base), self._taken(raw)
        alone = tuple(tuple(t for t in side if id(t) in self._lone) for side in (ours, theirs))
        if any(alone):
            ours, theirs = ([t for t in s if id(t) not in self._lone] for s in (ours, theirs))
        of_inputs = self._name == "report" and any(t.phase == "backward" for t in ours)
        inputs = match_inputs(base, raw) if of_inputs else {}
        found = match_tensors(ours, theirs, inputs, in_order=self._has_classes)
        if not (pieces or any(alone)):
            return found
        ours_left, theirs_left = (*found.base_only, *alone[0]), (*found.raw_only, *alone[1])
        return TensorMatching((*pieces, *found.pairs), ours_left, theirs_left)

    def _add_pair(self, base: Node, raw: Node, matching: TensorMatching) -> None:
        for pair in matching.pairs:
            self._plan((base, raw), pair)
        paired = {tensor.phase for tensor, _ in matching.pairs}
        for tensor in matching.base_only:
            if self._absent.is_missed("raw", (base, raw), tensor, paired):
                self._plan((base, raw), (tensor, None))
            else:
                self._list("base", base, tensor)
        for tensor in matching.raw_only:
            if self._absent.is_missed("base", (base, raw), tensor, paired):
                self._plan((base, raw), (None, tensor))
            else:
                self._list("raw", raw, tensor)
        self._list_unrecorded("base", base)
        self._list_unrecorded("raw", raw)

    def add_silent(self, base: Node, raw: Node) -> None:
        """A call of the model of which no output is there to compare: nothing is known to agree."""
        self._plan((base, raw), (None, None), "forward")

    def add_lone(self, side: SideName, node: Node) -> None:
        """A layer without a partner: listed, and what must not be missing is planned as such."""
        if not self._scope.takes_layer(node.route):
            return
        if node.tensors and all(id(tensor) in self._in_pieces for tensor in node.tensors):
            return  # it is part of another layer there
        self._list(side, node)
        for tensor in self._taken(node):
            if self._absent.is_missed_of_lone(side, node, tensor):
                if side == "base":
                    self._plan((node, None), (tensor, None))
                else:
                    self._plan((None, node), (None, tensor))

    def notes(self) -> tuple[str, ...]:
        """What a reader of the outcome must know of the two sections."""
        notes: list[str] = []
        for side, section in zip(_SIDES, self._sections, strict=True):
            notes += self._dumps.runs.note(side, self._dumps.rank, section)
            if section.header.updated:
                notes.append(
                    f"the parameters in {section.location} were changed after the call that was "
                    "recorded: dump them before the optimizer's step"
                )
        if self._name == "report" and self._scope.takes_phase("backward"):
            notes += self._gradients.notes()
        return tuple(notes)

    def _taken(self, node: Node) -> list[TensorRecord]:
        return [
            tensor
            for tensor in node.tensors
            if self._scope.takes_phase(tensor.phase) and id(tensor) not in self._in_pieces
        ]

    def _plan(
        self,
        nodes: tuple[Node | None, Node | None],
        tensors: tuple[TensorRecord | None, TensorRecord | None],
        phase: Phase | None = None,
    ) -> None:
        base = nodes[0]
        tensor = tensors[0] or tensors[1]
        phase = phase if tensor is None else tensor.phase
        buffer, explained = self._buffers.of(nodes, tensors)
        # of a model called in a loop, what later calls are given is what the first ones made
        roots = self._sections[0].tree.roots
        of_model = bool(roots) and base is roots[0]
        cause = cause_of(self._name, phase, of_model=of_model, updated=buffer == "updated")
        position = self._positions.of(base, tensors[0], phase)
        self.planned.append(
            Planned(
                self._dumps,
                self._sections,
                phase,
                cause,
                (*position, len(self.planned)),
                nodes,
                tensors,
                buffer,
                explained,
            )
        )

    def _list_unrecorded(self, side: SideName, node: Node) -> None:
        for value in node.unrecorded:
            if self._scope.takes_phase(value.phase):
                found = self._unmatched(side, "unrecorded", node, value)
                self.unmatched.append(replace(found, reason=value.reason))

    def _list(self, side: SideName, node: Node, tensor: TensorRecord | None = None) -> None:
        found = self._unmatched(side, _kind(tensor), node, tensor)
        self.unmatched.append(found if tensor is None else replace(found, shape=tensor.shape))

    def _unmatched(
        self, side: SideName, kind: Kind, node: Node, value: TensorRecord | Unrecorded | None
    ) -> Unmatched:
        return Unmatched(
            side=side,
            kind=kind,
            section=self._name,
            step=self._dumps.step,
            rank=self._dumps.rank,
            route=node.route,
            class_name=node.name,
            call=node.call,
            phase=None if value is None else value.phase,
            tensor=None if value is None else value.place,
        )


def _kind(tensor: TensorRecord | None) -> Kind:
    if tensor is None:
        return "layer"
    return "buffer" if tensor.buffer else "tensor"
