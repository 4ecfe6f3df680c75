"""Look at what lies at a location without reading elements: damage of one part hides no other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from math import prod

from padiff.comparing.order import cause_of
from padiff.errors import CorruptError, IncompleteError, PadiffError, UsageError
from padiff.inspecting.disk import bytes_on_disk
from padiff.inspecting.inspection import (
    Inspection,
    Nonfinite,
    SectionSummary,
    ShownSection,
)
from padiff.store.address import Location
from padiff.store.base import Store
from padiff.store.format import ATTRIBUTE, SECTIONS
from padiff.store.location import locate_for_reading
from padiff.store.roots import absolute_numbers
from padiff.store.section import Section, bytes_of
from padiff.store.verify_groups import TOLD, Groups, check_there
from padiff.tree import TensorStats

__all__ = ["inspect"]

_Stats = dict[str, TensorStats]  # by the paths of arrays
_Opened = tuple[SectionSummary, Section, _Stats]


def inspect(
    location: Location,
    *,
    layers: Sequence[str] | None = None,
    measure: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Inspection:
    """What lies at a store, a step, a rank or a section, as its trees tell it.

        for section in padiff.inspect("run.zarr").sections:
            print(section.step, section.section, section.tensors, section.nan)

    All sections are summed up, and the layers of one dump kept: the first with NaN or infinite
    elements, else the first of all. `layers` (patterns of routes, such as `blocks.1.*`) narrow
    these down. With `measure` tensors without statistics, as in files of other tools, are read for
    them. What is damaged or unfinished is told in the outcome. `progress` is called with the share
    done.

    Raises LocationError where nothing lies, FormatError, or one of its kind, for what is no store
    or has nothing that can be shown, and UsageError where no layer fits.
    """
    store, path = locate_for_reading(location)
    check_there(store, path)
    groups = Groups(store, path)
    damages = [damage.message for damage in groups.damages]
    summaries: list[SectionSummary] = []
    shown: list[_Opened] = []
    first: Nonfinite | None = None
    shown_dump = ""
    for dump, held in groupby(sorted(groups.sections, key=_place), key=_dump_of):
        opened = []
        for group in held:
            try:
                opened.append(_open(store, dump, group, measure=measure))
            except TOLD as error:
                damages.append(str(error))
        summaries += [summary for summary, *_ in opened]
        found = None if first else _first_nonfinite(opened)
        if found or not shown:
            first, shown, shown_dump = found, opened, dump
        if progress is not None:
            progress(len(summaries) / len(groups.sections))
    if not shown:
        raise _nothing(str(location), damages, groups.unfinished)
    inspection = Inspection(
        location=str(location),
        store=store.kind,
        producer=_producer(store, shown_dump),
        bytes_on_disk=bytes_on_disk(location),
        sections=tuple(summaries),
        shown=tuple(
            ShownSection(summary, section.tree, stats) for summary, section, stats in shown
        ),
        first_nonfinite=first,
        patterns=(layers,) if isinstance(layers, str) else None if layers is None else (*layers,),
        damages=tuple(dict.fromkeys(damages)),
        unfinished=tuple(groups.unfinished),
    )
    _check_layers(inspection)
    return inspection


def _place(group: str) -> tuple[int, int, str, int]:
    """What sorts the paths of sections: by step, rank, and the order of their names."""
    dump, _, name = group.rpartition("/")
    step, rank = (-1 if number is None else number for number in absolute_numbers(dump))
    return step, rank, dump, SECTIONS.index(name)


def _dump_of(group: str) -> str:
    return group.rpartition("/")[0]


def _open(store: Store, dump: str, group: str, *, measure: bool) -> _Opened:
    section = Section(store, group)
    header = section.header
    if header.section != group.rpartition("/")[2]:
        raise CorruptError(
            f"expected {group.rpartition('/')[2]} at {section.location}, found a section that "
            f"calls itself {header.section}"
        )
    tensors = [tensor for node in section.tree.walk() for tensor in node.tensors]
    stats = {
        tensor.array: section.stats(tensor)
        for tensor in tensors
        if measure or tensor.stats is not None
    }
    measured = len(stats) == len({tensor.array for tensor in tensors})
    step, rank = absolute_numbers(dump)
    summary = SectionSummary(
        step=step,
        rank=rank,
        section=header.section,
        location=section.location,
        model=header.model,
        framework=header.framework,
        framework_version=header.framework_version,
        created=header.created,
        foreign=header.origin,
        statistics_only=header.tensors is not None,
        layers=sum(1 for _ in section.tree.walk()),
        tensors=len(tensors),
        bytes=sum(map(bytes_of, tensors)),
        nan=sum(found.nan > 0 for found in stats.values()) if measured else None,
        inf=sum(found.inf > 0 for found in stats.values()) if measured else None,
        measured=measured,
        environment=header.environment or {},
    )
    return summary, section, stats


def _first_nonfinite(opened: Sequence[_Opened]) -> Nonfinite | None:
    """The tensor of a dump that holds NaN or infinite elements and may be the cause of others."""
    found = [pair for each in opened for pair in _nonfinite(*each)]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _nonfinite(
    summary: SectionSummary, section: Section, stats: _Stats
) -> Iterator[tuple[tuple[int, int], Nonfinite]]:
    """Each such tensor of a section, with what sorts causes before effects."""
    if not (summary.nan or summary.inf):
        return
    roots = section.tree.roots
    for node in section.tree.walk():
        for tensor in node.tensors:
            held = stats.get(tensor.array)
            if held is None or not (held.nan or held.inf):
                continue
            by_optimizer = section.header.updated and tensor.phase is None and not tensor.buffer
            cause = cause_of(
                "weights" if by_optimizer else summary.section,
                tensor.phase,
                of_model=node is roots[0],
                updated=tensor.buffer and node.training is not False,
            )
            yield (
                (cause, tensor.order),
                Nonfinite(
                    step=summary.step,
                    rank=summary.rank,
                    section=summary.section,
                    route=node.route,
                    class_name=node.name,
                    call=node.call,
                    phase=tensor.phase,
                    tensor=tensor.place,
                    size=prod(tensor.shape),
                    nan=held.nan,
                    inf=held.inf,
                    buffer=tensor.buffer,
                ),
            )


def _producer(store: Store, dump: str) -> str | None:
    """Who wrote a dump, as it says where it is a file, or else as the store's root does."""
    for group in (dump, ""):
        with suppress(*TOLD):
            found = store.attributes(group).get(ATTRIBUTE)
            if isinstance(found, dict) and isinstance(found.get("producer"), str):
                return str(found["producer"])
    return None


def _nothing(location: str, damages: Sequence[str], unfinished: Sequence[str]) -> PadiffError:
    """Why there is nothing to show."""
    if damages:
        more = f" (and {len(damages) - 1} more are damaged)" if len(damages) > 1 else ""
        return CorruptError(f"{damages[0]}{more}")
    if unfinished:
        return IncompleteError(
            f"expected a finished section in {location}, found only unfinished ones "
            f"({', '.join(unfinished)}): the writer was stopped or is still at work, so dump "
            "again, or wait"
        )
    return IncompleteError(
        f"expected at least one dump in {location}, found an empty store: call try_dump or "
        "dump_report on a model that has run"
    )


def _check_layers(inspection: Inspection) -> None:
    """UsageError where no layer that is shown fits the patterns."""
    if inspection.patterns is None:
        return
    nodes = [node for section in inspection.shown for node in section.tree.walk()]
    if not any(map(inspection.takes, nodes)):
        routes = list(dict.fromkeys(node.route for node in nodes if node.route))
        raise UsageError(
            f"expected a layer whose route fits {' or '.join(inspection.patterns)} in "
            f"{inspection.shown[0].summary.location}, found {', '.join(routes[:3]) or 'none'}"
            f"{', ...' if len(routes) > 3 else ''}: routes are dotted names without the model's "
            "own, such as blocks.1.mlp"
        )
