"""The layer tree in few lines: blocks that are alike as one, and no deeper than there is room."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from padiff.tree import Node

__all__ = ["Line", "Outline", "fold"]

_LONGEST_PERIOD = 16  # layers that are called in turn, over and over
_TAIL = 3  # lines at the end, where those in the middle are left out


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an outline.

    Of `layers` it is one, or several that are alike: of these the first is shown, with what is
    below it; `hidden` counts the layers below that have no line. `again` stands for a series of
    layers that comes `times` more after it was shown, `rest` for all layers that are left out.
    """

    depth: int
    nodes: tuple[Node, ...]
    kind: Literal["layers", "again", "rest"] = "layers"
    hidden: int = 0
    times: int = 0


@dataclass(frozen=True, slots=True)
class Outline:
    """The lines of a tree, and whether some layer has none of its own."""

    lines: tuple[Line, ...]
    is_folded: bool


def fold(
    roots: Sequence[Node],
    most: int | None,
    look: Callable[[Node], Hashable],
    height: Callable[[Node], int] = lambda _: 1,
) -> Outline:
    """The tree of `roots` in at most about `most` lines; all of it where that is None.

    Layers are alike where `look` gives the same of them, and of all below them, by the same names.
    A layer's line takes as much room as `height` lines.
    """
    whole = list(_plain(roots, 0))
    if most is None or _height(whole, height) <= most:
        return Outline(tuple(whole), False)
    folded = list(_folded(roots, 0, _Alike(look)))
    lines, deeper = folded, folded
    for depth in range(max((line.depth for line in folded), default=0), -1, -1):
        lines = list(_cut(folded, depth))
        if _height(lines, height) <= most:
            break
        deeper = lines
    if _height(lines, height) < most // 2 or _height(lines, height) > most:
        lines = _shortened(deeper, most, height)  # or hardly anything would be seen
    return Outline(tuple(lines), True)


class _Alike:
    """A number for each layer, equal for those alike whose parts of one name are alike too."""

    def __init__(self, look: Callable[[Node], Hashable]) -> None:
        self._look = look
        self._numbers: dict[Hashable, int] = {}
        self._known: dict[int, int] = {}

    def number(self, node: Node) -> int:
        """That of one layer."""
        if id(node) not in self._known:
            below = ((c.route.removeprefix(node.route), self.number(c)) for c in node.children)
            key = self._look(node), *below
            self._known[id(node)] = self._numbers.setdefault(key, len(self._numbers))
        return self._known[id(node)]


def _height(lines: Sequence[Line], height: Callable[[Node], int]) -> int:
    return sum(height(line.nodes[0]) if line.kind == "layers" else 1 for line in lines)


def _plain(nodes: Sequence[Node], depth: int) -> Iterator[Line]:
    for node in nodes:
        yield Line(depth, (node,))
        yield from _plain(node.children, depth + 1)


def _folded(nodes: Sequence[Node], depth: int, alike: _Alike) -> Iterator[Line]:
    """Siblings, what repeats itself as one line or series of lines."""
    numbers = [alike.number(node) for node in nodes]
    at = 0
    while at < len(nodes):
        period, times = _repeated(numbers, at)
        end = at + period * times
        for node in nodes[at : at + period]:
            yield Line(depth, tuple(nodes[at:end]) if period == 1 else (node,))
            yield from _folded(node.children, depth + 1, alike)
        if period > 1:
            yield Line(depth, tuple(nodes[at + period : end]), "again", times=times - 1)
        at = end


def _repeated(numbers: Sequence[int], at: int) -> tuple[int, int]:
    """How many layers from `at` repeat themselves as a series, and how many times in all."""
    best = 1, 1
    for period in range(1, min(_LONGEST_PERIOD, (len(numbers) - at) // 2) + 1):
        series = numbers[at : at + period]
        times = 1
        while numbers[at + times * period : at + (times + 1) * period] == series:
            times += 1
        if period * (times - 1) > best[0] * (best[1] - 1):
            best = period, times
    return best


def _cut(lines: Sequence[Line], depth: int) -> Iterator[Line]:
    """The lines down to a depth; those there tell how many layers are below them."""
    for line in lines:
        if line.depth == depth and line.kind == "layers":
            yield replace(line, hidden=sum(1 for _ in line.nodes[0].walk()) - 1)
        elif line.depth <= depth:
            yield line


def _shortened(lines: Sequence[Line], most: int, height: Callable[[Node], int]) -> list[Line]:
    """The lines without those in the middle."""
    if len(lines) <= _TAIL + 1:
        return list(lines)
    head, taken = 0, _TAIL + 1
    while head < len(lines) - _TAIL and taken + _height(lines[head : head + 1], height) <= most:
        taken += _height(lines[head : head + 1], height)
        head += 1
    middle = lines[max(1, head) : -_TAIL]
    rest = [*middle]
    if middle[1:]:
        rest = [Line(middle[0].depth, tuple(n for line in middle for n in _only_in(line)), "rest")]
    return [*lines[: max(1, head)], *rest, *lines[-_TAIL:]]


def _only_in(line: Line) -> Iterator[Node]:
    """The layers that have no line but this one."""
    first, *others = line.nodes
    yield from [first] if line.kind == "layers" and not line.hidden else first.walk()
    for node in others:
        yield from node.walk()
