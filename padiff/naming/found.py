"""The pairs found so far, and what is left: what has a partner is not asked again."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from padiff.naming.layout import SAME, NamedLayout
from padiff.naming.likeness import is_embedding, kind_of, route_of
from padiff.naming.table import Certainty, NamedPair
from padiff.naming.values import (
    Tensor,
    axes_between,
    is_telling,
    may_be_equal,
    nearest_axes,
    selection_of,
)

__all__ = ["Found", "Pair", "Whole", "by_route", "turned"]

Whole = tuple[int, Tensor]  # what is several on the other side, and on which side it is one
Step = Literal["equal", "parts", "similar"]
_STEPS: dict[Step, tuple[float, float]] = {
    "equal": (0.0, 0.5),
    "parts": (0.5, 0.7),
    "similar": (0.7, 1.0),
}
_ALONE = "no partner"


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor of each side, and how sure it is that they are the same.

    The `layout` is None where it is told by the shapes, and by all other pairs.
    """

    base: Tensor
    raw: Tensor
    layout: NamedLayout | None
    certainty: Certainty
    reason: str


class Found:
    """Two sides of tensors and the pairs of them; `differ` says that their frameworks do.

    `progress` is called with how much of the search is done, from 0 to 1.
    """

    def __init__(
        self,
        base: Sequence[Tensor],
        raw: Sequence[Tensor],
        *,
        differ: bool,
        progress: Callable[[float], None],
    ) -> None:
        self.sides = base, raw
        self.differ, self._progress = differ, progress
        self.pairs: list[Pair] = []
        self._done: tuple[set[int], set[int]] = (set(), set())
        self._turned = 0  # more matrices are transposed than are not

    def tell(self, step: Step, progress: float) -> None:
        """How much of a step is done."""
        begin, end = _STEPS[step]
        self._progress(begin + (end - begin) * progress)

    def is_left(self, side: int, tensor: Tensor) -> bool:
        """Whether a tensor of side 0 or 1, base or raw, has no partner yet."""
        return tensor.order not in self._done[side]

    def left(self, side: int) -> list[Tensor]:
        """What of a side has no partner yet, in its order."""
        return [tensor for tensor in self.sides[side] if tensor.order not in self._done[side]]

    def add(
        self,
        base: Tensor,
        raw: Tensor,
        layout: NamedLayout | None,
        certainty: Certainty,
        reason: str,
    ) -> None:
        """A pair; of the parts of a tensor each is one."""
        self.pairs.append(Pair(base, raw, layout, certainty, reason))
        self._done[0].add(base.order)
        self._done[1].add(raw.order)
        if _is_linear(base) and (layout is None or layout.whole is None):
            if base.shape != raw.shape or (certainty == "certain" and layout != SAME):
                self._turned += 1
            elif base.shape[0] != base.shape[1] or certainty == "certain":
                self._turned -= 1

    def add_part(
        self,
        whole: Whole,
        part: Tensor,
        layout: NamedLayout,
        certainty: Certainty,
        reason: str,
    ) -> None:
        """A pair of a tensor and of what is a part of it on the other side."""
        side, tensor = whole
        base, raw = (part, tensor) if side else (tensor, part)
        self.add(base, raw, layout, certainty, reason)

    @property
    def is_turned(self) -> bool:
        """Whether matrices are transposed, by those that tell, else by the frameworks."""
        return self._turned > 0 or (self._turned == 0 and self.differ)

    def layout_of(self, pair: Pair) -> NamedLayout:
        """How the elements lie, by the shapes; by other matrices where these do not tell."""
        base, raw = pair.base, pair.raw
        if pair.layout is not None:
            return self._layout_of_part(pair, pair.layout)
        if is_telling(base) and may_be_equal(base, raw) and (axes := axes_between(base, raw)):
            return turned(axes)
        if len(base.shape) > 1 and (axes := nearest_axes(base, raw)):
            return turned(axes)
        if base.shape != raw.shape:
            return NamedLayout(axes=(1, 0)) if base.shape == raw.shape[::-1] else SAME
        square = _is_linear(base) and _is_square(base.shape)
        return NamedLayout(axes=(1, 0)) if square and self.is_turned else SAME

    def _layout_of_part(self, pair: Pair, layout: NamedLayout) -> NamedLayout:
        """The same, of which the axes are told again where nothing but the names told them."""
        whole, part = (pair.raw, pair.base) if layout.whole == "raw" else (pair.base, pair.raw)
        if layout.whole is None or pair.certainty != "guess" or not _is_square(part.shape):
            return layout
        taken = selection_of(whole, *layout.span_in(whole.shape[layout.along]), layout.along)
        all_of = selection_of(part, 0, part.shape[0], 0)
        selections = (all_of, taken) if layout.whole == "raw" else (taken, all_of)
        near = nearest_axes(pair.base, pair.raw, selections)
        of_others = (1, 0) if self.is_turned else (0, 1)
        return replace(layout, axes=turned(near or of_others).axes)

    def rows(self) -> list[NamedPair]:
        """The pairs in the order of base, then what raw has alone."""
        rows = [
            (
                (p.base.order, p.raw.order),
                NamedPair(p.base.name, p.raw.name, self.layout_of(p), p.certainty, p.reason),
            )
            for p in self.pairs
        ]
        rows += [((t.order, 0), NamedPair(t.name, None, reason=_ALONE)) for t in self.left(0)]
        alone = [NamedPair(None, t.name, reason=_ALONE) for t in self.left(1)]
        return [row for _, row in sorted(rows, key=lambda pair: pair[0])] + alone


def by_route(tensors: Iterable[Tensor]) -> dict[str, list[Tensor]]:
    """Tensors by the route of the layer they are in."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        found[route_of(tensor.name)].append(tensor)
    return found


def turned(axes: tuple[int, ...]) -> NamedLayout:
    """The layout by which raw's axes come in that order."""
    return SAME if axes == tuple(range(len(axes))) else NamedLayout(axes=axes)


def _is_square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] == shape[1]


def _is_linear(tensor: Tensor) -> bool:
    """Whether it may be the matrix of a layer that the frameworks lay out in their own ways."""
    name = tensor.name
    return len(tensor.shape) == 2 and kind_of(name) == "weight" and not is_embedding(name)
