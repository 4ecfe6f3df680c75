"""Whether a gradient that one side lacks should have been there."""

from collections.abc import Iterable, Iterator

from padiff.comparing.comparison import SideName
from padiff.store.reader import Section
from padiff.tree import Node, TensorRecord

__all__ = ["ExpectedGradients"]


class ExpectedGradients:
    """What two reports tell of gradients that only one of them has.

    A tensor asks for a gradient when it is computed from parameters that are trained, or from an
    input of the model that asks. So what did not ask on one side was cut off there, unless that
    side asked for gradients of fewer of the model's inputs and no parameter lies before the layer.
    """

    def __init__(self, base: Section, raw: Section) -> None:
        self._sides: dict[SideName, _Side] = {"base": _Side(base), "raw": _Side(raw)}
        self._recorded = all(side.recorded for side in self._sides.values())

    def is_missed(
        self, lacking: SideName, node: Node, tensor: TensorRecord, *, others_paired: bool
    ) -> bool:
        """Whether `node`, a layer of the side `lacking`, should have the other side's `tensor`.

        `others_paired` says that the layers have gradients in common.
        """
        if tensor.stats.l2 in (0, None) and not (tensor.stats.nan or tensor.stats.inf):
            return False  # no gradient is one of zeros
        if any(note.phase == "backward" for note in node.unrecorded):
            return False
        side, other = self._sides[lacking], self._sides["raw" if lacking == "base" else "base"]
        if not self._recorded:
            return not others_paired and side.any and other.any and side.reached == other.reached
        if side.ran is False:
            return True
        awaits = node.awaits or {}
        if tensor.place not in awaits and others_paired:
            return False  # a layer of other inputs
        if awaits.get(tensor.place, any(awaits.values())):
            return True
        if all(ours >= theirs for ours, theirs in zip(side.asked, other.asked, strict=False)):
            return True
        # the tensor is the model's own input where it has the same gradient
        return id(node) not in side.before_any and tensor.chunks not in other.input_gradients

    def notes(self) -> Iterator[str]:
        """Which side ran no backward pass while the other did."""
        for name, side in self._sides.items():
            if side.ran is False and any(other.any for other in self._sides.values()):
                yield (
                    f"{name} ran no backward pass before {side.location} was dumped: compare the "
                    "forward phase alone, or run it and dump again"
                )


class _Side:
    """One side's report, as far as gradients go."""

    def __init__(self, section: Section) -> None:
        tree = section.tree
        self.location = section.location
        self.ran = section.header.backward
        self.any = _has_gradient(tree.walk())
        self.reached = _has_gradient(tree.roots)
        self.recorded = self.ran is not None and all(n.awaits is not None for n in tree.walk())
        # of how many of its inputs each call of the model asked for a gradient
        self.asked = [sum((root.awaits or {}).values()) for root in tree.roots]
        self.input_gradients = {
            t.chunks for root in tree.roots for t in root.tensors if t.phase == "backward"
        }
        self.before_any: set[int] = set()
        for root in tree.roots:
            self._find_first(root)

    def _find_first(self, node: Node) -> bool:
        """Note the layers that are called before any tensor inside the model asks for a gradient.

        Returns whether that goes on after this call.
        """
        if node.route and any((node.awaits or {}).values()):
            return False
        self.before_any.add(id(node))
        return all(self._find_first(child) for child in node.children) and not node.asks


def _has_gradient(nodes: Iterable[Node]) -> bool:
    return any(tensor.phase == "backward" for node in nodes for tensor in node.tensors)
