"""Layers that ran in another order on the two sides, though each has its partner."""

from collections.abc import Sequence
from dataclasses import dataclass

from padiff.matching.alignment import longest_increasing
from padiff.tree import LayerTree, Node

__all__ = ["Move", "moves"]


@dataclass(frozen=True, slots=True)
class Move:
    """A pair of layers, and what ran before each of them; None where that was none."""

    pair: tuple[Node, Node]
    before: tuple[Node | None, Node | None]


def moves(pairs: Sequence[tuple[Node, Node]], raw: LayerTree) -> list[Move]:
    """The fewest layers that explain another order, of those that do the work.

    `pairs` are in the order of base. What ran before is told of layers with a partner.
    """
    place = {id(node): at for at, node in enumerate(raw.walk())}
    single = [(a, b) for a, b in pairs if not a.children and not b.children]
    in_order = sorted(single, key=lambda pair: place[id(pair[1])])
    rank = {id(b): at for at, (_, b) in enumerate(in_order)}
    numbers = [(at, rank[id(b)]) for at, (_, b) in enumerate(single)]
    kept = set(longest_increasing(numbers))
    return [
        Move(
            single[ours],
            (
                single[ours - 1][0] if ours else None,
                in_order[theirs - 1][1] if theirs else None,
            ),
        )
        for ours, theirs in numbers
        if (ours, theirs) not in kept
    ]
