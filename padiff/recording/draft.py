"""The layer tree while it grows: layers that were seen, and the tensors captured for each."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from padiff.recording.source import Line
from padiff.recording.spool import Kept
from padiff.tree import Node, Phase, Unrecorded, outlined

__all__ = ["Captured", "Draft", "settled_orders"]


@dataclass(slots=True)
class Captured:
    """One tensor of a layer, and who keeps its elements. `order` is the number of its event.

    `leaf` is what its array is called; the others are those of `padiff.tree.TensorRecord`.
    """

    phase: Phase | None
    place: str
    kept: Kept
    device: str
    order: int
    leaf: str
    dims: tuple[str, ...] | None = None
    tied: str | None = None
    buffer: bool = False


@dataclass(slots=True)
class Draft:
    """One call of one layer, or the layer itself where its parameters are dumped.

    `call` is settled once the model's whole call has succeeded. `awaits`, `origins` and `training`
    are those of `padiff.tree.Node`.
    """

    name: str
    route: str
    repr: str
    order: int
    lines: list[Line] = field(default_factory=list)
    call: int = 0
    children: list["Draft"] = field(default_factory=list)
    tensors: list[Captured] = field(default_factory=list)
    unrecorded: list[Unrecorded] = field(default_factory=list)
    awaits: dict[str, bool] = field(default_factory=dict)
    origins: dict[str, frozenset[str]] = field(default_factory=dict)
    training: bool | None = None

    def copy(self) -> "Draft":
        """The call and all below it as they are now, whatever is still captured for them."""
        return replace(
            self,
            children=[child.copy() for child in self.children],
            tensors=[replace(captured) for captured in self.tensors],
            unrecorded=list(self.unrecorded),
            awaits=dict(self.awaits),
            origins=dict(self.origins),
        )

    def walk(self) -> Iterable["Draft"]:
        """This call and all below it, in the order in which they began."""
        yield self
        for child in self.children:
            yield from child.walk()

    def outline(self) -> Node:
        """The call and all below it as matching sees them."""
        return Node(
            name=self.name,
            route=self.route,
            call=self.call,
            order=self.order,
            children=tuple(child.outline() for child in self.children),
            tensors=tuple(
                outlined(captured.phase, captured.place, captured.kept.shape)
                for captured in self.tensors
            ),
            awaits=self.awaits,
        )

    def refuse(self, phase: Phase | None, place: str, reason: str) -> None:
        """Note that the value at a place is not stored, once."""
        note = Unrecorded(phase, place, reason)
        if note not in self.unrecorded:
            self.unrecorded.append(note)


def settled_orders(roots: Iterable[Draft]) -> dict[int, int]:
    """The event number of each captured tensor, by its `id`: parents' gradients after children's.

    A gradient arrives when the last use of a tensor has passed one back: at a layer and at the
    first layer inside it in the same moment, and at a layer's late inputs before much of its inside
    has run. Told as the layer's event it is complete only after all that lies inside. The numbers
    themselves stay; the gradients among them change places.
    """
    found: list[_Ranked] = []
    orders: dict[int, int] = {}
    for root in roots:
        _rank_gradients(root, 0, found)
        for draft in root.walk():
            orders.update((id(captured), captured.order) for captured in draft.tensors)
    numbers = sorted(captured.order for _, captured in found)
    ranked = sorted(found, key=lambda entry: entry[0])
    for number, (_, captured) in zip(numbers, ranked, strict=True):
        orders[id(captured)] = number
    return orders


_Ranked = tuple[tuple[int, int, int], Captured]


def _rank_gradients(draft: Draft, depth: int, found: list[_Ranked]) -> int:
    """Add the gradients of a call and of all below it to those that were `found`.

    Returns the number at which everything inside it and itself is over.
    """
    inside = max((_rank_gradients(child, depth + 1, found) for child in draft.children), default=-1)
    last = inside
    for captured in draft.tensors:
        if captured.phase == "backward":
            found.append(((max(inside, captured.order), -depth, captured.order), captured))
            last = max(last, captured.order)
    return last
