"""Compare two locations: what `padiff-check` and the `check_*` functions are made of."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby, product

from msgspec.structs import replace

from padiff.comparing.bounds import LEAST
from padiff.comparing.close_up import CloseUp
from padiff.comparing.comparison import Comparison, Record, Source, Unmatched
from padiff.comparing.criterion import Criterion
from padiff.comparing.integrity import check_intact
from padiff.comparing.looking import Budget, check_close_ups, look_at
from padiff.comparing.named import check_names
from padiff.comparing.noise import explained_by_noise
from padiff.comparing.planning import Planned, plan_dumps
from padiff.comparing.records import CONVENTION, record_of, to_compare
from padiff.comparing.scope import (
    DumpPair,
    Scope,
    check_locations,
    pair_dumps,
    scope_of,
    source_of,
)
from padiff.comparing.streaming import TensorPair, Work, stream
from padiff.comparing.telling import Told
from padiff.errors import FormatError, UsageError
from padiff.naming.names import names_of
from padiff.store.address import Location
from padiff.store.format import SectionName
from padiff.store.reader import open_dumps
from padiff.threads import check_jobs
from padiff.tree import LayerTree

__all__ = ["compare"]

Trees = Mapping[SectionName, tuple[LayerTree, LayerTree]]


def compare(
    base: Location,
    raw: Location,
    *,
    sections: Sequence[str] | None = None,
    phase: str = "both",
    mode: str = "mean",
    atol: float = 1e-4,
    rtol: float = 1e-7,
    steps: Iterable[int] | None = None,
    ranks: Iterable[int] | None = None,
    layers: Sequence[str] | None = None,
    rename: Sequence[str] = (),
    name_map: Location | None = None,
    strict_structure: bool = False,
    digests: bool = True,
    jobs: int | None = None,
    close_ups: int = 0,
    progress: Callable[[float, int], None] | None = None,
) -> Comparison:
    """Compare everything that two stores, steps or ranks have in common, reading block by block.

        comparison = padiff.compare("torch.zarr", "paddle.zarr", mode="strict", atol=1e-5)
        if not comparison.aligned:
            print(comparison.first_divergence)

    `base` is where the reference lies, `raw` what is held against it.
    `sections`, `steps`, `ranks` and `layers` (patterns of routes, such as `blocks.1.*`) narrow it
    down; None takes all there is. `phase` is `both`, `forward` or `backward`. `mode` is `mean`, by
    which the mean of `abs(raw - base)` must be within `atol + rtol * mean(abs(base))`, or `strict`,
    by which each element must be. `rename` are substitutions `REGEX=REPLACEMENT` that make names of
    raw (of layers, and of parameters such as `blocks.1.mlp.weight`) those of base; `name_map` is
    the file of a table of such names, as `padiff suggest-map` writes it. With `strict_structure` a
    layer, or an input or output of the model itself, without a partner is a failure. Chunks whose
    digests are equal are equal and not read; without `digests` all are read, and what differs in
    spite of them is damage.
    `jobs` threads compare, by default one a processor. `progress` is called with the share
    done, from 0 to 1, and the bytes of elements that were read so far, of both sides.
    Of `close_ups` pairs of tensors, an equal share in each step, it is found out where in them the
    error sits: first of those that diverged, then of those that agree and are not equal, the most
    off first; of statistics alone nothing can be found out. Each is read once more, block by block,
    and takes one processor some 1 to 2 s for 100 million elements.

    Raises UsageError (a ValueError) for an argument that makes no sense or asks for what is not
    there, LocationError where nothing lies, and FormatError, or one of its kind, for what is no
    store, is unfinished, damaged, or has nothing in common with the other side.
    """
    check_locations(base, raw)
    criterion = Criterion(mode, atol, rtol)  # type: ignore[arg-type]  # it checks the mode
    names = names_of(rename, name_map)
    scope = scope_of(sections, phase, steps, ranks, layers, names)
    work = Work(criterion, check_jobs(jobs), digests)
    most = check_close_ups(close_ups)
    pairs, unmatched = pair_dumps(open_dumps(base), open_dumps(raw), scope)
    check_names(pairs, names)
    name = pairs[0].sections[0]
    sources = (
        source_of(base, pairs[0].base.section(name).header),
        source_of(raw, pairs[0].raw.section(name).header),
    )
    by_step = deque(list(group) for _, group in groupby(pairs, key=lambda pair: pair.step))
    del pairs  # so that what a step holds open is let go when the step is done
    told = Told(progress, len(by_step), close_ups=most > 0)
    budget = Budget(most, len(by_step))
    looked: list[CloseUp] = []
    records: list[Record] = []
    notes: dict[str, None] = {}  # each once, in order
    layers_found = 0
    shown: _Step | None = None
    before: list[Record] = []
    while by_step:
        step = _compare_step(by_step.popleft(), scope, work, len(records), before, budget, told)
        records += step.records
        looked += step.close_ups
        before = step.records
        unmatched += step.unmatched
        notes.update(dict.fromkeys(step.notes))
        layers_found += step.layers
        if shown is None or (step.diverged and not shown.diverged):
            shown = step
    _check_found(scope, layers_found, records, unmatched, sources, bool(names.table))
    return Comparison(
        criterion,
        *sources,
        tuple(records),
        tuple(unmatched),
        strict_structure,
        shown.trees if shown else {},
        tuple(notes),
        tuple(looked),
        bool(names.table),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """What comparing all ranks and sections of one step found."""

    records: list[Record]
    unmatched: list[Unmatched]
    notes: list[str]
    layers: int
    trees: Trees
    close_ups: list[CloseUp]

    @property
    def diverged(self) -> bool:
        return any(record.diverged for record in self.records)


def _compare_step(
    dumps: Sequence[DumpPair],
    scope: Scope,
    work: Work,
    first_order: int,
    before: Sequence[Record],
    budget: Budget,
    told: Told,
) -> _Step:
    plans = [plan for pair in dumps for plan in plan_dumps(pair, scope)]
    planned = sorted(
        (item for plan in plans for item in plan.planned),
        key=lambda item: (item.cause, item.position, item.dumps.rank or 0),
    )
    pairs = [to_compare(item) for item in planned]
    streamed = iter(stream([pair for pair in pairs if pair], work, told.of_next_step()))
    records = [
        record_of(item, order, next(streamed) if pair else None, work.criterion)
        for order, (item, pair) in enumerate(zip(planned, pairs, strict=True), first_order)
    ]
    ranked, in_order = _noise_last(planned, records, explained_by_noise(records, before))
    looked = _close_ups(ranked, in_order, work, budget, told)
    for both in dumps:
        for side, name in product((both.base, both.raw), both.sections):
            side.section(name).check_present()  # or what was read was of two sections
    doubted = (
        pair
        for pair, record in zip(pairs, records, strict=True)
        if pair and _is_doubted(pair, record, work)
    )
    check_intact(doubted, work.jobs)
    return _Step(
        in_order,
        [item for plan in plans for item in plan.unmatched],
        [note for plan in plans for note in plan.notes]
        + [CONVENTION for r in records if CONVENTION in r.note and not r.diverged][:1]
        + [LEAST for r in records if r.by_statistics][:1],
        sum(plan.layers for plan in plans),
        _trees(ranked, in_order, dumps[0]),
        looked,
    )


def _close_ups(
    planned: Sequence[Planned],
    records: Sequence[Record],
    work: Work,
    budget: Budget,
    told: Told,
) -> list[CloseUp]:
    chosen = [(records[at].order, to_compare(planned[at])) for at in budget.spend(records)]
    return look_at([(order, pair) for order, pair in chosen if pair], work, told.of_close_ups())


def _is_doubted(pair: TensorPair, record: Record, work: Work) -> bool:
    """Whether what was found may be damage on disk; of statistics nothing was read at all."""
    if pair.by_statistics:
        return not work.digests
    return record.diverged or (pair.same_digests and not record.identical)


def _noise_last(
    planned: Sequence[Planned], records: Sequence[Record], noise: Set[int]
) -> tuple[list[Planned], list[Record]]:
    """The same in another order: rounding noise behind all else that has the same causes."""
    ranked = sorted(
        zip(planned, records, strict=True), key=lambda pair: (pair[0].cause, pair[1].order in noise)
    )
    orders = (record.order for record in records)
    return [item for item, _ in ranked], [
        record if record.order == order else replace(record, order=order)
        for order, (_, record) in zip(orders, ranked, strict=True)
    ]


def _trees(planned: Sequence[Planned], records: Sequence[Record], dumps: DumpPair) -> Trees:
    """The layers of all sections of the rank in which the first divergence is; else of `dumps`."""
    diverged = (
        item.dumps for item, record in zip(planned, records, strict=True) if record.diverged
    )
    shown = next(diverged, dumps)
    return {
        name: (shown.base.section(name).tree, shown.raw.section(name).tree)
        for name in shown.sections
    }


def _check_found(
    scope: Scope,
    layers: int,
    records: Sequence[Record],
    unmatched: Sequence[Unmatched],
    sources: tuple[Source, Source],
    mapped: bool,
) -> None:
    """Nothing compared is no agreement."""
    where = " and ".join(source.location for source in sources)
    if scope.layers is not None and not layers:
        wanted = f"expected a layer whose route fits {' or '.join(scope.layers)} in {where}"
        found = [f"{u.route} ({u.class_name}) in {u.side}" for u in unmatched if u.kind == "layer"]
        lone = list(dict.fromkeys(found))
        if lone:
            raise UsageError(
                f"{wanted}, found only what has no partner on the other side: "
                f"{', '.join(lone[:3])}{', ...' if len(lone) > 3 else ''}; choose other layers, or "
                "name these in the layer maps of both sides"
            )
        raise UsageError(
            f"{wanted}, found none: "
            "routes are dotted names without the model's own, such as blocks.1.mlp"
        )
    foreign = any(source.foreign for source in sources)
    if foreign and all(record.status == "missing" for record in records):
        cure = (
            "give a table to --map that names them"
            if mapped
            else "find out with padiff suggest-map what is which"
        )
        raise FormatError(
            f"expected names in common in {where}, found none: name a part, as behind the / of "
            f"checkpoint.pt/model, rename with --rename, or {cure}"
        )
    if not records:
        raise FormatError(
            f"expected something to compare in {where}, found nothing that both have: "
            "the model did not run before the dump, or other phases and layers were recorded"
        )
