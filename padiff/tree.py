"""The layer tree: what ran, in which order, and where each tensor of it lies; JSON both ways."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, to_builtins
from msgspec.structs import force_setattr, replace

from padiff.errors import FormatError
from padiff.jsonio import LONGEST, MOST_AXES, NAMED_NUMBERS, Json

__all__ = [
    "GRADIENTS",
    "Frame",
    "LayerTree",
    "Node",
    "NodeType",
    "Phase",
    "TensorRecord",
    "TensorStats",
    "Unrecorded",
    "is_zero",
    "outlined",
]

Phase = Literal["input", "forward", "loss", "grad_output", "backward"]
NodeType = Literal["net", "in map", "api"]

GRADIENTS: tuple[Phase, ...] = ("grad_output", "backward")

MAX_DEPTH = 256  # of nested layers; what goes deeper is no model, and would exhaust the stack

# What a tree that comes from a file is held to.
Count = Annotated[int, Meta(ge=0)]
# NumPy can take no more axes, nor longer ones.
Shape = Annotated[tuple[Annotated[int, Meta(ge=0, le=LONGEST)], ...], Meta(max_length=MOST_AXES)]
if TYPE_CHECKING:
    Number = float
else:  # which JSON may have to name
    Number = float | Literal[tuple(NAMED_NUMBERS)]


class TensorStats(Struct, frozen=True, gc=False):
    """Figures over the finite elements of one tensor, in float64; None where there are none.

    Complex tensors are described by their absolute values.
    """

    min: Number | None
    max: Number | None
    mean: Number | None
    mean_abs: Number | None
    l2: Number | None
    nan: Count
    inf: Count

    def __post_init__(self) -> None:
        for name in ("min", "max", "mean", "mean_abs", "l2"):
            value = getattr(self, name)
            if type(value) is str:
                force_setattr(self, name, NAMED_NUMBERS[value])


class TensorRecord(Struct, frozen=True, gc=False):
    """One stored tensor.

    `array` is the path of the array inside the section. `phase` is `input` for what the layer was
    given, `forward` for what it returned, `grad_output` for the gradient of that, `backward` for
    the gradient of what it was given, and `loss` for where a backward pass began; None for a
    parameter's value and `backward` for its gradient. `place` says where in the layer's output (or
    input) the tensor stood, `0` for a lone one, `logits` or `1.hidden` in structures; for a
    parameter it is the parameter's name. `order` is the event's number in the run. `stats` is None
    of what another tool wrote, and of what is stored nowhere. `dims` names the axes of a parameter
    whose layout is known, so that two frameworks that store it transposed can be told. `chunks`
    holds one digest per chunk, in C order of the chunk grid; `metadata` the digest of the array's
    own metadata. `tied` is the `array` of the first place at which the model holds the same
    parameter, None for that place itself. `buffer` marks what the layer keeps beside its
    parameters, such as the running statistics of a batch norm: no optimizer changes it.
    """

    array: str
    phase: Phase | None
    place: str
    shape: Shape
    dtype: str
    device: str
    order: Count
    stats: TensorStats | None
    chunks: tuple[str, ...]
    metadata: str
    dims: tuple[str, ...] | None = None
    tied: str | None = None
    buffer: bool = False


def is_zero(record: TensorRecord) -> bool:
    """Whether a tensor is known to have no element but zeros."""
    stats = record.stats
    return stats is not None and not (stats.min or stats.max or stats.nan or stats.inf)


def outlined(phase: Phase | None, place: str, shape: tuple[int, ...]) -> TensorRecord:
    """A tensor that is stored nowhere, for matching: it looks at phase, place and shape alone."""
    return TensorRecord("", phase, place, shape, "", "", 0, None, (), "")


class Frame(Struct, frozen=True, gc=False):
    """One line of the user's code on the way to a layer's call."""

    file: str
    line: Count
    function: str
    code: str


class Unrecorded(Struct, frozen=True, gc=False):
    """A value that a layer took, gave or owns and padiff could not store, and why.

    `phase` is None for a parameter's value, as in `TensorRecord`.
    """

    phase: Phase | None
    place: str
    reason: str


class Node(Struct, frozen=True, gc=False):
    """One call of one layer (in params, weights and grads: the layer itself, call 0).

    `name` is the class, `route` the dotted name without the model's own, `""` for the model.
    `order` is the number of the event with which the call began. `awaits` tells of each input
    tensor, by place, whether it asked for a gradient. `origins` gives for those that did the
    places of the model's own inputs that asked for it: none where anything else did as well, such
    as a parameter; a tensor of which this is not known is left out. `training` says whether the
    layer was in training mode when the call began (in the other sections, when it was dumped). Each
    of the three is None where it was not recorded.
    """

    name: str
    route: str
    call: Count
    order: Count
    type: NodeType = "net"
    repr: str = ""
    stack: tuple[Frame, ...] = ()
    children: tuple["Node", ...] = ()
    tensors: tuple[TensorRecord, ...] = ()
    unrecorded: tuple[Unrecorded, ...] = ()
    awaits: Mapping[str, bool] | None = None
    origins: Mapping[str, tuple[str, ...]] | None = None
    training: bool | None = None

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, parents first, in execution order."""
        left = [self]
        while left:
            node = left.pop()
            yield node
            left += reversed(node.children)


@dataclass(frozen=True, slots=True)
class LayerTree:
    """All calls of the model in one recording, in order; usually one."""

    roots: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """All nodes, parents first, in execution order."""
        for root in self.roots:
            yield from root.walk()

    def to_json(self) -> list[Json]:
        """The tree as JSON values."""
        return [to_builtins(root) for root in self.roots]

    def only(self, phase: Phase | None) -> "LayerTree":
        """The same layers with the tensors of one phase alone."""
        return LayerTree(tuple(_only(root, phase) for root in self.roots))

    @classmethod
    def checked(cls, roots: tuple[Node, ...], where: str) -> "LayerTree":
        """The tree of nodes that come from a file; FormatError when it is deeper than any model."""
        level = list(roots)
        for _ in range(MAX_DEPTH + 1):
            level = [child for node in level for child in node.children]
        if level:
            raise FormatError(f"expected at most {MAX_DEPTH} nested layers in {where}, found more")
        return cls(roots)


def _only(node: Node, phase: Phase | None) -> Node:
    return replace(
        node,
        children=tuple(_only(child, phase) for child in node.children),
        tensors=tuple(tensor for tensor in node.tensors if tensor.phase == phase),
        unrecorded=tuple(value for value in node.unrecorded if value.phase == phase),
    )
