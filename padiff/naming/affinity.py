"""How well a unit of one side goes with one of the other: names, surroundings, figures, order."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.naming.found import Found, by_route
from padiff.naming.likeness import cosines, kind_of, likeness, route_of
from padiff.naming.units import Profile, Unit, canonical, families, is_sorted, natural
from padiff.naming.values import Tensor

__all__ = ["NEVER", "Affinity", "Matrix"]

Matrix = NDArray[np.float32]

# Against the likeness of names.
_CONTEXT, _NEAR, _ORDER = 1.0, 0.4, 0.6
_NEARNESS = 0.02  # of figures, against the spread of the elements: what a step of training makes
_MOST = 500  # pairs that others are held against
_DEEPEST = 12  # parts of a route that are looked at
NEVER = np.float32(-9)  # what two that cannot be one come to, below all else


class Affinity:
    """What the pairs found so far say of others; order counts where it is not the alphabet's."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._beside = [_shapes(side) for side in found.sides]
        self.has_order = not any(map(is_sorted, found.sides))
        self._names: dict[tuple[str, str], None] = {}
        self._orders: list[tuple[float, float]] = []
        self._grain: re.Pattern[str] | None = None
        self._seen = 0  # of the pairs found, by that grain

    def begin(self, grain: re.Pattern[str]) -> None:
        """Hold the pairs found so far, by their names without numbers."""
        if grain is not self._grain:
            self._grain, self._seen = grain, 0
            self._names, self._orders = {}, []
        for pair in self._found.pairs[self._seen :]:
            self.add(*(families([tensor], grain)[0] for tensor in (pair.base, pair.raw)))
        self._seen = len(self._found.pairs)

    def add(self, base: Unit, raw: Unit) -> None:
        """Hold one more pair."""
        self._names[base.name, raw.name] = None
        self._orders.append((base.order, raw.order))

    def is_alike_beside(self, base: Unit, raw: Unit) -> bool:
        """Whether the layers of both hold tensors of the same shapes."""
        ours, theirs = (
            beside[route_of(unit.columns[0][0].name)]
            for beside, unit in zip(self._beside, (base, raw), strict=True)
        )
        return ours == theirs

    def in_order(self, units: Sequence[Unit]) -> list[Unit]:
        """Units as their side has them; in the order of their numbers where that says nothing."""
        if self.has_order:
            return sorted(units, key=lambda unit: unit.order)
        return sorted(units, key=lambda unit: natural(unit.name))

    def between(self, base: Sequence[Unit], raw: Sequence[Unit]) -> Matrix:
        """A number for each pair of units of one profile, `NEVER` where they cannot be one."""
        found = likeness([unit.name for unit in base], [unit.name for unit in raw])
        found += _CONTEXT * self._context(base, raw)
        found += _NEAR * _near(base, raw)
        if self.has_order:
            found += _ORDER * self._ordered(base, raw)
        kinds = [np.array([kind_of(unit.name) for unit in side]) for side in (base, raw)]
        known = (kinds[0] != "")[:, None] & (kinds[1] != "")
        exact = [np.array([unit.exact for unit in side]) for side in (base, raw)]
        apart = known & (kinds[0][:, None] != kinds[1])
        found[apart | (exact[0][:, None] != exact[1])] = NEVER
        return found

    def _context(self, base: Sequence[Unit], raw: Sequence[Unit]) -> Matrix:
        """Whether the pairs that are known stand around both in the same way."""
        if not self._names:
            return np.zeros((len(base), len(raw)), np.float32)
        known = list(self._names)[:: 1 + len(self._names) // _MOST]
        ours, theirs = (
            _closeness([unit.name for unit in units], [pair[side] for pair in known])
            for side, units in enumerate((base, raw))
        )
        return cosines(ours, theirs)

    def _ordered(self, base: Sequence[Unit], raw: Sequence[Unit]) -> Matrix:
        """How near a unit is to where it should be, between the pairs that are known."""
        last = float(len(self._found.sides[0])), float(len(self._found.sides[1]))
        known = sorted([(-1.0, -1.0), *self._orders, last])
        places, others = zip(*known, strict=True)
        expected = np.interp([unit.order for unit in base], places, others)
        apart = np.abs(expected[:, None] - np.array([unit.order for unit in raw]))
        near: Matrix = (1 / (1 + apart / 4)).astype(np.float32)
        return near


def _shapes(side: Sequence[Tensor]) -> dict[str, Profile]:
    """The shapes of what each layer holds, but for counts."""
    return {
        route: tuple(sorted(canonical(tensor.shape) for tensor in tensors if tensor.shape))
        for route, tensors in by_route(side).items()
    }


def _closeness(names: Sequence[str], others: Sequence[str]) -> Matrix:
    """One for what is in the same layer, and a quarter of that for each layer that is between."""
    numbers: dict[tuple[str, ...], int] = {}
    sides: list[Any] = []
    for held in (names, others):
        starts = np.full((len(held), _DEEPEST), -1)
        for at, name in enumerate(held):
            route = name.split(".")[:-1][:_DEEPEST]
            for depth in range(len(route)):
                starts[at, depth] = numbers.setdefault(tuple(route[: depth + 1]), len(numbers))
        sides.append(starts)
    depths = (sides[0] >= 0).sum(axis=1)
    common = np.zeros((len(names), len(others)), np.int64)
    for depth in range(_DEEPEST):
        ours = sides[0][:, depth, None]
        common += (ours == sides[1][None, :, depth]) & (ours >= 0)
    near: Matrix = np.exp2(2 * (common - depths[:, None]).astype(np.float32))
    return near


def _near(base: Sequence[Unit], raw: Sequence[Unit]) -> Matrix:
    """How near the figures are: 1 where they are the same."""
    ours, theirs = (np.array([_figures(unit) for unit in side]) for side in (base, raw))
    found = np.zeros((len(base), len(raw)), np.float32)
    with np.errstate(all="ignore"):  # of numbers that are almost none
        for at in range(ours.shape[1]):
            a, b = ours[:, at][:, None], theirs[:, at][None, :]
            scale = np.maximum(np.maximum(a[..., 1], b[..., 1]), 1e-12)
            apart = (np.abs(a - b) / scale[..., None]).max(axis=-1)
            found += np.nan_to_num(1 / (1 + (apart / _NEARNESS) ** 2))
    return found / np.float32(ours.shape[1])


def _figures(unit: Unit) -> list[tuple[float, ...]]:
    return [_figures_of(tensor) for held in unit.members for tensor in held[:1]]


def _figures_of(tensor: Tensor) -> tuple[float, ...]:
    stats = tensor.stats
    mean, norm = stats.mean or 0.0, stats.l2 or 0.0
    spread = max(0.0, norm * norm / max(1, tensor.size) - mean * mean) ** 0.5
    return mean, spread, stats.min or 0.0, stats.max or 0.0
