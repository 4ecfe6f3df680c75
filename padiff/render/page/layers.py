"""The layers of both sides as one tree: partners are one row, what one side lacks stands beside."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from padiff.comparing.comparison import Comparison, Record, Side, Unmatched
from padiff.store.format import SECTIONS
from padiff.tree import Node

__all__ = ["Row", "merged", "walk"]

Key = tuple[Literal[0, 1], str, int]  # base or raw, route, call


class Row:
    """One call of one layer: what base, raw or both call it, and the rows of the layers in it."""

    def __init__(self) -> None:
        self.sides = [Side(), Side()]
        self.nodes: list[Node | None] = [None, None]
        self.children: list[Row] = []
        self.siblings: list[Row] | None = None
        self.index = -1

    def take(self, side: Literal[0, 1], named: Side, node: Node | None = None) -> None:
        """Fill a side, as far as nothing is known of it yet; calls tell more than parameters do."""
        if self.sides[side].route is None:
            self.sides[side] = named
        self.nodes[side] = self.nodes[side] or node


class _Merging:
    def __init__(self, comparison: Comparison) -> None:
        self.roots: list[Row] = []
        self.rows: dict[Key, Row] = {}
        self.partner = _partners(comparison.records)
        self.lone = {
            (1, item.route, item.call)
            for item in comparison.unmatched
            if item.side == "raw" and item.kind == "layer"
        }

    def tree(self, side: Literal[0, 1], nodes: Sequence[Node], siblings: list[Row]) -> None:
        """Give the layers of one side their rows; new ones stand behind what ran before them."""
        at = 0
        for node in nodes:
            key: Key = (side, node.route, node.call)
            row = self.rows.get(key) or (self._of_base(node) if side else None)
            if row is None:
                row = Row()
                row.siblings = siblings
                siblings.insert(at, row)
                at += 1
            elif row.siblings is siblings:
                at = _behind(siblings, row, at)
            row.take(side, Side(node.route, node.name, node.call), node)
            self.rows[key] = row
            self.tree(side, node.children, row.children)

    def _of_base(self, node: Node) -> Row | None:
        """The row of the layer of base that one of raw belongs to, by the records or its name."""
        if (1, node.route, node.call) in self.lone:
            return None
        return self.rows.get(self.partner.get((node.route, node.call), (0, node.route, node.call)))

    def of(self, base: Side, raw: Side) -> Row:
        """The row of a record; where no tree has its layer, as in other steps, a new one."""
        sides: tuple[tuple[Literal[0, 1], Side], ...] = ((0, base), (1, raw))
        keys: list[tuple[Key, Side]] = [
            ((side, where.route, where.call or 0), where)
            for side, where in sides
            if where.route is not None
        ]
        row = next((self.rows[key] for key, _ in keys if key in self.rows), None)
        if row is None:
            row = Row()
            self.roots.append(row)
        for key, where in keys:
            self.rows.setdefault(key, row)
            row.take(key[0], where)
        return row


def _behind(siblings: Sequence[Row], row: Row, at: int) -> int:
    """The place behind a row, where it does not stand before `at` already; mostly the next one."""
    for place in range(at, len(siblings)):
        if siblings[place] is row:
            return place + 1
    return at


def _partners(records: Sequence[Record]) -> Mapping[tuple[str, int], Key]:
    """The layer of base that each layer of raw was compared with first."""
    found: dict[tuple[str, int], Key] = {}
    for record in records:
        base, raw = record.base, record.raw
        if base.route is not None and raw.route is not None:
            found.setdefault((raw.route, raw.call or 0), (0, base.route, base.call or 0))
    return found


def merged(
    comparison: Comparison,
    records: Sequence[Record],
    unmatched: Sequence[Unmatched],
) -> tuple[list[Row], list[Row | None], list[Row | None]]:
    """All top rows; the row of each record; that of each thing without a partner, if it has one."""
    merging = _Merging(comparison)
    for section in sorted(comparison.trees, key=SECTIONS.index):  # calls first: they have an order
        base, raw = comparison.trees[section]
        merging.tree(0, base.roots, merging.roots)
        merging.tree(1, raw.roots, merging.roots)
    of_records: list[Row | None] = [merging.of(record.base, record.raw) for record in records]
    of_unmatched = [_of_unmatched(merging, item) for item in unmatched]
    for index, row in enumerate(walk(merging.roots)):
        row.index = index
    return merging.roots, of_records, of_unmatched


def _of_unmatched(merging: _Merging, item: Unmatched) -> Row | None:
    if item.kind == "section":
        return None
    alone = Side(item.route, item.class_name, item.call)
    return merging.of(*((alone, Side()) if item.side == "base" else (Side(), alone)))


def walk(rows: Sequence[Row]) -> Iterator[Row]:
    """Rows and all below them, parents first."""
    left = list(reversed(rows))
    while left:
        row = left.pop()
        yield row
        left += reversed(row.children)
