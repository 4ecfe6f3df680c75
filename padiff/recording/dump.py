"""Writing what was recorded, or the model's parameters, as sections of a dump."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import msgspec

from padiff.frameworks.base import Framework
from padiff.recording.draft import Captured, Draft, settled_orders
from padiff.recording.parameters import Keep, Sample, read_parameters
from padiff.recording.report import Report
from padiff.recording.selection import Selection, parent_route
from padiff.recording.source import frames
from padiff.recording.spool import Tensors
from padiff.store.address import Location
from padiff.store.format import SectionHeader, SectionName, array_path
from padiff.store.section_writer import SectionWriter, record_of
from padiff.store.spill import Spill
from padiff.store.storage import Storage
from padiff.store.writer import DumpWriter
from padiff.tree import LayerTree, Node, TensorRecord

__all__ = ["Contents", "Reader", "write_dump"]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a section is to hold: a header without its tree, and the layers that will make it."""

    header: SectionHeader
    drafts: Iterable[Draft]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what the sections of one model's dumps will hold, all of one `run`."""

    model: str
    framework: Framework
    selection: Selection
    run: str
    tensors: Tensors

    def report(self, report: Report) -> Contents:
        """The calls that were recorded; they may go on to change."""
        header = self._header("report")
        return Contents(replace(header, backward=report.ran_backward), report.roots)

    def parameters(self, section: SectionName, sample: Sample, keep: Keep) -> Contents:
        """The parameters, each as it is when it is asked for.

        `sample` tells whether they are those of the last recorded call.
        """
        header = self._header(section)
        if section == "params":
            header = replace(header, updated=sample.changed(self.framework))
        return Contents(header, read_parameters(self.framework, self.selection, section, keep))

    def _header(self, section: SectionName) -> SectionHeader:
        return SectionHeader(
            section=section,
            model=self.model,
            framework=self.framework.name,
            framework_version=self.framework.version,
            layer_map=self.selection.layer_map,
            tree=LayerTree(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            run=self.run,
            tensors=None if self.tensors == "full" else self.tensors,
            environment=self.framework.environment(),
        )


def write_dump(
    sections: Sequence[Contents],
    location: Location,
    *,
    step: int | None,
    rank: int | None,
    storage: Storage,
    spills: Sequence[Spill],
) -> None:
    """Write sections of one dump, visible together. What is in `spills` is moved there.

    They are gone afterwards, whether that succeeds or not.
    """
    names = [contents.header.section for contents in sections]
    spill = next((spill for spill in spills if spill.process == os.getpid()), None)
    try:
        with DumpWriter(
            location, *names, step=step, rank=rank, storage=storage, spill=spill
        ) as dump:
            for contents in sections:
                writer = dump.section(contents.header.section)
                writer.finish(replace(contents.header, tree=_write_tensors(contents, writer)))
    finally:
        for spill in spills:
            spill.close()


def _write_tensors(contents: Contents, writer: SectionWriter) -> LayerTree:
    """Write the arrays of a section, several at once; returns its tree."""
    is_report = contents.header.section == "report"
    orders = settled_orders(contents.drafts) if is_report else {}
    writing = _DraftWriter(contents.header, writer, orders)
    begun = [writing.begin(draft) for draft in contents.drafts]
    nodes = tuple(node() for node in begun)
    return LayerTree(nodes if is_report else (_nested(nodes),))


def _nested(nodes: Sequence[Node]) -> Node:
    """The model's node, with each other one below its nearest ancestor among them."""
    known = {node.route: node for node in nodes}
    children: dict[str, list[Node]] = defaultdict(list)
    for node in reversed(nodes):  # so that a layer's own children are complete before it
        nested = msgspec.structs.replace(node, children=tuple(reversed(children[node.route])))
        if not node.route:
            return nested
        children[parent_route(node.route, known)].append(nested)
    raise AssertionError("unreachable: the model itself is always selected")


class _DraftWriter:
    """Writes the tensors of one layer after another's."""

    def __init__(
        self, header: SectionHeader, writer: SectionWriter, orders: dict[int, int]
    ) -> None:
        self._is_report = header.section == "report"
        self._mapped = frozenset(header.layer_map)
        self._writer = writer
        self._orders = orders

    def begin(self, draft: Draft) -> Callable[[], Node]:
        """Begin to write a layer's tensors and all below it; returns what waits for its node."""
        tensors = [self._begin_tensor(draft, captured) for captured in draft.tensors]
        children = [self.begin(child) for child in draft.children]
        # who waits must not hold on to elements that were read for this dump alone
        layer = replace(draft, tensors=[], children=[])
        return lambda: self._node(layer, [t() for t in tensors], [child() for child in children])

    def _node(self, layer: Draft, tensors: list[TensorRecord], children: list[Node]) -> Node:
        origins = {place: tuple(sorted(found)) for place, found in layer.origins.items()}
        return Node(
            name=layer.name,
            route=layer.route,
            call=layer.call,
            order=layer.order,
            type="in map" if layer.route in self._mapped else "net",
            repr=layer.repr,
            stack=frames(layer.lines),
            children=tuple(children),
            tensors=tuple(sorted(tensors, key=lambda tensor: tensor.order)),
            unrecorded=tuple(layer.unrecorded),
            awaits=dict(layer.awaits) if self._is_report else None,
            origins=origins if self._is_report else None,
            training=layer.training,
        )

    def _begin_tensor(self, draft: Draft, captured: Captured) -> Callable[[], TensorRecord]:
        path = array_path(draft.route, draft.call, captured.leaf)
        written = captured.kept.write(self._writer, path, captured.dims)
        told = partial(
            record_of,
            phase=captured.phase,
            place=captured.place,
            device=captured.device,
            order=self._orders.get(id(captured), captured.order),
            tied=captured.tied,
            buffer=captured.buffer,
        )
        return lambda: told(written())
