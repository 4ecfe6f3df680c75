"""What a comparison found, in sentences: the verdict, and how large a difference is."""

from collections.abc import Callable, Iterator

from padiff.comparing.comparison import Comparison, Figures, Record, Side
from padiff.comparing.criterion import Criterion
from padiff.render.words import exact_number, layer_name, number, stage, tensor_name, when
from padiff.store.format import SECTIONS
from padiff.tree import Node

__all__ = [
    "NOT_ALIGNED",
    "badness",
    "extremes",
    "figures",
    "find_node",
    "held",
    "hidden",
    "is_silent",
    "lacking",
    "missing_tensors",
    "stage_in",
    "stages",
    "verdict",
]

NOT_ALIGNED = "NOT ALIGNED: "


def verdict(comparison: Comparison) -> str:
    """The answer in one sentence."""
    totals, criterion = comparison.totals, comparison.criterion
    sections = {record.section for record in comparison.records}
    compared = f"{totals.compared} {_plural('tensor', totals.compared)} of "
    compared += ", ".join(name for name in SECTIONS if name in sections)
    steps = {record.step for record in comparison.records} - {None}
    if steps:
        compared += f" in {len(steps)} {_plural('step', len(steps))}"
    tolerance = f"atol {criterion.atol:g}, rtol {criterion.rtol:g}, {criterion.mode}"
    if comparison.aligned:
        same = f", {totals.identical} of them bit for bit as recorded" if totals.identical else ""
        return f"ALIGNED: {compared} agree{same} ({tolerance})."
    if comparison.first_divergence is None:
        return f"{NOT_ALIGNED}{compared} agree ({tolerance}), but the structures differ."
    silent = sum(map(is_silent, comparison.records))
    missing = missing_tensors(comparison)
    differ = f"{totals.diverged - missing - silent} of {compared} differ"
    if missing:
        differ += f" and {missing} more {'are' if missing > 1 else 'is'} missing on one side"
    if silent:
        differ += f"{', and' if missing else ', but'} no output of the model could be compared"
    return f"{NOT_ALIGNED}{differ} ({tolerance})."


def missing_tensors(comparison: Comparison) -> int:
    """How many tensors should have a partner and have none: each is a divergence."""
    return sum(r.status == "missing" and not is_silent(r) for r in comparison.records)


def stage_in(comparison: Comparison, record: Record) -> str:
    """The stage of one record; of many, `stages` looks through all of them once."""
    return stages(comparison)(record)


def stages(comparison: Comparison) -> Callable[[Record], str]:
    """What tells the stage of a record; of weights alone nothing tells whether they are updated."""
    if any(record.section != "weights" for record in comparison.records):
        return stage
    return lambda record: stage(record).replace("Updated weights", "Weights")


def is_silent(record: Record) -> bool:
    """Whether it stands for a call of the model without any output to compare."""
    return record.base.tensor is None and record.raw.tensor is None


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def figures(comparison: Comparison, record: Record) -> list[str]:
    """How large the difference of one record is, against what was allowed."""
    if record.status == "missing":
        if is_silent(record):
            return ["neither side has an output of the model to compare"]
        label, side = lacking(record)
        return [f"{label} has no such {'layer' if side.route is None else 'tensor'}"]
    found = record.figures
    if found is None:
        return [
            f"the shapes differ: {list(record.base.shape or ())}, {list(record.raw.shape or ())}"
        ]
    lines = []
    if record.status == "nonfinite":
        lines.append(
            f"{found.nonfinite} of {record.size} elements are NaN or infinite on one side only"
        )
        if record.by_statistics:
            return lines
    elif record.by_statistics:
        return [
            *lines,
            f"by its statistics it differs by at least: max abs {number(found.max_abs)}, mean abs "
            f"{number(found.mean_abs)}, rel L2 {number(found.rel_l2)}; an atol of at least "
            f"{found.required_atol:.3g} would have passed, {comparison.criterion.atol:g} was given",
        ]
    elif found.required_atol == float("inf"):
        lines.append(f"{found.mismatched} of {record.size} whole numbers differ")
    else:
        share = f"{found.mismatched} of {record.size} elements are out of tolerance"
        needed = f"atol {found.required_atol:.3g} would have passed"
        lines.append(f"{share}; {needed}, {comparison.criterion.atol:g} was given")
    if found.cosine is None:
        return [*lines, "no element is finite on both sides, so no difference can be measured"]
    lines.append(
        f"max abs {number(found.max_abs)}, mean abs {number(found.mean_abs)}, "
        f"max rel {number(found.max_rel)}, rel L2 {number(found.rel_l2)}, "
        f"cosine {found.cosine:.9g}"
    )
    return lines


def held(criterion: Criterion, found: Figures) -> tuple[float, float]:
    """The error that the mode holds against the tolerance, and what is allowed of it.

    In mode strict they are those of the element that differs most, which need not be the one
    furthest out of tolerance.
    """
    if criterion.mode == "mean":
        error = found.mean_abs or 0.0
        return error, criterion.atol + max(0.0, error - found.required_atol)
    return found.max_abs or 0.0, criterion.atol + criterion.rtol * abs(found.base_value or 0.0)


def extremes(record: Record) -> Iterator[str]:
    """The element that differs most, if one is known."""
    found = record.figures
    if found is not None and found.worst_index is not None:
        values = f"base {exact_number(found.base_value)}, raw {exact_number(found.raw_value)}"
        yield f"worst at {list(found.worst_index)}: {values}"


def hidden(comparison: Comparison) -> Iterator[str]:
    """What a mean that is within tolerance does not show: single elements that are not."""
    found = [
        record
        for record in comparison.records
        if record.status == "match" and record.figures and record.figures.mismatched
    ]
    if not found or not comparison.aligned:
        return
    worst = max(found, key=lambda record: (record.figures and record.figures.max_abs) or 0.0)
    assert worst.figures is not None
    tensors = "one tensor" if len(found) == 1 else f"{len(found)} tensors"
    place = ", ".join(filter(None, (stage_in(comparison, worst), when(worst))))
    yield (
        f"Of {tensors} single elements are out of tolerance, and the mean is within it. The "
        f"largest error is {number(worst.figures.max_abs)}, in {tensor_name(worst)} of "
        f"{layer_name(worst.base)} ({place})."
    )


def lacking(record: Record) -> tuple[str, Side]:
    """The side on which a tensor is missing."""
    return ("raw", record.raw) if record.raw.tensor is None else ("base", record.base)


def badness(record: Record) -> float:
    """How far a record is off, by a figure that does not depend on the size of the values."""
    found = record.figures
    if found is None or found.rel_l2 is None or found.nonfinite:
        return float("inf")
    return found.rel_l2


def find_node(comparison: Comparison, record: Record, side: int) -> Node | None:
    """The layer of a record in the tree of base (0) or raw (1)."""
    where = (record.base, record.raw)[side]
    nodes = comparison.first_trees[side].walk()
    return next((n for n in nodes if (n.route, n.call) == (where.route, where.call)), None)
