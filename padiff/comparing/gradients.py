"""Whether a gradient that one side lacks should have been there."""

from collections.abc import Iterable, Iterator

from padiff.comparing.comparison import SideName
from padiff.matching.tensors import match_inputs, match_tensors
from padiff.store.reader import Section
from padiff.tree import Node, TensorRecord, is_zero

__all__ = ["ExpectedGradients"]


class ExpectedGradients:
    """What two reports tell of gradients that only one of them has.

    A tensor asks for a gradient when something that it is computed from does. Where that is nothing
    but inputs of the model of which the other side asks for no gradient, the other side has none;
    all else was cut off there.
    """

    def __init__(self, base: Section, raw: Section) -> None:
        self._sides: dict[SideName, _Side] = {"base": _Side(base), "raw": _Side(raw)}
        self._recorded = all(side.recorded for side in self._sides.values())
        # the call of the model in which each layer ran
        self._models = {
            id(node): root
            for section in (base, raw)
            for root in section.tree.roots
            for node in root.walk()
        }

    def is_missed(
        self,
        lacking: SideName,
        layers: tuple[Node, Node],
        tensor: TensorRecord,
        *,
        others_paired: bool,
    ) -> bool:
        """Whether the side `lacking` should have the other side's `tensor` of a pair of `layers`.

        `others_paired` says that the layers have gradients in common.
        """
        if is_zero(tensor):
            return False  # no gradient is one of zeros
        node, giver = layers if lacking == "base" else layers[::-1]
        if tensor.phase == "grad_output":
            # each output that both have is used on both sides, unless none of these were recorded
            ours, theirs = ([t for t in n.tensors if t.phase == "forward"] for n in (giver, node))
            common = {output.place for output, _ in match_tensors(ours, theirs).pairs}
            return tensor.place in common and self._sides[lacking].has_of_outputs
        if any(note.phase == "backward" for note in node.unrecorded):
            return False
        if not self._recorded:
            base, raw = self._sides.values()
            return not others_paired and base.any and raw.any and base.reached == raw.reached
        if self._sides[lacking].ran is False:
            return True
        awaits = node.awaits or {}
        place = match_inputs(giver, node).get(tensor.place, tensor.place)
        if place not in awaits and others_paired:
            return False  # a layer of other inputs
        if awaits.get(place, any(awaits.values())):
            return True
        unasked = _unasked(self._models[id(node)], self._models[id(giver)])
        # where it is not known what the tensor hangs on, on whatever would explain it
        origins = (giver.origins or {}).get(tensor.place, unasked)
        return not origins or not unasked.issuperset(origins)

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
        self.has_of_outputs = any(
            tensor.phase == "grad_output" for node in tree.walk() for tensor in node.tensors
        )
        self.recorded = self.ran is not None and all(n.awaits is not None for n in tree.walk())


def _unasked(lacking: Node, giver: Node) -> set[str]:
    """The places of inputs that ask for a gradient in one call of the model, not in the other."""
    partners, asked = match_inputs(giver, lacking), lacking.awaits or {}
    return {
        place
        for place, asks in (giver.awaits or {}).items()
        if asks and not asked.get(partners.get(place, place))
    }


def _has_gradient(nodes: Iterable[Node]) -> bool:
    return any(tensor.phase == "backward" for node in nodes for tensor in node.tensors)
