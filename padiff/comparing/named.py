"""Tensors that go together because a user said so."""

from collections.abc import Sequence
from dataclasses import dataclass

from padiff.comparing.pieces import piece_of
from padiff.comparing.scope import DumpPair
from padiff.errors import UsageError
from padiff.naming.layout import SAME, NamedLayout, SideName
from padiff.naming.names import Names
from padiff.tree import LayerTree, Node, Phase, TensorRecord

__all__ = ["NamedTensors", "check_names", "full_name", "lone_tensors", "named_tensors", "names_in"]


@dataclass(frozen=True, slots=True)
class NamedTensors:
    """A pair, and the layers that hold its tensors."""

    nodes: tuple[Node, Node]
    tensors: tuple[TensorRecord, TensorRecord]


def names_in(tree: LayerTree) -> list[str]:
    """The names of all layers, and of all their tensors."""
    return list(
        dict.fromkeys(
            name
            for node in tree.walk()
            for name in (node.route, *(full_name(node, tensor) for tensor in node.tensors))
            if name
        )
    )


def check_names(pairs: Sequence[DumpPair], names: Names) -> None:
    """UsageError where a name that was asked for is in no section that is compared."""
    if not (names.rows or names.patterns):
        return
    held: tuple[dict[str, None], dict[str, None]] = ({}, {})
    for pair in pairs:
        for side, dump in zip(held, (pair.base, pair.raw), strict=True):
            for section in {*dump.sections, *pair.sections}:  # all, not only what is compared
                side.update(dict.fromkeys(names_in(dump.section(section).tree)))
    names.check(*(list(side) for side in held))


def full_name(node: Node, tensor: TensorRecord) -> str:
    """What a parameter is called in a state dict."""
    return f"{node.route}.{tensor.place}".lstrip(".") if node.route else tensor.place


def named_tensors(base: LayerTree, raw: LayerTree, names: Names) -> list[NamedTensors]:
    """The pairs of two sections of parameters, of their values as of their gradients."""
    if not (names.rows or names.patterns):
        return []
    ours, theirs = (_by_name(tree) for tree in (base, raw))
    found = []
    for name, other, layout in names.pairs((n for n, _ in ours), (n for n, _ in theirs)):
        for phase in (None, "backward"):
            if (name, phase) in ours and (other, phase) in theirs:
                (node, tensor), (partner, twin) = ours[name, phase], theirs[other, phase]
                pair = _laid_out(tensor, layout, "base"), _laid_out(twin, layout, "raw")
                found.append(NamedTensors((node, partner), pair))
    return found


def lone_tensors(base: LayerTree, raw: LayerTree, names: Names) -> list[TensorRecord]:
    """What a user said to have no partner, of both sections."""
    if not names.rows:
        return []
    sides = _by_name(base), _by_name(raw)
    lone = names.lone(*([name for name, _ in side] for side in sides))
    return [
        tensor
        for side, named in zip(sides, lone, strict=True)
        for (name, _), (_, tensor) in side.items()
        if name in named
    ]


_ByName = dict[tuple[str, Phase | None], tuple[Node, TensorRecord]]


def _by_name(tree: LayerTree) -> _ByName:
    return {
        (full_name(node, tensor), tensor.phase): (node, tensor)
        for node in tree.walk()
        for tensor in node.tensors
    }


def _laid_out(tensor: TensorRecord, layout: NamedLayout, side: SideName) -> TensorRecord:
    """The tensor, or what is to be taken of it."""
    if layout == SAME:
        return tensor
    axes = len(tensor.shape)
    of_whole = layout.whole == side
    if of_whole and (layout.along >= axes or not layout.cuts(tensor.shape[layout.along])):
        so = f"cut in {layout.share[1]} equal parts" if layout.span is None else "that long"
        raise UsageError(
            f"expected a layout that fits {tensor.place} of {side}, which is {list(tensor.shape)}, "
            f"got {layout}: it is not {so}"
        )
    if side == "raw" and layout.axes and len(layout.axes) != axes:
        raise UsageError(
            f"expected a layout that fits {tensor.place} of raw, which is {list(tensor.shape)}, "
            f"got {layout}: it names {len(layout.axes)} axes"
        )
    return piece_of(layout.part(side, tensor.place), tensor)
