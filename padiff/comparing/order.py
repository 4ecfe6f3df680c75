"""Event order: where in the run of base something stands, so that causes come before effects."""

from padiff.store.format import SectionName
from padiff.tree import GRADIENTS, LayerTree, Node, Phase, TensorRecord

__all__ = ["Positions", "cause_of"]

_INPUTS = 0
# Sections and whether of gradients, causes first. The inputs of the model come before them all, a
# loss comes after what it is computed from; `weights` are what the optimizer made of the gradients.
_CAUSES: dict[tuple[SectionName, bool], int] = {
    ("params", False): 1,
    ("report", False): 2,
    ("report", True): 5,
    ("params", True): 6,
    ("grads", False): 7,
    ("grads", True): 7,
    ("weights", False): 8,
    ("weights", True): 8,
}
_UPDATED_BUFFERS = 3  # by a forward pass in training mode, in whichever section they are
_LOSS = 4

_LAST = 2**62  # a position after every layer of base: for what only raw has


class Positions:
    """Where in the order of events a tensor of base stands; of calls, a parent after its children.

    Parameters stand in the order in which the model defines them.
    """

    def __init__(self, tree: LayerTree, *, of_calls: bool) -> None:
        self._of_calls = of_calls
        self._place = {id(node): place for place, node in enumerate(tree.walk())}
        self._depth: dict[int, int] = {}
        self._end: dict[tuple[int, Phase | None], int] = {}
        for root in tree.roots if of_calls else ():
            self._visit(root, 0)
        self._gradients_after = self._latest_gradients(tree) if of_calls else {}

    def _visit(self, node: Node, depth: int) -> None:
        for child in node.children:
            self._visit(child, depth + 1)
        self._depth[id(node)] = depth
        phases: tuple[Phase, Phase] = ("forward", "backward")
        for phase in phases:
            own = [tensor.order for tensor in node.tensors if tensor.phase == phase]
            below = [self._end[id(child), phase] for child in node.children]
            self._end[id(node), phase] = max([*own, *below], default=-1)

    def _latest_gradients(self, tree: LayerTree) -> dict[int, int]:
        """The event by which all layers that ran after a node have had their gradients."""
        latest, found = -1, {}
        for node in reversed(list(tree.walk())):
            found[id(node)] = latest
            latest = max(latest, self._end[id(node), "backward"])
        return found

    def of(
        self, node: Node | None, tensor: TensorRecord | None, phase: Phase | None
    ) -> tuple[int, ...]:
        """What sorts a tensor of base, or all that a layer has of a phase, among the others."""
        if node is None:
            return (_LAST, 0, 0)
        if not self._of_calls:
            return (self._place[id(node)], 0, 0)
        depth = self._depth[id(node)]
        if phase in ("input", "grad_output", "loss") and tensor is not None:
            return (tensor.order, 0, depth)  # a parent is given something before its children run
        if phase == "loss":
            return (_LAST, 0, 0)
        if phase in GRADIENTS and not any(own.phase == phase for own in node.tensors):
            # raw's alone: it comes after those of all that ran later
            return (self._gradients_after[id(node)], 2, -node.order)
        if phase in ("input", "grad_output"):  # raw's alone, beside others
            return (max(own.order for own in node.tensors if own.phase == phase), 1, depth)
        return (self._end[id(node), phase], 1, -depth)


def cause_of(section: SectionName, phase: Phase | None, *, of_model: bool, updated: bool) -> int:
    """What a record may be caused by comes before it: a number that sorts a step's records.

    `of_model` says that it is of the model's first call, `updated` that it is of a buffer that the
    forward pass has changed.
    """
    if updated:
        return _UPDATED_BUFFERS
    if phase == "loss":
        return _LOSS
    if phase == "input" and of_model:
        return _INPUTS
    return _CAUSES[section, phase in GRADIENTS]
