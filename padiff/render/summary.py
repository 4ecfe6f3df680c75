"""The answer for who is tired: who parts where, by how much, and whether it is made there."""

from padiff.comparing.comparison import Comparison, Record, Source
from padiff.comparing.records import CONVENTION
from padiff.render.findings import NOT_ALIGNED, held, is_silent, lacking, stage_in
from padiff.render.lines import shorten
from padiff.render.words import clean, layer_name, named, number, tensor_name, when, with_class

__all__ = ["summary"]

_LONGEST = 60  # cells of a route, and two thirds of them of a model's name or a layer's class

_PLACES = {
    "Model inputs": "what the models are given",
    "Forward stage": "the forward stage",
    "Backward stage": "the backward stage",
    "Weights": "the weights",
    "Updated weights": "the updated weights",
    "Buffers": "the buffers",
    "Gradients": "the gradients",
    "Loss": "the loss",
}


def summary(comparison: Comparison, first: Record, longest: int = _LONGEST) -> str:
    """Where the two part first, and how large the difference is, as one sentence.

    Names of models, layers and classes take at most `longest` cells each.
    """
    who = " and ".join(_model(side, longest) for side in (comparison.base, comparison.raw))
    place = when(first)
    of = f" of {place}" if place else ""
    sentence = f"{NOT_ALIGNED}{who} part in {_PLACES[stage_in(comparison, first)]}{of}"
    if is_silent(first):
        return f"{sentence}: {_size(comparison, first)}."
    at = "at layer" if first.base.route or first.raw.route else "at"
    return f"{sentence}, {at} {_layers(first, longest)}: {_size(comparison, first)}."


def _model(source: Source, longest: int) -> str:
    name = named(source.model, 2 * longest // 3)
    framework = clean(source.framework, 20)
    return f"{name} ({framework})" if framework else name


def _layers(first: Record, longest: int) -> str:
    """The routes and classes of both sides; once where they are the same."""
    base, raw = (
        with_class(
            shorten(layer_name(side), longest), named(side.class_name or "", 2 * longest // 3)
        )
        if side.route is not None
        else ""
        for side in (first.base, first.raw)
    )
    if base == raw:
        return f"{base} in both"
    return ", ".join(f"{name} in {side}" for name, side in ((base, "base"), (raw, "raw")) if name)


def _size(comparison: Comparison, first: Record) -> str:
    """How large the difference is, against what was allowed."""
    what, found = tensor_name(first), first.figures
    given = f"{comparison.criterion.atol:g}"
    if is_silent(first):
        return "neither side has an output of the model to compare"
    if first.status == "missing":
        side, where = lacking(first)
        return f"{side} has no such layer" if where.route is None else f"{side} has no {what}"
    if found is None:
        shapes = [list(side.shape or ()) for side in (first.base, first.raw)]
        return f"the shape of {what} is {shapes[0]} in base and {shapes[1]} in raw"
    if first.status == "nonfinite":
        count = f"{found.nonfinite} of {first.size} elements of {what}"
        return f"{count} are NaN or infinite on one side only"
    if found.required_atol == float("inf"):
        return f"{found.mismatched} of {first.size} whole numbers of {what} differ"
    if first.by_statistics:
        return (
            f"by its statistics {what} needs an atol of at least {number(found.required_atol)}, "
            f"{given} was given"
        )
    error, allowed = held(comparison.criterion, found)
    if CONVENTION in first.note or error <= allowed:
        return f"{what} needs an atol of {number(found.required_atol)}, {given} was given"
    name = "mean error" if comparison.criterion.mode == "mean" else "worst error"
    return f"the {name} of {what} is {number(error)}, {_times(error, allowed)}"


def _times(error: float, allowed: float) -> str:
    """An error in what was allowed."""
    if allowed == 0:
        return "and none is allowed"
    times = error / allowed
    words = f"{float(f'{times:.3g}'):g}" if times >= 1.01 else "just over 1"
    return f"{words} times the {number(allowed)} that is allowed"
