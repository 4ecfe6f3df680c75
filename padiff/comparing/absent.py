"""Which tensors without a partner should have had one: that they have none is a divergence."""

from collections.abc import Sequence, Set

from padiff.comparing.comparison import SideName
from padiff.comparing.gradients import ExpectedGradients
from padiff.store.format import SectionName
from padiff.tree import GRADIENTS, Node, Phase, TensorRecord, is_zero

__all__ = ["Absent", "silent_calls"]


class Absent:
    """What one section of two dumps tells of tensors that only one side has."""

    def __init__(self, section: SectionName, gradients: ExpectedGradients) -> None:
        self._is_report = section == "report"
        self._gradients = gradients
        # parameters that have a partner, by the array of the first place that holds each
        self._compared: dict[SideName, set[str]] = {"base": set(), "raw": set()}

    def have_each_other(self, base: TensorRecord, raw: TensorRecord) -> None:
        """These two are compared, and so is each parameter where it is held a second time."""
        self._compared["base"].add(_first_array(base))
        self._compared["raw"].add(_first_array(raw))

    def is_missed(
        self,
        lacking: SideName,
        layers: tuple[Node, Node],
        tensor: TensorRecord,
        paired: Set[Phase | None],
    ) -> bool:
        """Whether it is a divergence that the side `lacking` has no such tensor in its layer.

        `paired` are the phases of which the layers have tensors in common. Of a model whose outputs
        cannot be paired at all nothing is known to agree in the end.
        """
        if not self._is_report and layers[0].type == "in map":
            return False  # one side may keep in sublayers what the other has as its own
        if not self._is_report:
            return self._is_parameter_missed("raw" if lacking == "base" else "base", tensor)
        if tensor.phase in GRADIENTS:
            others_paired = tensor.phase in paired
            return self._gradients.is_missed(lacking, layers, tensor, others_paired=others_paired)
        return tensor.phase not in paired and _is_output(layers[lacking == "raw"], tensor)

    def is_missed_of_lone(self, side: SideName, node: Node, tensor: TensorRecord) -> bool:
        """The same for a layer of `side` that has no partner.

        Of the gradients in a report nothing is known: the layer itself is what is missing.
        """
        if self._is_report:
            return _is_output(node, tensor)
        return self._is_parameter_missed(side, tensor)

    def _is_parameter_missed(self, side: SideName, tensor: TensorRecord) -> bool:
        """Whether the other side lacks a parameter of `side`, or its gradient.

        It may hold the parameter at fewer places, and have no gradient where this has one of zeros.
        Which buffers a layer keeps is its framework's choice.
        """
        if tensor.buffer or _is_no_gradient(tensor):
            return False
        return _first_array(tensor) not in self._compared[side]


def silent_calls(calls: Sequence[tuple[Node, Node]]) -> list[tuple[Node, Node]]:
    """The calls of the model without any output on either side, of which some should be there.

    It could not be stored; or no call of the model has one.
    """
    silent = [
        pair for pair in calls if not any(t.phase == "forward" for n in pair for t in n.tensors)
    ]
    if len(silent) == len(calls):
        return silent
    return [
        pair for pair in silent if any(v.phase == "forward" for n in pair for v in n.unrecorded)
    ]


def _first_array(tensor: TensorRecord) -> str:
    """The array of a parameter at the first place that holds it."""
    return tensor.tied or tensor.array


def _is_no_gradient(tensor: TensorRecord) -> bool:
    """Whether it is a gradient of zeros: what clearing gradients leaves is a framework's choice."""
    return tensor.phase == "backward" and is_zero(tensor)


def _is_output(node: Node, tensor: TensorRecord) -> bool:
    """Whether the tensor is what the model itself returned."""
    return not node.route and tensor.phase == "forward"
