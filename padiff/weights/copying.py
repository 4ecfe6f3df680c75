"""Carrying out a plan: all of it, or nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

from padiff.weights.inventory import Inventory
from padiff.weights.planning import Plan, Problem
from padiff.weights.values import Fault, merge

__all__ = ["carry_out"]

Undo = Callable[[], None]


def carry_out(plan: Plan, base: Inventory, raw: Inventory) -> Problem | None:
    """Make the copies, then call the special inits, which have the last word where they are.

    When anything fails, or is interrupted, raw is as it was. Returns what failed.
    """
    undo: list[Undo] = []
    try:
        try:
            _keep(raw, undo)
            problem = _copy(plan, base, raw) or _initialise(plan, base, raw)
        except BaseException:
            _restore(undo)
            raise
    except Exception as error:
        return Problem(f"raw's tensors cannot be set: {_told(error)}")
    if problem is not None:
        _restore(undo)
    return problem


def _copy(plan: Plan, base: Inventory, raw: Inventory) -> Problem | None:
    for copies in plan.copies:
        pairs = [(copy.base, copy.raw) for copy in copies]
        merged = merge(base.framework, raw.framework, pairs)
        if isinstance(merged, Fault):  # base was changed meanwhile
            copy = copies[merged.number]
            return Problem(merged.reason, copy.layers, (copy.base, copy.raw))
        raw.framework.assign(copies[0].raw.tensor, merged)
    return None


def _initialise(plan: Plan, base: Inventory, raw: Inventory) -> Problem | None:
    for special in plan.specials:
        try:
            special.function(special.base.layer, special.raw.layer)
        except Exception as error:  # whatever the user's function raises
            names = [
                f'"{inventory.framework.name}", "{layer.name}"'
                for inventory, layer in ((base, special.base), (raw, special.raw))
            ]
            return Problem(
                f"the special init of this pair raised {_told(error)}",
                (special.base, special.raw),
                hint=f"It was registered with\nadd_special_init({', '.join(names)}, func)",
            )
    return None


def _told(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0][:400]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _keep(raw: Inventory, undo: list[Undo]) -> None:
    """Note how to undo everything, whatever a special init may do to the layers of raw."""
    framework = raw.framework
    kept: set[int] = set()
    for layer in raw.layers.values():
        if id(layer.layer) in kept:
            continue
        kept.add(id(layer.layer))
        registries = framework.registries(layer.layer)
        tensors = [weight.tensor for weight in layer.weights]
        tensors += [value for held in registries for value in held.values()]
        for tensor in tensors:
            if framework.is_tensor(tensor) and id(tensor) not in kept:
                kept.add(id(tensor))
                undo.append(framework.keep(tensor))
        undo += [_refill(held) for held in registries]
        if hasattr(layer.layer, "training"):
            undo.append(partial(setattr, layer.layer, "training", layer.layer.training))


def _refill(held: dict[str, Any]) -> Undo:
    before = dict(held)

    def refill() -> None:  # no comparing: tensors compare by element
        held.clear()
        held.update(before)

    return refill


def _restore(undo: list[Undo]) -> None:
    failed: Exception | None = None
    for step in reversed(undo):
        try:
            step()
        except Exception as error:  # all else can still be put back
            failed = error
    if failed is not None:
        raise failed
