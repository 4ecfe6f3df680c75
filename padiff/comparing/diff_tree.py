"""Compare the trees of two locations, reading no element: what `padiff diff-tree` is made of."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from padiff.comparing.comparison import Side, Unmatched
from padiff.comparing.moves import moves
from padiff.comparing.named import check_names
from padiff.comparing.planning import Plan, Planned, plan_dumps
from padiff.comparing.scope import (
    DumpPair,
    Scope,
    check_locations,
    pair_dumps,
    scope_of,
    source_of,
)
from padiff.comparing.streaming import axes_of_raw
from padiff.comparing.structure import Difference, Found, TreeDifference
from padiff.errors import FormatError, PadiffError, UsageError
from padiff.matching.classes import class_score, depends_on_mode, does_one_thing
from padiff.matching.routes import has_classes
from padiff.matching.settings import changed
from padiff.naming.names import names_of
from padiff.store.address import Location
from padiff.store.format import SECTIONS, SectionName
from padiff.store.reader import open_dumps
from padiff.tree import GRADIENTS, LayerTree, Node, TensorRecord

__all__ = ["diff_tree"]

_NONE = Side()


def diff_tree(
    base: Location,
    raw: Location,
    *,
    layers: Sequence[str] | None = None,
    rename: Sequence[str] = (),
    name_map: Location | None = None,
    progress: Callable[[float], None] | None = None,
) -> TreeDifference:
    """Compare what layers and tensors two stores, steps or ranks have, reading their trees alone.

        difference = padiff.diff_tree("torch.zarr", "paddle.zarr")
        for found in difference.differences:
            print(found.kind, found.base.route, found.raw.route, found.values)

    `base` is where the reference lies, `raw` what is held against it.
    Layers and tensors have the partners that they have in `compare`. Told is what one side lacks,
    and of pairs another class, setting, shape, dtype or order; of all steps and ranks together.
    `layers` (patterns of routes, such as `blocks.1.*`) narrow it down; `rename` and `name_map` are
    those of `compare`. `progress` is called with the share done.

    Raises UsageError (a ValueError) for an argument that makes no sense or layers that are not
    there, LocationError where nothing lies, and FormatError, or one of its kind, for what is no
    store, is unfinished, damaged, or has nothing in common with the other side.
    """
    check_locations(base, raw)
    names = names_of(rename, name_map)
    scope = scope_of(None, "both", None, None, layers, names)
    pairs, lone = pair_dumps(open_dumps(base), open_dumps(raw), scope)
    check_names(pairs, names)
    first, name = pairs[0], pairs[0].sections[0]
    headers = [side.section(name).header for side in (first.base, first.raw)]
    sources = source_of(base, headers[0]), source_of(raw, headers[1])
    with_classes = all(has_classes(header.tree) for header in headers)
    recorded = not any(header.foreign for header in headers)  # others keep weights alone
    left, total = deque(pairs), len(pairs)
    del pairs, first, headers  # so that what a dump holds open is let go when it is done
    found: dict[Difference, list[Found]] = {}
    for item in lone:
        place = Found(item.step, item.rank, item.section)
        found.setdefault(_lone(item, counts=recorded), []).append(place)
    sections: set[SectionName] = set()
    layers_seen = tensors = 0
    while left:
        pair = left.popleft()
        for section, plan in zip(pair.sections, plan_dumps(pair, scope), strict=True):
            sections.add(section)
            layers_seen += plan.layers
            tensors += sum(None not in item.tensors for item in plan.planned)
            place = Found(pair.step, pair.rank, section)
            # each once, though it may be so in every call of a layer
            for difference in dict.fromkeys(_Section(pair, section, plan, scope).differences()):
                found.setdefault(difference, []).append(place)
        if progress is not None:
            progress(1 - len(left) / total)
    if not layers_seen and not any(item.kind == "layer" for item in found):
        raise _no_layer(base, raw, scope)
    return TreeDifference(
        *sources,
        total,
        layers_seen,
        tensors,
        tuple(name for name in SECTIONS if name in sections),
        tuple(replace(item, found=tuple(places)) for item, places in found.items()),
        with_classes,
    )


def _no_layer(base: Location, raw: Location, scope: Scope) -> PadiffError:
    """Nothing looked at is no agreement."""
    if scope.layers is None:
        return FormatError(
            f"expected layers in {base} and {raw}, found none: the model did not run before the "
            "dump, or nothing of it was to be recorded"
        )
    return UsageError(
        f"expected a layer whose route fits {' or '.join(scope.layers)} in {base} and {raw}, "
        "found none: routes are dotted names without the model's own, such as blocks.1.mlp"
    )


class _Section:
    """What is not the same in one section of two dumps."""

    def __init__(self, dumps: DumpPair, name: SectionName, plan: Plan, scope: Scope) -> None:
        self._name, self._plan, self._scope = name, plan, scope
        headers = [side.section(name).header for side in (dumps.base, dumps.raw)]
        self._frameworks = headers[0].framework, headers[1].framework
        self._trees = headers[0].tree, headers[1].tree

    def differences(self) -> Iterator[Difference]:
        """All of them, those of layers first."""
        pairs = self._plan.matching.pairs
        inner = {"base": _inner(self._trees[0]), "raw": _inner(self._trees[1])}
        with_inputs = {
            (side, node.route, node.call)
            for item in self._plan.planned
            if item.phase == "input" and None not in item.tensors
            for side, node in zip(("base", "raw"), item.nodes, strict=True)
            if node is not None
        }
        for item in self._plan.unmatched:
            where = item.side, item.route, item.call
            within = where[1:] in inner[item.side]
            yield _lone(item, counts=self._counts(item, where in with_inputs, within))
        for base, raw in pairs:
            if self._scope.takes_layer(base.route, raw.route):
                yield from self._of_layers(base, raw)
        yield from self._of_tensors()
        if self._name == "report":
            yield from self._order(pairs)

    def _counts(self, item: Unmatched, inputs_recorded: bool, within: bool) -> bool:
        """Whether what one side has alone makes it another structure."""
        if item.kind == "layer":
            return not within  # of what one framework makes of several layers
        if item.kind == "buffer":  # which of them a layer keeps is its framework's choice
            return self._frameworks[0] == self._frameworks[1]
        if item.kind == "unrecorded":
            return False
        return item.phase == "forward" or (
            item.phase == "input" and (not item.route or inputs_recorded)
        )

    def _of_layers(self, base: Node, raw: Node) -> Iterator[Difference]:
        sides = _side(base, of_call=False), _side(raw, of_call=False)
        known = bool(base.name and raw.name)  # of what another tool wrote there are names alone
        if known and base.name != raw.name and class_score(base.name, raw.name) != 2:
            yield Difference("class", *sides)
        for name, ours, theirs in changed(base, raw, self._frameworks):
            yield Difference("setting", *sides, name=name, values=(ours, theirs))
        modes = base.training, raw.training
        if (
            self._name == "report"
            and None not in modes
            and modes[0] != modes[1]
            and depends_on_mode(base.name)
        ):
            values = str(modes[0]), str(modes[1])
            yield Difference("setting", *sides, name="training", values=values)

    def _of_tensors(self) -> Iterator[Difference]:
        told: set[object] = set()  # of values; of gradients, what these do not tell
        for item in sorted(self._plan.planned, key=lambda item: item.phase in GRADIENTS):
            base, raw = item.tensors
            if base is None or raw is None:
                yield from _missing(item)
                continue
            axes = axes_of_raw(base, raw)
            for kind, ours, theirs in (
                ("shape", base.shape, tuple(raw.shape[axis] for axis in axes)),
                ("dtype", base.dtype, raw.dtype),
            ):
                if ours == theirs or (item.phase in GRADIENTS and (kind, ours, theirs) in told):
                    continue
                if item.phase not in GRADIENTS:
                    told.add((kind, ours, theirs))
                yield Difference(
                    kind,  # type: ignore[arg-type]  # one of these two
                    *_sides(item),
                    phase=item.phase,
                    buffer=base.buffer,
                )

    def _order(self, pairs: Sequence[tuple[Node, Node]]) -> Iterator[Difference]:
        for move in moves(pairs, self._trees[1]):
            if self._scope.takes_layer(*(node.route for node in move.pair)):
                before = [None if node is None else node.route for node in move.before]
                yield Difference(
                    "order", _side(move.pair[0]), _side(move.pair[1]), values=(before[0], before[1])
                )


def _inner(tree: LayerTree) -> set[tuple[str, int]]:
    """Routes and calls of what a framework's layers are made of."""
    return {
        (below.route, below.call)
        for node in tree.walk()
        if does_one_thing(node.name)
        for below in node.walk()
        if below is not node
    }


def _missing(item: Planned) -> Iterator[Difference]:
    """A tensor of a pair of layers that one of them lacks; of a lone layer, that is told."""
    if None in item.nodes or item.tensors == (None, None):
        return
    yield Difference("tensor", *_sides(item), phase=item.phase, counts=item.phase not in GRADIENTS)


def _sides(item: Planned) -> tuple[Side, Side]:
    base, raw = (
        _NONE if node is None else _side(node, tensor)
        for node, tensor in zip(item.nodes, item.tensors, strict=True)
    )
    return base, raw


def _side(node: Node, tensor: TensorRecord | None = None, *, of_call: bool = True) -> Side:
    side = Side(node.route, node.name, node.call if of_call else None)
    if tensor is None:
        return side
    return Side(*(side.route, side.class_name, side.call), tensor.place, tensor.shape, tensor.dtype)


def _lone(item: Unmatched, *, counts: bool) -> Difference:
    """What the comparison lists as being on one side only, or as not stored."""
    side = Side(item.route, item.class_name, item.call, item.tensor, item.shape)
    if item.kind == "section":
        side = Side("")
    return Difference(
        "tensor" if item.kind == "buffer" else item.kind,
        *((side, _NONE) if item.side == "base" else (_NONE, side)),
        phase=item.phase,
        name=item.reason or None,
        buffer=item.kind == "buffer",
        counts=counts,
    )
