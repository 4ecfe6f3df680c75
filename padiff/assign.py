"""`assign_weight`: one model's weights into another, and the log of how that went."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from padiff.model import create_model
from padiff.proxy import ProxyModel
from padiff.render.lines import plain
from padiff.render.terminal.trees import outlines
from padiff.render.words import clean
from padiff.weights.copying import carry_out
from padiff.weights.inventory import Described, Inventory, Weight, take_inventory
from padiff.weights.planning import Plan, Problem, make_plan

__all__ = ["assign_weight"]

_SHOWN = 6  # problems, of which the first has the trees
_NAMED = 4  # buffers
_WIDTH = 118


def assign_weight(base_model: Any, raw_model: Any) -> bool:
    """Copy all parameters and buffers of base's layers into raw's; whether that could be done.

    `base_model` and `raw_model` are of torch or paddle, in a ProxyModel or not. Layers go together
    by layer map, class, shapes, names and order; how each framework lays out its own layers is
    known, and `add_special_init` says it of others. Types and devices of raw stay, and the models
    share no memory. Where any parameter has no partner, raw is left as it was. The log goes to
    standard output.

    Raises TypeError for a model that is of neither framework.
    """
    proxies = [
        model if isinstance(model, ProxyModel) else create_model(model)
        for model in (base_model, raw_model)
    ]
    base, raw = (take_inventory(proxy._framework, proxy.model) for proxy in proxies)
    maps = [proxy._selection.layer_map for proxy in proxies]
    plan = make_plan(base, raw, maps[0], maps[1])
    problems = plan.problems
    if not problems:
        problem = carry_out(plan, base, raw)
        problems = () if problem is None else (problem,)
    across = base.framework is not raw.framework
    lines = [_success(plan), *(_taken_as_they_are(plan) if across else ())]
    if problems:
        lines = _failure(problems, base, raw)
    print("\n".join(lines), flush=True)
    return not problems


def _success(plan: Plan) -> str:
    done = {
        (id(copy.base.tensor), copy.base.parameter): None
        for copies in plan.copies
        for copy in copies
    }
    parameters = sum(parameter for _, parameter in done)
    text = f"assign_weight: SUCCESS, copied {_count(parameters, 'parameter')}"
    text += f" and {_count(len(done) - parameters, 'buffer')}"
    if plan.specials:
        text += f", set {_count(len(plan.specials), 'layer')} by special inits"
    if plan.left_out:
        names = ", ".join(clean(name, 60) for name in plan.left_out[:_NAMED])
        more = ", ..." if len(plan.left_out) > _NAMED else ""
        text += f"; raw has none for {_count(len(plan.left_out), 'buffer')} of base: {names}{more}"
    return text


def _taken_as_they_are(plan: Plan) -> list[str]:
    """Square weights of the user's own layers: whether one side transposes them no shape tells."""
    found = [
        _side(copy.layers[1], None)
        for copies in plan.copies
        for copy in copies
        if not copy.layers[1].kind and _is_square(copy.raw.shape)
    ]
    if not found:
        return []
    names = ", ".join(dict.fromkeys(found[:_NAMED])) + (", ..." if len(found) > _NAMED else "")
    return _wrapped(
        f"Square weights of your own layers are taken as they are: {names}. Where one side uses "
        "them transposed, as x @ w for x @ w.T, register add_special_init."
    )


def _is_square(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and len(shape) == 2 and shape[0] == shape[1] > 1


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _failure(problems: Sequence[Problem], base: Inventory, raw: Inventory) -> list[str]:
    lines = ["assign_weight: FAILED, raw is as it was"]
    for problem in problems[:_SHOWN]:
        lines += ["", *_described(problem)]
        if problem is problems[0] and any(problem.layers):
            marked = [
                (inventory.shown, layer.route if layer else None, 0)
                for inventory, layer in zip((base, raw), problem.layers, strict=True)
            ]
            lines += ["", *plain(outlines(marked[0], marked[1]))]
    if len(problems) > _SHOWN:
        lines += ["", f"  ... and {len(problems) - _SHOWN} more"]
    return lines


def _described(problem: Problem) -> list[str]:
    """The reason, both sides, and what may help."""
    lines = _wrapped(f"{problem.reason[:1].upper()}{problem.reason[1:]}.")
    if any(problem.layers):
        for label, layer, weight in zip(
            ("base", "raw"), problem.layers, problem.weights, strict=True
        ):
            lines.append(f"  {label:<4}  {_side(layer, weight)}".rstrip())
    if problem.hint:
        sentence, *calls = problem.hint.splitlines()
        # not wrapped, so that they can be copied
        lines += [*_wrapped(sentence), *(f"    {clean(call, 400)}" for call in calls)]
    return lines


def _side(layer: Described | None, weight: Weight | None) -> str:
    if layer is None:
        return "(no such layer)"
    name = f"{clean(layer.route, 60) or 'the model itself'} ({clean(layer.name, 40)})"
    if weight is None:
        return name
    kind = "parameter" if weight.parameter else "buffer"
    return f"{name}  {kind} {clean(weight.place, 60)}  {_shape(weight)}"


def _shape(weight: Weight) -> str:
    """The tensor's own shape; and the one that is compared where the layout makes it another."""
    if weight.shape is None:
        return ""
    own = list(weight.tensor.shape)
    common = list(weight.shape)
    return f"{own}" if own == common else f"{own}, which is {common} in the common layout"


def _wrapped(sentence: str) -> list[str]:
    return wrap(clean(sentence, 600), _WIDTH, initial_indent="  ", subsequent_indent="  ")
