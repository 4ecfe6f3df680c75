"""Writing what was recorded, or the model's parameters, as one section of a dump."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from padiff.frameworks.base import Framework
from padiff.recording.draft import Captured, Draft, settled_orders
from padiff.recording.parameters import Sample, write_parameters
from padiff.recording.report import Report
from padiff.recording.selection import Selection
from padiff.recording.source import frames
from padiff.store.format import SectionHeader, SectionName, array_path
from padiff.store.location import Location
from padiff.store.storage import Storage
from padiff.store.writer import DumpWriter, SectionWriter, record_of
from padiff.tree import LayerTree, Node, TensorRecord

__all__ = ["Dumper"]


@dataclass(frozen=True, slots=True)
class Dumper:
    """Writes the sections of one model's dumps, all of one `run`."""

    model: str
    framework: Framework
    selection: Selection
    run: str
    storage: Storage

    def step(self, report: Report, location: Location, *, step: int, sample: Sample) -> None:
        """Write the report and params of one step, visible together."""
        with self._dump(location, "report", "params", step=step) as dump:
            self._write_report(report, dump.section("report"))
            self._write_parameters(dump.section("params"), sample)

    def report(self, report: Report, location: Location, *, step: int | None) -> None:
        """Write the report, which stays as it is."""
        with self._dump(location, "report", step=step) as dump:
            self._write_report(report, dump.section("report"))

    def parameters(
        self, section: SectionName, location: Location, *, step: int | None, sample: Sample
    ) -> None:
        """Write `params`, `weights` or `grads` from the parameters as they are now.

        `sample` tells whether they are those of the last recorded call.
        """
        with self._dump(location, section, step=step) as dump:
            self._write_parameters(dump.section(section), sample)

    def _dump(self, location: Location, *sections: SectionName, step: int | None) -> DumpWriter:
        return DumpWriter(
            location, *sections, step=step, rank=self.framework.rank(), storage=self.storage
        )

    def _write_report(self, report: Report, writer: SectionWriter) -> None:
        calls = _CallWriter(self.selection, writer, settled_orders(report.roots))
        tree = LayerTree(tuple(calls.write(root) for root in report.roots))
        writer.finish(replace(self._header("report", tree), backward=report.ran_backward))

    def _write_parameters(self, writer: SectionWriter, sample: Sample) -> None:
        tree = write_parameters(self.framework, self.selection, writer.name, writer)
        header = self._header(writer.name, tree)
        if writer.name == "params":
            header = replace(header, updated=sample.changed(self.framework))
        writer.finish(header)

    def _header(self, section: SectionName, tree: LayerTree) -> SectionHeader:
        return SectionHeader(
            section=section,
            model=self.model,
            framework=self.framework.name,
            framework_version=self.framework.version,
            layer_map=self.selection.layer_map,
            tree=tree,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            run=self.run,
        )


class _CallWriter:
    """Writes the tensors of one layer's call after another's."""

    def __init__(self, selection: Selection, writer: SectionWriter, orders: dict[int, int]) -> None:
        self._selection = selection
        self._writer = writer
        self._orders = orders

    def write(self, draft: Draft) -> Node:
        """The call's node and all below it."""
        tensors = [self._tensor(draft, captured) for captured in draft.tensors]
        return Node(
            name=draft.name,
            route=draft.route,
            call=draft.call,
            order=draft.order,
            type=self._selection.node_type(draft.route),
            repr=draft.repr,
            stack=frames(draft.lines),
            children=tuple(self.write(child) for child in draft.children),
            tensors=tuple(sorted(tensors, key=lambda tensor: tensor.order)),
            unrecorded=tuple(draft.unrecorded),
            awaits=dict(draft.awaits),
            origins={place: tuple(sorted(found)) for place, found in draft.origins.items()},
            training=draft.training,
        )

    def _tensor(self, draft: Draft, captured: Captured) -> TensorRecord:
        leaf = f"{captured.phase}.{captured.place}"
        path = array_path(draft.route, draft.call, leaf)
        stored = self._writer.add(path, captured.kept.values())
        return record_of(
            stored,
            phase=captured.phase,
            place=captured.place,
            device=captured.device,
            order=self._orders[id(captured)],
        )
