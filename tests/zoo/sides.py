"""What the tests need of a framework, independent of how padiff itself sees one."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import paddle
import torch
from numpy.typing import NDArray

__all__ = ["SIDES", "Side"]


class Side(ABC):
    """One framework, for tests."""

    name: str

    @abstractmethod
    def tensor(self, values: NDArray[Any]) -> Any:
        """A tensor of the values, which a gradient reaches if it is floating."""

    @abstractmethod
    def numpy(self, tensor: Any) -> NDArray[Any]:
        """A copy of the tensor's elements, in its own dtype."""

    @abstractmethod
    def grad(self, tensor: Any) -> NDArray[Any] | None:
        """What a backward pass has left in the tensor."""

    @abstractmethod
    def named_layers(self, model: Any) -> dict[str, Any]:
        """Layers by route."""

    @abstractmethod
    def named_parameters(self, model: Any) -> dict[str, Any]:
        """Parameters by full name."""

    @abstractmethod
    def seed(self, number: int) -> None:
        """Start the framework's random numbers anew."""

    @abstractmethod
    def next_random(self) -> list[float]:
        """The framework's next random numbers, which tell its state."""

    @abstractmethod
    def is_tensor(self, value: object) -> bool: ...

    @abstractmethod
    def total(self, tensor: Any) -> Any:
        """The mean of squares of the tensor, in float32; None when no gradient goes through it."""

    @abstractmethod
    def traces(self, model: Any) -> list[str]:
        """Everything on the model that is not on a model just made: hooks, attributes."""

    def loss(self, result: Any) -> Any:
        """A scalar that depends on every differentiable tensor of a result."""
        totals = [self.total(tensor) for tensor in self.tensors(result)]
        return sum(total for total in totals if total is not None)

    def tensors(self, result: Any) -> Iterator[Any]:
        """Every tensor in a result, in the order of its structure."""
        if self.is_tensor(result):
            yield result
        elif isinstance(result, Mapping):
            for value in result.values():
                yield from self.tensors(value)
        elif isinstance(result, tuple | list):
            for value in result:
                yield from self.tensors(value)
        elif dataclasses.is_dataclass(result):
            for field in dataclasses.fields(result):
                yield from self.tensors(getattr(result, field.name))


class _Torch(Side):
    name = "torch"

    def tensor(self, values: NDArray[Any]) -> Any:
        tensor = torch.from_numpy(values.copy())
        return tensor.requires_grad_(tensor.is_floating_point())

    def numpy(self, tensor: Any) -> NDArray[Any]:
        tensor = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.contiguous().view(torch.int16)
            return np.array(tensor.numpy().view(np.dtype(ml_dtypes.bfloat16)))
        return np.array(tensor.numpy(), order="C")

    def grad(self, tensor: Any) -> NDArray[Any] | None:
        return None if tensor.grad is None else self.numpy(tensor.grad)

    def named_layers(self, model: Any) -> dict[str, Any]:
        return dict(model.named_modules())

    def named_parameters(self, model: Any) -> dict[str, Any]:
        return dict(model.named_parameters())

    def seed(self, number: int) -> None:
        torch.manual_seed(number)

    def next_random(self) -> list[float]:
        numbers: list[float] = torch.rand(8).tolist()
        return numbers

    def is_tensor(self, value: object) -> bool:
        return isinstance(value, torch.Tensor)

    def total(self, tensor: Any) -> Any:
        return (tensor.float() ** 2).mean() if tensor.requires_grad else None

    def traces(self, model: Any) -> list[str]:
        found = []
        for route, layer in model.named_modules():
            hooks = [name for name, value in vars(layer).items() if "hooks" in name and value]
            names = vars(layer).keys() & {"_compiled_call_impl", "forward", "__call__"}
            found += [f"{route}: {name}" for name in [*hooks, *sorted(names)]]
        return found


class _Paddle(Side):
    name = "paddle"

    def tensor(self, values: NDArray[Any]) -> Any:
        tensor = paddle.to_tensor(values)
        tensor.stop_gradient = not tensor.is_floating_point()
        return tensor

    def numpy(self, tensor: Any) -> NDArray[Any]:
        values: NDArray[Any] = tensor.numpy()
        if tensor.dtype == paddle.bfloat16:
            values = values.view(np.dtype(ml_dtypes.bfloat16))
        if tensor.is_selected_rows():  # the rows that were looked up, some of them twice
            rows = tensor.get_selected_rows()
            whole = np.zeros((rows.height(), *values.shape[1:]), values.dtype)
            np.add.at(whole, rows.rows(), values)
            return whole
        return np.array(values, order="C")

    def grad(self, tensor: Any) -> NDArray[Any] | None:
        return None if tensor.grad is None else self.numpy(tensor.grad)

    def named_layers(self, model: Any) -> dict[str, Any]:
        return dict(model.named_sublayers(include_self=True))

    def named_parameters(self, model: Any) -> dict[str, Any]:
        named = model.named_parameters()
        # among them paddle has the running statistics of BatchNorm, which are none
        return {n: p for n, p in named if not n.endswith(("._mean", "._variance"))}

    def seed(self, number: int) -> None:
        paddle.seed(number)

    def next_random(self) -> list[float]:
        numbers: list[float] = paddle.rand([8]).tolist()
        return numbers

    def is_tensor(self, value: object) -> bool:
        return isinstance(value, paddle.Tensor)

    def total(self, tensor: Any) -> Any:
        return None if tensor.stop_gradient else (tensor.astype("float32") ** 2).mean()

    def traces(self, model: Any) -> list[str]:
        found = []
        for route, layer in model.named_sublayers(include_self=True):
            hooks = [name for name, value in vars(layer).items() if "hooks" in name and value]
            names = vars(layer).keys() & {"_dygraph_call_func", "forward", "__call__"}
            found += [f"{route}: {name}" for name in [*hooks, *sorted(names)]]
        return found


SIDES: dict[str, Side] = {side.name: side for side in (_Torch(), _Paddle())}
