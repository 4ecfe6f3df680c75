"""The layers of one section for the terminal: a line for each, or one for each tensor as well."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from msgspec.structs import replace

from padiff.inspecting.inspection import Inspection, ShownSection
from padiff.render.folding import Line, Outline, fold
from padiff.render.outline import name_below
from padiff.render.words import byte_size, clean, name_of, number, with_class
from padiff.store.section import bytes_of
from padiff.tree import GRADIENTS, Node, TensorRecord

__all__ = ["Columns", "layer_lines", "nonfinite_words"]

_WIDTH = 80
_NAMES = 40  # characters that names of layers may take, beside which tensors stand
_LISTED = 3  # names of layers that are alike
_DIGITS = "0123456789"
_TENSORS = 6  # of one layer beside its name


@dataclass(frozen=True, slots=True)
class Columns:
    """Whether each tensor has a line of its own, and statistics before it in place of its size."""

    tensors: bool
    stats: bool


def layer_lines(
    inspection: Inspection, section: ShownSection, columns: Columns, most: int | None
) -> tuple[list[str], bool]:
    """The layers of a section in about `most` lines, and whether some of them are folded."""
    roots = section.tree.roots
    if inspection.patterns is not None:
        roots = tuple(_picked(roots, inspection.takes))
    roots = tuple(map(_counted_up, roots))
    table = _Table(section, columns, with_repr=inspection.patterns is not None)
    outline = fold(roots, most, table.look, table.height)
    return list(table.lines(outline)), outline.is_folded


def _counted_up(node: Node) -> Node:
    """Numbered layers in the order of their numbers where it is not known in which they ran.

    Files of other tools have them as texts are sorted: 1, 10, 11, 2.
    """
    if node.name:
        return node
    below = [(child.route.rpartition(".")[2], _counted_up(child)) for child in node.children]
    if len({name.rstrip(_DIGITS) for name, _ in below}) == 1:
        below.sort(key=lambda named: (len(named[0]), named[0]))
    return replace(node, children=tuple(child for _, child in below))


def nonfinite_words(nan: int, inf: int, size: int) -> str:
    """How many elements are so: `all NaN`, or `3 NaN and 1 Inf of 64`."""
    found = [(count, word) for count, word in ((nan, "NaN"), (inf, "Inf")) if count]
    if len(found) == 1 and found[0][0] == size:
        return f"all {found[0][1]}"
    return f"{' and '.join(f'{count} {word}' for count, word in found)} of {size}"


def _picked(nodes: Sequence[Node], takes: Callable[[Node], bool]) -> Iterator[Node]:
    """The layers that are asked for, below those that hold them."""
    for node in nodes:
        below = tuple(_picked(node.children, takes))
        if takes(node):
            yield replace(node, children=below)
        elif below:
            yield replace(node, children=below, tensors=(), repr="")


class _Table:
    """Writes the lines of one section."""

    def __init__(self, section: ShownSection, columns: Columns, *, with_repr: bool) -> None:
        self._section, self._columns, self._with_repr = section, columns, with_repr
        self._parameters = {
            tensor.array: f"{node.route}.{tensor.place}".lstrip(".")
            for node in section.tree.walk()
            for tensor in node.tensors
        }
        self._gutter = 8 if section.summary.nan or section.summary.inf else 0

    def look(self, node: Node) -> object:
        """What layers that are alike have in common; no two have the same statistics."""
        if self._columns.stats:
            return id(node)
        tensors = [
            (t.phase, t.place, t.shape, t.dtype, t.buffer, t.tied is None, self._word([t]))
            for t in node.tensors
        ]
        return node.name, tuple(tensors), len(node.unrecorded)

    def height(self, node: Node) -> int:
        """How many lines a layer takes."""
        return 1 + (len(node.tensors) if self._columns.tensors else 0)

    def lines(self, outline: Outline) -> Iterator[str]:
        """The head of the table, and all that is below it."""
        named: list[tuple[Line, str]] = []
        above: list[str] = []  # the routes from the root down
        for line in outline.lines:
            parent = above[line.depth - 1] if line.depth else ""
            above[line.depth :] = [line.nodes[0].route]
            named.append((line, f"{'  ' * line.depth}{self._label(line, parent)}"))
        width = min(_NAMES, max((len(name) for _, name in named), default=0))
        yield self._head()
        for line, name in named:
            yield from self._line(line, name, width)

    def _head(self) -> str:
        titles = ("min", "max", "mean", "L2") if self._columns.stats else ("size",)
        columns = "".join(f"{title:>10}" for title in titles)
        what = "layer, tensor" if self._columns.tensors else "layer"
        return f"{'':<{self._gutter}}{columns}  {what}"

    def _line(self, line: Line, name: str, width: int) -> Iterator[str]:
        shown = line.kind == "layers"
        whole = line.kind == "again" or line.hidden
        below = [inner for node in line.nodes for inner in (node.walk() if whole else [node])]
        figures = " " * 40
        if not self._columns.stats:
            sized = line.nodes[0].walk() if shown else below
            figures = f"{_size(sum(map(_bytes_in, sized))):>10}"
        front = f"{self._front(t for node in below for t in node.tensors)}{figures}  "
        if not shown or self._columns.tensors:
            yield front + name
        else:
            indent = len(front) + width + 2
            yield from _flowing(f"{front}{name:<{width}}", indent, list(self._held(line.nodes[0])))
        if shown and self._columns.tensors:
            yield from (self._tensor(t, line.depth + 2) for t in line.nodes[0].tensors)

    def _tensor(self, tensor: TensorRecord, depth: int) -> str:
        stats = self._section.stats.get(tensor.array)
        name = name_of(
            self._section.summary.section, tensor.phase, tensor.place, buffer=tensor.buffer
        )
        text = f"{name}  {_shape(tensor)}{self._tied(tensor)}"
        if stats is not None and (stats.nan or stats.inf):
            text += f", {nonfinite_words(stats.nan, stats.inf, prod(tensor.shape))}"
        values = [_size(bytes_of(tensor))]
        if self._columns.stats and stats is not None:
            values = [number(value) for value in (stats.min, stats.max, stats.mean, stats.l2)]
        figures = "".join(f"{value:>10}" for value in values)
        return f"{self._front([tensor])}{figures}  {'  ' * depth}{text}"

    def _front(self, tensors: Iterable[TensorRecord]) -> str:
        return f"{' '.join(self._words(tensors)):<{self._gutter}}"

    def _label(self, line: Line, parent: str) -> str:
        """What a line is of: a layer's own name, or several of them."""
        nodes, first = line.nodes, line.nodes[0]
        if line.kind == "rest":
            return f"... {len(nodes)} more layers"
        if line.kind == "again":
            period = len(nodes) // line.times
            last = name_below(nodes[-1], parent)
            return f"... these {period} again, {line.times} times, to {last}"
        if len(nodes) > 1:
            text = _names(nodes, parent) + (":" if first.children and not line.hidden else "")
        elif self._with_repr and first.repr:
            call = f", call {first.call}" if first.call else ""
            text = f"{_own(first, parent)} {clean(first.repr, 100)}{call}".lstrip()
        else:
            text = name_below(first, parent)
        if line.hidden:
            each = " each" if len(nodes) > 1 else ""
            text += f", {line.hidden} layer{'' if line.hidden == 1 else 's'} inside{each}"
        return text

    def _held(self, node: Node) -> Iterator[str]:
        """A layer's tensors in a few words, all but gradients, of which there may be some."""
        gradients = [t for t in node.tensors if t.phase in GRADIENTS]
        given = [t for t in node.tensors if t.phase == "input" and not node.route]
        held = [t for t in node.tensors if t.phase not in (*GRADIENTS, "input")]
        if self._section.summary.section == "grads":
            held, gradients = gradients, []
        yield from _listed([self._described(tensor) for tensor in given], " ->")
        alone = len([t for t in held if t.phase == "forward"]) == 1
        texts = []
        for tensor in held:
            named = tensor.phase != "forward" or not alone or tensor.place != "0"
            kind = "loss " if tensor.phase == "loss" else "buffer " if tensor.buffer else ""
            name = f"{kind}{clean(tensor.place, 40)} " if named else ""
            texts.append(f"{name}{self._described(tensor)}")
        yield from _listed(texts, f" + grad{self._word(gradients)}" if gradients else "")
        if node.unrecorded:
            yield f"({len(node.unrecorded)} not stored)"

    def _described(self, tensor: TensorRecord) -> str:
        return f"{_shape(tensor)}{self._word([tensor])}{self._tied(tensor)}"

    def _word(self, tensors: Sequence[TensorRecord]) -> str:
        return "".join(f" {word}" for word in self._words(tensors))

    def _words(self, tensors: Iterable[TensorRecord]) -> list[str]:
        """Whether there is NaN, and Inf, in any of them."""
        known = self._section.stats
        found = [known[tensor.array] for tensor in tensors if tensor.array in known]
        words = (("NaN", any(s.nan for s in found)), ("Inf", any(s.inf for s in found)))
        return [word for word, there in words if there]

    def _tied(self, tensor: TensorRecord) -> str:
        if tensor.tied is None:
            return ""
        return f" (tied to {clean(self._parameters.get(tensor.tied, tensor.tied), 60)})"


def _names(nodes: Sequence[Node], parent: str) -> str:
    """Several that are alike: `0 to 9 (Block), all 10 alike`, or `cell (Cell), calls 0 to 9`."""
    kind = nodes[0].name
    if nodes[0].route == nodes[-1].route:
        own = with_class(_own(nodes[0], parent) if nodes[0].route else "", kind)
        return f"{own}, calls {nodes[0].call} to {nodes[-1].call}"
    names = _in_ranges([_own(node, parent) for node in nodes])
    if len(names) > _LISTED:
        names = [*names[: _LISTED - 1], "...", names[-1]]
    all_of_them = "both" if len(nodes) == 2 else f"all {len(nodes)}"
    return f"{with_class(', '.join(names), kind)}, {all_of_them} alike"


def _in_ranges(names: Sequence[str]) -> list[str]:
    """Names in order, three or more that are counted up as one: `0 to 23`, `block2 to block7`."""
    found: list[list[str]] = []
    for name in names:
        before = found[-1][-1] if found else ""
        prefix = before.rstrip(_DIGITS)
        number = before.removeprefix(prefix)
        if number and name == f"{prefix}{int(number) + 1}":
            found[-1].append(name)
        else:
            found.append([name])
    listed = ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run for run in found)
    return [name for run in listed for name in run]


def _own(node: Node, parent: str) -> str:
    return clean(node.route.removeprefix(f"{parent}.") if parent else node.route, 40)


def _listed(texts: Sequence[str], end: str) -> Iterator[str]:
    """The texts but for what is too many, with commas between and `end` behind the last."""
    shown = [*texts[:_TENSORS]]
    if len(texts) > _TENSORS:
        shown.append(f"and {len(texts) - _TENSORS} more")
    for at, text in enumerate(shown):
        yield f"{text}," if at < len(shown) - 1 else f"{text}{end}"


def _flowing(start: str, indent: int, words: Sequence[str]) -> Iterator[str]:
    """The words behind `start`, at a column, on as many lines as they take."""
    line = f"{start:<{indent}}"
    for word in words:
        if len(line) + len(word) > _WIDTH and len(line) > indent:
            yield line.rstrip()
            line = " " * indent
        line += f"{word} "
    yield line.rstrip()


def _bytes_in(node: Node) -> int:
    return sum(map(bytes_of, node.tensors))


def _size(count: int) -> str:
    return byte_size(count) if count else ""


def _shape(tensor: TensorRecord) -> str:
    return f"{clean(tensor.dtype, 40)}{list(tensor.shape)}"
