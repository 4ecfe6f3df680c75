"""What recording and assigning weights ask of a framework, and no more."""

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.frameworks.interception import Around, Observer, observed
from padiff.frameworks.stepping import BeforeStep

__all__ = [
    "Fact",
    "Framework",
    "HostTensor",
    "Layer",
    "Origin",
    "Tensor",
    "check_dense",
    "copy_of",
    "known",
]

# A framework's own objects: the code above this line of the table handles them without looking in.
Layer = Any
Tensor = Any

Fact = str | int | float | bool
_LONGEST = 100  # characters of one, as the format has it

_MAX_DENSE_BYTES = 2**30  # a sparse tensor that would grow beyond this is not stored


@dataclass(frozen=True, slots=True)
class HostTensor:
    """A tensor's elements in host memory, of any strides, and the device they came from.

    `live` says that `values` is the tensor's own memory, and changes when the tensor does.
    """

    values: NDArray[Any]
    device: str
    live: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """What a tensor that asks for a gradient came from: an output of a node of its graph.

    `number` is the node's identity for as long as `node` is held; `output` is 0 always where the
    framework does not tell. A leaf comes from itself.
    """

    node: Any
    number: int
    output: int


def copy_of(values: NDArray[Any]) -> NDArray[Any]:
    """The values in memory of their own, as the array may be a file, and of a type of NumPy's."""
    if values.dtype.isbuiltin == 2:  # a type of ml_dtypes, which no framework takes
        values = values.astype(np.float32)
    return np.array(values, order="C")


def check_dense(shape: Sequence[int], element_size: int) -> None:
    """TypeError for a sparse tensor that is not to be stored as all of its elements."""
    if prod(shape) * element_size > _MAX_DENSE_BYTES:
        raise TypeError(f"expected a tensor of at most 1 GiB, got a sparse {list(shape)}")


def known(facts: Mapping[str, Callable[[], Fact | None]]) -> dict[str, Fact]:
    """Each fact that can be told, after those of Python, the machine and NumPy.

    What another build or version of a framework does not tell is left out.
    """
    found: dict[str, Fact] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "numpy": np.__version__,
    }
    for name, ask in facts.items():
        with suppress(Exception):  # whatever it is, no recording fails for it
            fact = ask()
            if fact is not None:
                found[name] = fact[:_LONGEST] if isinstance(fact, str) else fact
    return found


class Framework(ABC):
    """One deep learning framework, seen through what padiff needs of it.

    `directory` is where its own code lies, so that frames of user code can be told from its.
    """

    name: str
    version: str
    directory: str

    @abstractmethod
    def environment(self) -> dict[str, Fact]:
        """What the framework tells of the machine and of its settings, as they are now."""

    @abstractmethod
    def is_layer(self, value: object) -> bool:
        """Whether `value` is a model or layer of this framework."""

    @abstractmethod
    def is_tensor(self, value: object) -> bool:
        """Whether `value` is a tensor or parameter of this framework."""

    @abstractmethod
    def named_layers(self, model: Layer) -> Iterator[tuple[str, Layer]]:
        """Route and layer in definition order, the model first; a shared layer's first route."""

    @abstractmethod
    def sublayers(self, layer: Layer) -> Iterator[tuple[str, Layer]]:
        """Name and layer of those right inside `layer`, one at two places twice."""

    @abstractmethod
    def framework_classes(self, layer: Layer) -> tuple[str, ...]:
        """The framework's own classes that `layer` is of, nearest first, as its users call them."""

    @abstractmethod
    def is_opaque(self, layer: Layer) -> bool:
        """Whether what lies inside `layer` runs compiled or replicated: calls none can see."""

    def is_training(self, layer: Layer) -> bool:
        """Whether the layer computes as in training: its own flag, not that of layers inside it."""
        return bool(layer.training)

    @abstractmethod
    def parameters(self, layer: Layer) -> Iterator[tuple[str, Tensor]]:
        """Name and value of the layer's own parameters, those of its sublayers left out."""

    @abstractmethod
    def buffers(self, layer: Layer) -> Iterator[tuple[str, Tensor]]:
        """Name and value of the layer's own persistent buffers: state that no optimizer changes."""

    @abstractmethod
    def registries(self, layer: Layer) -> tuple[dict[str, Any], ...]:
        """The layer's own dictionaries of parameters, buffers and sublayers, to be looked into."""

    @abstractmethod
    def repeats_parameters(self, layer: Layer) -> bool:
        """Whether the layer lists as its own what layers inside it list too: one is enough."""

    @abstractmethod
    def parameter_dims(self, layer: Layer, name: str) -> tuple[str, ...] | None:
        """Names for the axes of a parameter that the frameworks lay out differently, else None."""

    def gradient(self, parameter: Tensor) -> Tensor | None:
        """What backward passes have left in the parameter's gradient."""
        return parameter.grad

    @abstractmethod
    def to_host(self, tensor: Tensor) -> HostTensor:
        """The elements as NumPy sees them; TypeError, or the framework's own, when it cannot."""

    @abstractmethod
    def from_host(self, values: NDArray[Any], like: Tensor) -> Tensor:
        """A new tensor of these elements, of the dtype and on the device of another."""

    @abstractmethod
    def writes(self, tensor: Tensor) -> int:
        """How often the tensor was written to in place; its aliases count along with it."""

    @abstractmethod
    def keep_random(self) -> Callable[[], None]:
        """Note the state of the random numbers; returns what puts it back."""

    @abstractmethod
    def alias(self, tensor: Tensor) -> Tensor:
        """The same memory under a tensor of its own, which passes its gradient on to the first."""

    @abstractmethod
    def stand_in(self, values: NDArray[Any], like: Tensor, *, asks: bool) -> Tensor:
        """Like `from_host`, and may be written to in place; a gradient it asks for ends here."""

    @abstractmethod
    def assign(self, tensor: Tensor, values: NDArray[Any]) -> None:
        """Set the elements in place, unseen by autograd; shape and type are those of `to_host`."""

    @abstractmethod
    def keep(self, tensor: Tensor) -> Callable[[], None]:
        """Copy the elements; returns what puts them back, and the tensor back into its memory."""

    @abstractmethod
    def overwrite(self, tensor: Tensor, source: Tensor) -> Callable[[], None] | None:
        """Give a tensor another's elements, unseen by autograd; returns what puts its own back.

        None when it has them already.
        """

    @abstractmethod
    def wants_gradient(self, tensor: Tensor) -> bool:
        """Whether a backward pass may bring this tensor a gradient."""

    @abstractmethod
    def is_leaf(self, tensor: Tensor) -> bool:
        """Whether a tensor that asks for a gradient was computed from no other that does."""

    @abstractmethod
    def origin(self, tensor: Tensor) -> Origin:
        """Where in its graph a tensor that asks for a gradient stands at present."""

    @abstractmethod
    def origins(self, node: Any) -> list[Origin]:
        """What the node of an `Origin` was computed from; nothing where a graph begins."""

    @abstractmethod
    def on_gradient(self, tensor: Tensor, call: Callable[[Tensor], None]) -> Callable[[], None]:
        """Have `call` see the whole gradient of the tensor's present value; returns the remover."""

    @abstractmethod
    def surround(self, layer: Layer, around: Around) -> Callable[[], None]:
        """Have `around` make each call of the layer, as its caller sees it; returns the remover."""

    def observe(self, layer: Layer, observer: Observer) -> Callable[[], None]:
        """Have `observer` see each call of the layer as its caller does; returns the remover."""
        return self.surround(layer, observed(observer))

    @abstractmethod
    def is_traced(self) -> bool:
        """Whether a compiler looks at what is called now, and nothing is computed."""

    @abstractmethod
    def keeps_graph(self) -> bool:
        """Whether what is computed now may have a backward pass: not under `no_grad`."""

    def backward(self, loss: Tensor, *, retain_graph: bool) -> None:
        """Run the backward pass from `loss`."""
        loss.backward(retain_graph=retain_graph)

    @abstractmethod
    def backward_from(self, ends: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Run one backward pass from several tensors at once, with a gradient given for each."""

    @abstractmethod
    def clear_gradients(self, model: Layer) -> None:
        """Leave no parameter of the model with a gradient."""

    @abstractmethod
    def mean(self, tensors: Sequence[Tensor]) -> Tensor | None:
        """The mean over the means of those tensors that are floating; None without any."""

    @abstractmethod
    def is_optimizer(self, value: object) -> bool:
        """Whether `value` is an optimizer of this framework."""

    @abstractmethod
    def optimized(self, optimizer: Any) -> Iterator[Tensor]:
        """The parameters that an optimizer changes."""

    @abstractmethod
    def step(self, optimizer: Any) -> None:
        """Have an optimizer apply the gradients, and clear them."""

    @abstractmethod
    def before_steps(self, call: BeforeStep) -> Callable[[], None]:
        """Have `call` told of each optimizer that is about to step; returns the remover.

        An optimizer that steps by another, or by its own class's base, may be told of twice.
        """

    @abstractmethod
    def backward_pass(self) -> int:
        """A number for the backward pass this thread is inside of, of no meaning but to compare.

        Checkpointing runs a forward again within one: such calls are told by a changed number.
        """

    @abstractmethod
    def rank(self) -> int | None:
        """This process's rank where several train together, else None."""
