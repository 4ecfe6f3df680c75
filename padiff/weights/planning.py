"""All that copying one model's weights into another takes, or why it cannot be done."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from padiff.layouts import ONE_SIDED
from padiff.weights.inventory import Described, Inventory, Weight
from padiff.weights.pairing import pair_weights
from padiff.weights.partners import LayerPair, Partners, Special, candidates, is_inside
from padiff.weights.values import Fault, merge, stands_for_none

__all__ = ["Copy", "Plan", "Problem", "make_plan"]

Maps = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """One weight of base into one of raw, and the layers that hold them."""

    layers: LayerPair
    base: Weight
    raw: Weight


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Why weights cannot be copied: the layers and weights concerned, as far as there are any.

    `hint` is what may help, any line after its first a call to be made.
    """

    reason: str
    layers: tuple[Described | None, Described | None] = (None, None)
    weights: tuple[Weight | None, Weight | None] = (None, None)
    hint: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The copies by the tensor of raw that they go into, and the special inits.

    Nothing is to be done where there are problems. `left_out` are buffers that raw has none for.
    """

    copies: tuple[tuple[Copy, ...], ...]
    specials: tuple[Special, ...]
    left_out: tuple[str, ...]
    problems: tuple[Problem, ...]


def make_plan(
    base: Inventory, raw: Inventory, base_map: Iterable[str], raw_map: Iterable[str]
) -> Plan:
    """Match the layers, then their weights, and see that every copy can be made.

    Of several ways to match the models the first that leaves no problem is taken.
    """
    maps = tuple(base_map), tuple(raw_map)
    if len(maps[0]) != len(maps[1]):
        named = [f"{len(routes)} layers ({', '.join(routes) or 'none'})" for routes in maps]
        reason = f"the layer map of base has {named[0]}, that of raw has {named[1]}"
        return Plan((), (), (), (Problem(reason, hint="Set both layer maps anew."),))
    first: Plan | None = None
    for partners in candidates(base, raw, *maps):
        plan = _Planner(base, raw, maps if all(maps) else ((), ())).plan(partners)
        if not plan.problems:
            return plan
        first = first or plan
    assert first is not None
    return first


class _Planner:
    """Collects one plan."""

    def __init__(self, base: Inventory, raw: Inventory, maps: Maps) -> None:
        self._sides = (base, raw)
        self._maps = maps
        self._copies: list[Copy] = []
        self._problems: list[Problem] = []
        self._settled: tuple[set[object], set[object]] = set(), set()  # keys of weights

    def plan(self, partners: Partners) -> Plan:
        for special in partners.specials:
            for side, outer in enumerate((special.base, special.raw)):
                for layer in self._sides[side].layers.values():
                    if is_inside(layer.route, outer):
                        self._settled[side].update(weight.key for weight in layer.weights)
        for pair in partners.pairs:
            self._pair(pair)
        left_out = tuple(self._without_partner(partners))
        copies = () if self._problems else self._merged()
        return Plan(copies, partners.specials, left_out, tuple(self._problems))

    def _pair(self, layers: LayerPair) -> None:
        base, raw = layers
        one_framework = self._sides[0].framework is self._sides[1].framework
        pairing = pair_weights(base, raw, one_framework=one_framework)
        if pairing.doubt:
            self._problems.append(Problem(pairing.doubt, layers, hint=self._hint(layers)))
            for side in (0, 1):
                self._settled[side].update(weight.key for weight in layers[side].weights)
        for a, b in pairing.pairs:
            self._settled[0].add(a.key)
            self._settled[1].add(b.key)
            unread = next((w.reason for w in (a, b) if w.shape is None), "")
            if unread:
                self._problems.append(Problem(unread, layers, (a, b)))
            elif a.shape != b.shape:
                reason = "the shapes do not go together"
                hint = self._hint(layers, "Make both layers of one size")
                self._problems.append(Problem(reason, layers, (a, b), hint))
            else:
                self._copies.append(Copy(layers, a, b))

    def _without_partner(self, partners: Partners) -> Iterator[str]:
        """What no pair, nor another place of the same tensor, has settled; buffers are told."""
        paired = (
            {pair[0].route: pair for pair in partners.pairs},
            {pair[1].route: pair for pair in partners.pairs},
        )
        for side, inventory in enumerate(self._sides):
            for layer in inventory.layers.values():
                left = [w for w in layer.weights if w.key not in self._settled[side]]
                for weight in left:
                    self._settled[side].add(weight.key)
                    if not weight.parameter and not side and weight.name not in ONE_SIDED:
                        yield _place(layer, weight)
                parameters = [
                    w for w in left if w.parameter and not stands_for_none(inventory.framework, w)
                ]
                if layer.route in paired[side]:
                    self._alone(side, paired[side][layer.route], parameters)
                elif parameters:
                    self._no_layer(side, layer, parameters)

    def _alone(self, side: int, layers: LayerPair, parameters: list[Weight]) -> None:
        for weight in parameters:
            name = ("base", "raw")[1 - side]
            reason = f"parameter {weight.place} has no partner in {name}"
            hint = self._hint(layers, "Make both layers with the same settings")
            weights = (weight, None) if side == 0 else (None, weight)
            self._problems.append(Problem(reason, layers, weights, hint))

    def _no_layer(self, side: int, layer: Described, parameters: list[Weight]) -> None:
        names = ", ".join(f"{w.place} {list(w.shape or ())}" for w in parameters)
        reason = f"the layer has no partner in {('base', 'raw')[1 - side]}: it holds {names}"
        hint = (
            "Pair it with set_layer_map on both models, or a layer that it is in, with "
            "add_special_init for these."
        )
        layers = (layer, None) if side == 0 else (None, layer)
        self._problems.append(Problem(reason, layers, hint=hint))

    def _hint(self, layers: LayerPair, first: str = "") -> str:
        """What to do first, and the special init for layers of the user's or of a layer map."""
        mapped = self._mapped_above(layers)
        base, raw = mapped or layers
        if first and not mapped and base.kind and raw.kind:
            return f"{first}."
        ours, theirs = (inventory.framework.name for inventory in self._sides)
        call = f'add_special_init("{ours}", "{base.name}", "{theirs}", "{raw.name}", func)'
        start = f"{first}, or say" if first else "Say"
        return f"{start} how to carry the weights over with\n{call}"

    def _mapped_above(self, layers: LayerPair) -> LayerPair | None:
        base, raw = (inventory.layers for inventory in self._sides)
        for pair in zip(*self._maps, strict=True):
            if pair[0] in base and pair[1] in raw:
                mapped = base[pair[0]], raw[pair[1]]
                if all(is_inside(layers[side].route, mapped[side]) for side in (0, 1)):
                    return mapped
        return None

    def _merged(self) -> tuple[tuple[Copy, ...], ...]:
        """The copies by raw's tensor; a problem for each tensor that cannot take all of its own."""
        by_tensor: dict[int, list[Copy]] = defaultdict(list)
        for copy in self._copies:
            by_tensor[id(copy.raw.tensor)].append(copy)
        base, raw = (inventory.framework for inventory in self._sides)
        for copies in by_tensor.values():
            found = merge(base, raw, [(copy.base, copy.raw) for copy in copies])
            if not isinstance(found, Fault):
                continue
            copy = copies[found.number]
            reason, hint = found.reason, ""
            if found.other is not None:
                other = copies[found.other]
                places = " and ".join(_place(c.layers[1], c.raw) for c in (other, copy))
                values = " and ".join(_place(c.layers[0], c.base) for c in (other, copy))
                reason = f"raw has one tensor at {places}, base has other values at {values}"
                hint = "Tie them in base too, or untie them in raw."
            self._problems.append(Problem(reason, copy.layers, (copy.base, copy.raw), hint))
        return tuple(tuple(copies) for copies in by_tensor.values())


def _place(layer: Described, weight: Weight) -> str:
    return f"{layer.route}.{weight.place}".lstrip(".")
