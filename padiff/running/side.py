"""One of the two models on its way through `auto_diff`: run, recorded and dumped step by step."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from padiff.dump_root import get_dump_root_path
from padiff.errors import UsageError
from padiff.frameworks import framework_of_tensor
from padiff.frameworks.base import Framework, Layer, Tensor
from padiff.frameworks.interception import Args, Kwargs
from padiff.proxy import ProxyModel
from padiff.recording.boundary import Aliases, Boundary
from padiff.recording.recording import Recording
from padiff.recording.selection import Selection
from padiff.recording.structure import find_in_arguments, find_in_result
from padiff.running.state import keep_state
from padiff.store.format import SectionName, safe_name
from padiff.store.reader import Dump, open_dump
from padiff.store.writer import claim_store

__all__ = ["Side", "SideName"]

SideName = Literal["base", "raw"]


@dataclass(slots=True)
class Side:
    """A model with all that is its own, and where its dumps go.

    Its recording is its own, too: what the proxy has recorded stays as it is. `inputs` says whether
    what each layer is given is recorded.
    """

    label: SideName
    proxy: ProxyModel
    args: Args
    kwargs: Kwargs
    loss_fn: Callable[[Any], Tensor] | None
    optimizer: Any
    inputs: bool
    recording: Recording = field(init=False)
    # layers that were seen to write to what they are given
    writers: frozenset[str] = field(init=False, default=frozenset())
    _home: Path | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        name = safe_name(self.name)
        self.recording = Recording(
            self.name, self.framework, self.selection, lambda: _root() / name
        )
        self._check_optimizer()

    @property
    def name(self) -> str:
        return self.proxy.name

    @property
    def model(self) -> Layer:
        return self.proxy.model

    @property
    def framework(self) -> Framework:
        return self.proxy._framework

    @property
    def selection(self) -> Selection:
        return self.proxy._selection

    @property
    def home(self) -> Path:
        """Where its dumps go: a directory that is no other run's, made when first asked for."""
        if self._home is None:
            name, run = f"{self.label}_{self.name}", uuid.uuid4().hex
            self._home = claim_store(_root(), name, framework=self.framework.name, run=run)
        return self._home

    def dumped(self, step: int) -> Dump:
        """What this process has dumped of a step."""
        rank = self.framework.rank()
        location = self.home / f"step_{step}"
        return open_dump(location if rank is None else location / f"rank_{rank}")

    def dump(self, section: SectionName, step: int) -> None:
        """Write a section of a step."""
        with self._doing(f"writing {section}"):
            if section == "report":
                self.recording.dump_report(self.home, step=step)
            else:
                self.recording.dump_parameters(section, self.home, step=step)

    def parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Route and name, and value, of each parameter of the model."""
        for route, layer in self.framework.named_layers(self.model):
            for name, parameter in self.framework.parameters(layer):
                yield f"{route}.{name}".lstrip("."), parameter

    def check_inputs(self) -> None:
        """TypeError when a tensor of another framework is among them."""
        own = self.framework
        for place, value in find_in_arguments(self.args, self.kwargs, _is_any_tensor).tensors:
            found = framework_of_tensor(value)
            if found not in (None, own):
                raise TypeError(
                    f"expected the inputs of {self.label} to be tensors of {own.name}, got one of "
                    f"{found.name} at {place}: inputs is the pair (of base, of raw)"
                )

    def keep_state(self) -> Callable[[], None]:
        """Note all that a forward may change; returns what puts it back."""
        found = find_in_arguments(self.args, self.kwargs, self.framework.is_tensor).tensors
        tensors = [tensor for _, tensor in found if self.framework.is_tensor(tensor)]
        return keep_state(self.framework, self.model, tensors)

    def forward(self, boundary: Boundary | None = None) -> Any:
        """Call the model, and return what it does."""
        with self._doing("the forward"):
            return self.recording.call(
                self.args, self.kwargs, inputs=self.inputs, boundary=boundary
            )

    def forward_by_use(self, *, of_outputs: bool) -> tuple[Any, Boundary]:
        """Call the model so that what a tensor passes back is told apart by the layers it goes to.

        What it returned, and what stood between the layers; with `of_outputs` between each and what
        follows, too. A layer that writes to what it is given shows itself only when it runs: then
        all is put back, and done again without a boundary there.
        """
        while True:
            restore = self.keep_state()
            boundary = Aliases(self.framework, self.writers, of_outputs=of_outputs)
            output = self.forward(boundary)
            if not boundary.writers.found:
                return output, boundary
            self.writers |= boundary.writers.found
            self.recording.clear()
            restore()

    def loss(self, output: Any) -> Tensor:
        """The loss of an output, by the loss function; else the mean of the outputs' means."""
        with self._doing("the loss function"):
            if self.loss_fn is None:
                return self._mean(output)
            loss = self.loss_fn(output)
            if not self.framework.is_tensor(loss):
                raise TypeError(
                    f"expected the loss function of {self.label} to return a "
                    f"{self.framework.name} tensor, got {type(loss).__name__}"
                )
            shape = list(loss.shape)
            if any(length != 1 for length in shape):
                raise UsageError(
                    f"expected the loss function of {self.label} to return a scalar, got a tensor "
                    f"of shape {shape}: take its mean or sum"
                )
            return loss

    def _mean(self, output: Any) -> Tensor:
        found = find_in_result(output, self.framework.is_tensor).tensors
        tensors = [tensor for _, tensor in found if self.framework.is_tensor(tensor)]
        mean = self.framework.mean(tensors)
        if mean is None:
            raise UsageError(
                f"expected {self.label} to return a floating tensor to compute a loss from, got "
                f"{type(output).__name__} with none: give loss_fns"
            )
        return mean

    def backward(self, loss: Tensor, boundary: Boundary | None = None) -> None:
        """Run the backward passes."""
        with self._doing("the backward"):
            # of an output that has no partner the loss's own pass goes on through the layers
            cut = boundary is not None and boundary.cuts_graph
            self.recording.backward(loss, retain_graph=cut)
            if boundary is not None and cut:
                self.recording.replay_backward(boundary)

    def update(self) -> None:
        """Have the optimizer apply the gradients and clear them."""
        with self._doing("the optimizer"):
            if self.framework.is_optimizer(self.optimizer):
                self.framework.step(self.optimizer)
            else:
                self.optimizer()

    def _check_optimizer(self) -> None:
        """TypeError or UsageError when it is none, or is not one of this model."""
        if self.optimizer is None:
            return
        expected = f"expected the optimizer of {self.label} to be one of {self.framework.name}"
        if not self.framework.is_optimizer(self.optimizer):
            if callable(self.optimizer):
                return
            raise TypeError(
                f"{expected} or a function that steps and clears gradients, got "
                f"{type(self.optimizer).__module__}.{type(self.optimizer).__qualname__}"
            )
        own = {id(parameter) for _, parameter in self.parameters()}
        if not any(id(p) in own for p in self.framework.optimized(self.optimizer)):
            raise UsageError(
                f"{expected} over parameters of {self.name}, got one over none of them: "
                "optimizers is the pair (of base, of raw)"
            )

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """An error that is raised inside says which side and what it was at."""
        try:
            yield
        except BaseException as error:
            error.add_note(
                f"padiff: raised in {what} of {self.label} ({self.name}, {self.framework.name})"
            )
            raise


def _is_any_tensor(value: object) -> bool:
    return framework_of_tensor(value) is not None


def _root() -> Path:
    return Path(get_dump_root_path()).absolute() / "auto_diff"
