"""What a comparison found, in sentences: the verdict, and how large a difference is."""

from padiff.comparing.comparison import Comparison, Record, Side
from padiff.render.words import number
from padiff.store.format import SECTIONS
from padiff.tree import Node

__all__ = ["figures", "find_node", "is_silent", "lacking", "verdict"]


def verdict(comparison: Comparison) -> str:
    """The answer in one sentence."""
    totals, criterion = comparison.totals, comparison.criterion
    held = {record.section for record in comparison.records}
    compared = f"{totals.compared} {_plural('tensor', totals.compared)} of "
    compared += ", ".join(name for name in SECTIONS if name in held)
    steps = {record.step for record in comparison.records} - {None}
    if steps:
        compared += f" in {len(steps)} {_plural('step', len(steps))}"
    tolerance = f"atol {criterion.atol:g}, rtol {criterion.rtol:g}, {criterion.mode}"
    if comparison.aligned:
        same = f", {totals.identical} of them bit for bit as recorded" if totals.identical else ""
        return f"ALIGNED: {compared} agree{same} ({tolerance})."
    if comparison.first_divergence is None:
        return f"NOT ALIGNED: {compared} agree ({tolerance}), but the structures differ."
    silent = sum(map(is_silent, comparison.records))
    missing = sum(record.status == "missing" for record in comparison.records) - silent
    differ = f"{totals.diverged - missing - silent} of {compared} differ"
    if missing:
        differ += f" and {missing} {'have' if missing > 1 else 'has'} no partner"
    if silent:
        differ += f"{', and' if missing else ', but'} no output of the model could be compared"
    return f"NOT ALIGNED: {differ} ({tolerance})."


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


def lacking(record: Record) -> tuple[str, Side]:
    """The side on which a tensor is missing."""
    return ("raw", record.raw) if record.raw.tensor is None else ("base", record.base)


def find_node(comparison: Comparison, record: Record, side: int) -> Node | None:
    """The layer of a record in the tree of base (0) or raw (1)."""
    where = (record.base, record.raw)[side]
    nodes = comparison.first_trees[side].walk()
    return next((n for n in nodes if (n.route, n.call) == (where.route, where.call)), None)
