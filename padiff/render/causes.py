"""Where the first divergence comes from, in sentences, as far as the records tell."""

from math import isfinite

from padiff.comparing.comparison import Comparison, Record
from padiff.comparing.noise import Gradients, same_parameter
from padiff.render.findings import is_silent, lacking
from padiff.render.words import layer_name, stage
from padiff.tree import GRADIENTS

__all__ = ["cause"]

_SCALED_NOISE = (
    "Its gradients may be rounding noise, far apart but small beside those around them: an "
    "optimizer such as Adam scales it up."
)
_APART = 0.1  # of its size: a difference of gradients that one of updated weights may come from


def cause(comparison: Comparison, first: Record) -> str:
    """Where the first divergence comes from, as far as the records before it tell."""
    before = [
        record
        for record in comparison.records[: first.order]
        if (record.step, record.rank) == (first.step, first.rank)
    ]
    if is_silent(first):
        return (
            "Nothing is known of what the models return: let it be tensors, alone or in tuples, "
            "lists, dicts or dataclasses."
        )
    if first.foreign and first.status in ("missing", "shape"):
        if comparison.mapped:
            return "The table given to --map has no row for it that fits: look at it there."
        return (
            "Where names or layouts are others, padiff suggest-map finds out which tensor is "
            "which, for --map."
        )
    if first.status == "missing":
        return _missing_cause(first)
    match stage(first):
        case "Model inputs":
            return "The two models were fed different inputs; all else may follow from that."
        case "Weights" | "Updated weights" if first.buffer == "given":
            return (
                "The two models hold different buffers, and in evaluation mode no forward pass "
                "changes them: all else may follow from that."
            )
        case "Weights":
            return _weights_cause(comparison, first)
        case "Buffers":
            return _buffers_cause(comparison, first, before)
        case "Gradients":
            if _gradients(comparison, first.step).are_noise(first):
                return (
                    "It may be rounding noise: the gradients around it are far larger, and agree."
                )
            if any(stage(record) == "Backward stage" for record in before):
                return (
                    "The gradients between the layers agree, those of the weights do not: these "
                    "add up over all passes since they were cleared, recorded or not."
                )
            return "No gradients between the layers were compared."
        case "Updated weights":
            return _update_cause(comparison, first, first.step)
        case "Forward stage":
            return _forward_cause(first, before)
        case "Loss":
            return "What the models return agrees, the losses do not: the loss functions differ."
        case _:
            return _backward_cause(first, before) + _shared(comparison, first)


def _missing_cause(first: Record) -> str:
    side, where = lacking(first)
    if first.section == "report":
        if first.phase not in GRADIENTS:
            return "What one side lacks cannot be compared."
        return f"No gradient reached it in {side}: it is cut off there, or nothing asked for one."
    if where.route is None:
        return (
            f"A whole layer is absent in {side}: the model has none there, or a black or white "
            "list of that side alone leaves it out."
        )
    if first.phase == "backward":
        return f"The parameter has no gradient in {side}: it is frozen or not used there."
    return "The layers themselves differ: what one side lacks cannot be compared."


def _weights_cause(comparison: Comparison, first: Record) -> str:
    """Why weights differ at the beginning of a step."""
    differ = "The two models have different weights; all else may follow from that."
    agreed = [
        record.step
        for record in comparison.records[: first.order]
        if record.step is not None
        and record.step != first.step
        and (record.section, record.phase) == (first.section, first.phase)
        and same_parameter(record, first)
    ]
    if not agreed or first.step is None:
        return differ
    if agreed[-1] + 1 < first.step:
        if _gradients(comparison, agreed[-1]).are_noise(first):
            return f"They agreed in step {agreed[-1]}. {_SCALED_NOISE}"
        return f"They agreed in step {agreed[-1]}: what was done to them since then differs."
    return f"They agreed in step {agreed[-1]}. {_update_cause(comparison, first, agreed[-1])}"


def _buffers_cause(comparison: Comparison, first: Record, before: list[Record]) -> str:
    """Why buffers differ that a forward pass in training mode changes."""
    agreed = [
        record.step
        for record in comparison.records[: first.order]
        if record.step != first.step and record.buffer and same_parameter(record, first)
    ]
    if agreed:
        return f"They agreed in step {agreed[-1]}: the forward passes since then differ."
    if any(record.phase == "forward" for record in before):
        return (
            "All outputs agree: the forward pass changes it in another way, or it was different "
            "when the run began."
        )
    return "No outputs were compared: what it is computed from may differ."


def _update_cause(comparison: Comparison, first: Record, step: int | None) -> str:
    """Why weights differ that agreed before the gradients of `step` were applied to them."""
    gradients = _gradients(comparison, step)
    if not gradients:
        return (
            "No gradients were compared: they or the optimizers differ, or the weights did before."
        )
    if gradients.are_noise(first):
        return _SCALED_NOISE
    apart = gradients.apart(first)
    if apart >= _APART:
        share = f"{apart:.0%} of" if isfinite(apart) else "more than"
        return (
            f"Its gradients differ by {share} their size, which atol "
            f"{comparison.criterion.atol:g} allows: compare them with a smaller one."
        )
    return "The gradients agree: the optimizers differ."


def _gradients(comparison: Comparison, step: int | None) -> Gradients:
    return Gradients(record for record in comparison.records if record.step == step)


def _forward_cause(first: Record, before: list[Record]) -> str:
    if first.phase == "input":
        return "All that ran before agrees: the code that calls this layer makes the difference."
    inside = _inside(first, before)
    if inside:
        return f"{inside}: the code between them makes the difference."
    own = (first.base.route, first.base.call)
    given = [r for r in before if r.phase == "input" and (r.base.route, r.base.call) == own]
    weights = (
        ""
        if any(stage(record) == "Weights" for record in before)
        else " No weights were compared: its own, if it has any, may differ."
    )
    if given:
        return f"Its inputs agree: the difference is made in this layer.{weights}"
    if any(record.phase == "forward" for record in before):
        return (
            "All outputs before it agree: the difference is made in this layer, or on the way to "
            f"it.{weights}"
        )
    return f"No output before it was compared.{weights}"


def _backward_cause(first: Record, before: list[Record]) -> str:
    own = (first.base.route, first.base.call)
    if first.phase == "grad_output":
        if not first.base.route:
            return "It is what the loss passes back to the models: the loss functions differ."
        return (
            "What follows this layer agrees: the difference is made in the backward of the code "
            "between them."
        )
    inside = _inside(first, before)
    if inside:
        return f"{inside}: the code between them makes the difference."
    given = (r for r in before if r.phase == "grad_output" and r.base.route)
    if any((record.base.route, record.base.call) == own for record in given):
        return (
            "What it was passed back agrees: the difference is made in the backward of this layer."
        )
    if any(record.phase == "backward" and record.section == "report" for record in before):
        return (
            "The gradients behind it agree: the difference is made in the backward of this layer, "
            "or on the way to it."
        )
    if any(record.phase == "grad_output" for record in before):
        return (
            "What the loss passes back agrees: the difference is made in the backward of this "
            "layer, or on the way to it."
        )
    return "It is the first gradient: the loss differs, or the backward of what leads to it."


def _shared(comparison: Comparison, first: Record) -> str:
    """That layers beside this one show the very same gradient, where they do."""
    others = [
        layer_name(record.base)
        for record in comparison.records
        if record.section == "report"
        and (record.step, record.rank, record.phase) == (first.step, first.rank, first.phase)
        and (record.figures, record.base.shape) == (first.figures, first.base.shape)
        and not _nested(record.base.route or "", first.base.route or "")
    ]
    if first.figures is None or not others:
        return ""
    named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return (
        f" The same is seen at {named}: where one tensor feeds several layers, each shows the sum, "
        "and any of them may make the difference."
    )


def _nested(a: str, b: str) -> bool:
    """Whether the routes are one, or that of a layer and one inside it."""
    short, long = sorted((a, b), key=len)
    return short in ("", long) or long.startswith(f"{short}.")


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
