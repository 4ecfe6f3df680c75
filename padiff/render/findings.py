"""What a comparison means, in sentences: the verdict, and what is known of the first divergence."""

from padiff.comparing.comparison import Comparison, Record
from padiff.render.words import number, stage
from padiff.store.format import SECTIONS
from padiff.tree import Node

__all__ = ["cause", "figures", "find_node", "verdict"]


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
        same = f", {totals.identical} of them bit for bit" if totals.identical else ""
        return f"ALIGNED: {compared} agree{same} ({tolerance})."
    if comparison.first_divergence is None:
        return f"NOT ALIGNED: {compared} agree ({tolerance}), but the structures differ."
    silent = sum(map(_is_silent, comparison.records))
    missing = sum(record.status == "missing" for record in comparison.records) - silent
    differ = f"{totals.diverged - missing - silent} of {compared} differ"
    if missing:
        differ += f" and {missing} {'have' if missing > 1 else 'has'} no partner"
    if silent:
        differ += f"{', and' if missing else ', but'} no output of the model could be compared"
    return f"NOT ALIGNED: {differ} ({tolerance})."


def _is_silent(record: Record) -> bool:
    """Whether it stands for a call of the model without any output to compare."""
    return record.base.tensor is None and record.raw.tensor is None


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def figures(comparison: Comparison, record: Record) -> list[str]:
    """How large the difference of one record is, against what was allowed."""
    if record.status == "missing":
        if _is_silent(record):
            return ["neither side has an output of the model to compare"]
        lacking = "raw" if record.raw.tensor is None else "base"
        return [f"{lacking} has no such tensor"]
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
    elif found.required_atol == float("inf"):
        lines.append(f"{found.mismatched} of {record.size} whole numbers differ")
    else:
        share = f"{found.mismatched} of {record.size} elements are out of tolerance"
        needed = f"atol {found.required_atol:.3g} would have passed"
        lines.append(f"{share}; {needed}, {comparison.criterion.atol:g} was given")
    lines.append(
        f"max abs {number(found.max_abs)}, mean abs {number(found.mean_abs)}, "
        f"max rel {number(found.max_rel)}, rel L2 {number(found.rel_l2)}, "
        f"cosine {found.cosine:.9g}"
    )
    return lines


def find_node(comparison: Comparison, record: Record, side: int) -> Node | None:
    """The layer of a record in the tree of base (0) or raw (1)."""
    where = (record.base, record.raw)[side]
    nodes = comparison.trees[side].walk()
    return next((n for n in nodes if (n.route, n.call) == (where.route, where.call)), None)


def cause(comparison: Comparison, first: Record) -> str:
    """Where the first divergence comes from, as far as the records before it tell."""
    before = [
        record
        for record in comparison.records[: first.order]
        if (record.step, record.rank) == (first.step, first.rank)
    ]
    if _is_silent(first):
        return (
            "Whether the models agree in the end is not known: let them return tensors, alone or "
            "in tuples, lists, dicts or dataclasses, or choose layers inside them."
        )
    if first.status == "missing":
        return "What one side lacks cannot be compared."
    match stage(first):
        case "Model inputs":
            return "The two models were fed different inputs; all else may follow from that."
        case "Weights":
            return "The two models have different weights; all else may follow from that."
        case "Gradients":
            if any(stage(record) == "Backward stage" for record in before):
                return "The gradients between the layers agree, those of the weights do not."
            return "No gradients between the layers were compared."
        case "Updated weights":
            if any(stage(record) == "Gradients" for record in before):
                return "The gradients agree: the optimizers differ."
            return "No gradients were compared: the optimizers or the gradients differ."
        case "Forward stage":
            return _forward_cause(first, before)
        case _:
            return _backward_cause(first, before)


def _forward_cause(first: Record, before: list[Record]) -> str:
    if first.phase == "input":
        return "All that ran before agrees: the code that calls this layer makes the difference."
    inside = _inside(first, before)
    if inside:
        return f"{inside}: the code between them makes the difference."
    own = (first.base.route, first.base.call)
    given = [r for r in before if r.phase == "input" and (r.base.route, r.base.call) == own]
    if given:
        return "Its inputs agree: the difference is made in this layer."
    if any(record.phase == "forward" for record in before):
        return (
            "All outputs before it agree: the difference is made in this layer, or on the way to "
            "it."
        )
    return "No output before it was compared."


def _backward_cause(first: Record, before: list[Record]) -> str:
    inside = _inside(first, before)
    if inside:
        return f"{inside}: the code between them makes the difference."
    if any(record.phase == "backward" and record.section == "report" for record in before):
        return (
            "The gradients behind it agree: the difference is made in the backward of this layer, "
            "or on the way to it."
        )
    return "It is the first gradient: the loss differs, or the backward of what leads to it."


def _inside(first: Record, before: list[Record]) -> str:
    """That the layers below the one of `first` agree, where some were compared in its phase."""
    prefix = f"{first.base.route}." if first.base.route else ""
    layers = {
        (record.base.route, record.base.call)
        for record in before
        if record.section == "report"
        and record.phase == first.phase
        and record.base.route != first.base.route
        and (record.base.route or "").startswith(prefix)
    }
    if len(layers) == 1:
        return "The one layer compared inside it agrees"
    return f"All {len(layers)} layers compared inside it agree" if layers else ""
