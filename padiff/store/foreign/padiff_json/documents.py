"""The JSON files of the old PaDiff, as it wrote them from 2023 to 2025."""

from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from padiff.errors import FormatError
from padiff.jsonio import decode
from padiff.store.raw import OpenFile
from padiff.tree import NodeType

__all__ = ["Call", "Layer", "LayerMap", "Parameters", "Report", "Tensor", "read_document"]

_LONGEST = 2**28  # bytes: 100,000 calls with their stacks
T = TypeVar("T")


class Tensor(Struct, frozen=True):
    """A tensor of a report; `shape` is as its framework prints one, like `torch.Size([5, 6])`."""

    path: str
    shape: str = ""


class Call(Struct, frozen=True):
    """One call of one layer, or of a function, whose route is empty.

    A tensor is its path alone in what was written before 2025. `bwd_grads` are the gradients of
    those inputs that asked for one; torch's are left out by most versions.
    """

    name: str
    route: str
    type: NodeType = "net"
    fwd_outputs: tuple[str | Tensor, ...] = ()
    bwd_grads: tuple[str | Tensor, ...] = ()
    children: tuple["Call", ...] = ()
    stack: str = ""


class LayerMap(Struct, frozen=True):
    """Which layers the user mapped to those of the other model, in turn."""

    route: tuple[str, ...] = ()


class Report(Struct, frozen=True):
    """`tree` has one call of the model after the other; the oldest versions had but one."""

    model_name: str
    framework: str
    tree: tuple[Call, ...] | Call
    layer_map: LayerMap | tuple[Any, ...] = ()
    first_input_dir: str = "first_input"
    first_input_count: int = 0

    @property
    def calls(self) -> tuple[Call, ...]:
        return (self.tree,) if isinstance(self.tree, Call) else self.tree


class Layer(Struct, frozen=True):
    """A layer and the files of its own parameters; a gradient is null where there was none."""

    name: str
    route: str
    repr: str = ""
    weights: dict[str, str] = {}
    grads: dict[str, str | None] = {}
    children: tuple["Layer", ...] = ()


class Parameters(Struct, frozen=True):
    """What is in `params.json`, `weights.json` and `grads.json`."""

    model_name: str
    framework: str
    tree: Layer


def read_document(path: Path, kind: type[T]) -> T:
    """What a JSON file holds; FormatError, or CorruptError, where it is not a `kind`."""
    file = OpenFile(path)
    if file.size > _LONGEST:
        raise FormatError(
            f"expected at most {_LONGEST} bytes in {path}, found {file.size}: dump fewer calls"
        )
    return decode(bytes(file.part(0, file.size)), kind, str(path), "what the old PaDiff writes")
