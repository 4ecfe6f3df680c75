"""paddle, as padiff sees it: the one file that imports it."""

import ctypes
import functools
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.base.dygraph.base import in_sot_simulation_mode, in_to_static_mode
from paddle.jit.dy2static.program_translator import StaticFunction

from padiff.dtypes import dtype_named
from padiff.frameworks.base import (
    Fact,
    Framework,
    HostTensor,
    Layer,
    Origin,
    Tensor,
    check_dense,
    copy_of,
    known,
)
from padiff.frameworks.interception import Around, intercept
from padiff.frameworks.stepping import BeforeStep, StepHooks

__all__ = ["FRAMEWORK"]

# What Layer.__call__ runs once any hook is there; without one it goes straight to forward.
_CALL = "_dygraph_call_func"

# Where the classes live that paddle offers as layers; the second has those laid out as in torch.
_LAYERS = "paddle.nn."
_COMPATIBLE = "paddle.compat.nn"

# paddle hands these to NumPy as integers of their size.
_VIEWED = {
    paddle.bfloat16: (np.uint16, dtype_named("bfloat16")),
    paddle.float8_e4m3fn: (np.int8, dtype_named("float8_e4m3fn")),
    paddle.float8_e5m2: (np.int8, dtype_named("float8_e5m2")),
}
_NAMES = {np.uint16: "int16", np.int8: "int8"}  # paddle has no view as uint16
_DIFFERENTIABLE = {
    *(paddle.float16, paddle.float32, paddle.float64, paddle.complex64, paddle.complex128),
    *_VIEWED,
}
# paddle keeps their running statistics among the parameters, torch among the buffers.
_BATCH_NORMS = (
    *(paddle.nn.BatchNorm1D, paddle.nn.BatchNorm2D, paddle.nn.BatchNorm3D),
    *(paddle.nn.BatchNorm, paddle.nn.SyncBatchNorm),
)
_RUNNING_STATISTICS = frozenset({"_mean", "_variance"})
_PASSES = itertools.count(1)
_STEPS = StepHooks(paddle.optimizer.Optimizer, ("step", "minimize"))
_CHANGING = threading.Lock()  # as in interception, for the hook beside it


def _built_with(version: str) -> str | None:
    return None if version == "False" else version


def _device() -> str:
    """Where the process computes."""
    device = str(paddle.get_device())
    return f"{device} {paddle.device.cuda.get_device_name()}" if "gpu" in device else device


def _flag(name: str) -> Fact:
    """A flag's value; ValueError where this build has none of that name."""
    value: Fact = paddle.get_flags([name])[name]
    return value


class _Paddle(Framework):
    name = "paddle"
    version = str(paddle.__version__)
    directory = str(Path(paddle.__file__).parent)

    def environment(self) -> dict[str, Fact]:
        core = paddle.base.core
        return known(
            {
                "paddle": lambda: self.version,
                "CUDA": lambda: _built_with(paddle.version.cuda()),
                "cuDNN": lambda: _built_with(paddle.version.cudnn()),
                "device": _device,
                "threads": lambda: _flag("FLAGS_paddle_num_threads"),
                "default dtype": paddle.get_default_dtype,
                "cuDNN deterministic": lambda: _flag("FLAGS_cudnn_deterministic"),
                "cuDNN benchmark": lambda: _flag("FLAGS_cudnn_exhaustive_search"),
                "TF32 in matmul": lambda: bool(core.get_cublas_switch()),
                "TF32 in cuDNN": lambda: bool(core.get_cudnn_switch()),
            }
        )

    def is_layer(self, value: object) -> bool:
        return isinstance(value, paddle.nn.Layer)

    def is_tensor(self, value: object) -> bool:
        return isinstance(value, paddle.Tensor)

    def named_layers(self, model: Layer) -> Iterator[tuple[str, Layer]]:
        return cast(Iterator[tuple[str, Layer]], model.named_sublayers(include_self=True))

    def sublayers(self, layer: Layer) -> Iterator[tuple[str, Layer]]:
        return ((name, inner) for name, inner in layer._sub_layers.items() if inner is not None)

    def framework_classes(self, layer: Layer) -> tuple[str, ...]:
        classes = [c for c in type(layer).__mro__ if c is not paddle.nn.Layer]
        return tuple(
            f"compat.{c.__name__}" if c.__module__.startswith(_COMPATIBLE) else c.__name__
            for c in classes
            if c.__module__.startswith((_LAYERS, _COMPATIBLE))
        )

    def is_opaque(self, layer: Layer) -> bool:
        return isinstance(layer.forward, StaticFunction)

    def parameters(self, layer: Layer) -> Iterator[tuple[str, Tensor]]:
        statistics = _statistics_of(layer)
        return (
            (name, value)
            for name, value in layer._parameters.items()
            if value is not None and name not in statistics
        )

    def buffers(self, layer: Layer) -> Iterator[tuple[str, Tensor]]:
        statistics = _statistics_of(layer)
        own = layer._buffers.items()
        left_out = layer._non_persistable_buffer_names_set
        return (
            (name, value)
            for name, value in (
                *((name, value) for name, value in layer._parameters.items() if name in statistics),
                *((name, value) for name, value in own if name not in left_out),
            )
            if value is not None
        )

    def registries(self, layer: Layer) -> tuple[dict[str, Any], ...]:
        return layer._parameters, layer._buffers, layer._sub_layers

    def parameter_dims(self, layer: Layer, name: str) -> tuple[str, ...] | None:
        if isinstance(layer, paddle.nn.Linear) and name == "weight" and layer.weight.ndim == 2:
            return ("in_features", "out_features")
        return None

    def repeats_parameters(self, layer: Layer) -> bool:
        return isinstance(layer, paddle.nn.layer.rnn.RNNBase)

    def to_host(self, tensor: Tensor) -> HostTensor:
        device = str(tensor.place).removeprefix("Place(").removesuffix(")")
        if tensor.is_dist():
            raise TypeError("expected a tensor of this process, got one spread over several")
        if tensor.is_sparse() or tensor.is_selected_rows():
            check_dense(tensor.shape, tensor.element_size())
            tensor = tensor.to_dense() if tensor.is_sparse() else _of_rows(tensor)
        integers, element = _VIEWED.get(tensor.dtype, (None, None))
        live = tensor.place.is_cpu_place() and tensor.size > 0
        if live:  # the elements as they lie: Tensor.numpy() copies them
            tensor = tensor.detach()
            values = np.from_dlpack(tensor.view(_NAMES[integers]) if integers else tensor)
        else:
            values = tensor.numpy()
        return HostTensor(values if element is None else values.view(element.numpy), device, live)

    def from_host(self, values: NDArray[Any], like: Tensor) -> Tensor:
        tensor = paddle.to_tensor(copy_of(values), place=like.place)
        return tensor.astype(like.dtype)

    def writes(self, tensor: Tensor) -> int:
        return cast(int, tensor.inplace_version)

    def keep_random(self) -> Callable[[], None]:
        states, device = paddle.get_rng_state("cpu"), paddle.get_rng_state()

        def restore() -> None:
            paddle.set_rng_state(states, "cpu")
            paddle.set_rng_state(device)

        return restore

    def alias(self, tensor: Tensor) -> Tensor:
        return tensor.view(tensor.shape) if tensor.size else paddle.assign(tensor)

    def stand_in(self, values: NDArray[Any], like: Tensor, *, asks: bool) -> Tensor:
        tensor = self.from_host(values, like)
        # what is written to in place must be no leaf
        tensor.stop_gradient = not (asks and tensor.dtype in _DIFFERENTIABLE)
        return tensor if tensor.stop_gradient else tensor.clone()

    def assign(self, tensor: Tensor, values: NDArray[Any]) -> None:
        if tensor.dtype in _VIEWED:
            integers, _ = _VIEWED[tensor.dtype]
            values = values.view(integers)
        source = paddle.to_tensor(values, dtype=str(values.dtype), place=tensor.place)
        with paddle.no_grad():
            tensor.copy_(source.view(tensor.dtype), True)

    def keep(self, tensor: Tensor) -> Callable[[], None]:
        if not tensor._is_initialized():  # the random state of a recurrent network before it runs
            return lambda: None
        memory = tensor.detach()
        elements, flag = memory.clone(), tensor.stop_gradient

        def restore() -> None:
            tensor.data = memory
            with paddle.no_grad():
                tensor.copy_(elements, True)
            if tensor.is_leaf and tensor.stop_gradient != flag:
                tensor.stop_gradient = flag

        return restore

    def overwrite(self, tensor: Tensor, source: Tensor) -> Callable[[], None] | None:
        if bool(paddle.equal_all(tensor, source)):
            return None
        restore = self.keep(tensor)
        tensor.detach().copy_(source.detach(), True)
        return restore

    def wants_gradient(self, tensor: Tensor) -> bool:
        return not tensor.stop_gradient and tensor.dtype in _DIFFERENTIABLE

    def is_leaf(self, tensor: Tensor) -> bool:
        return cast(bool, tensor.is_leaf)

    def origin(self, tensor: Tensor) -> Origin:
        return _origin(_node(tensor))

    def origins(self, node: Any) -> list[Origin]:
        return [_origin(before) for before in node.next_functions if before is not None]

    def on_gradient(self, tensor: Tensor, call: Callable[[Tensor], None]) -> Callable[[], None]:
        def seen(gradient: Tensor) -> None:
            call(gradient)

        number = tensor.register_hook(seen)._hook_id
        version = tensor.inplace_version
        held = weakref.ref(tensor)  # a tensor holds its graph, which may end before the hook does

        def remove() -> None:
            tensor = held()
            # Numbers start anew with each value: after an in-place change it is another's hook.
            if tensor is not None and tensor.inplace_version == version:
                tensor._remove_grad_hook(number)

        return remove

    def surround(self, layer: Layer, around: Around) -> Callable[[], None]:
        # One hook for all observers: who comes from within a hook must not change the hooks.
        with _CHANGING:
            method = layer._dygraph_call_func

            # The compiler takes a method that another object holds for one of that object.
            def run(*args: Any, **kwargs: Any) -> Any:
                return method(*args, **kwargs)

            interception = intercept(
                layer, _CALL, run, around, hooks=_OUR_HOOKS, simulated=in_sot_simulation_mode
            )
            if not any(hook is _nothing for hook in layer._forward_pre_hooks.values()):
                layer.register_forward_pre_hook(_nothing)

        def remove() -> None:
            with _CHANGING:
                interception.remove()
                if _CALL in vars(layer):
                    return
                for number, hook in list(layer._forward_pre_hooks.items()):
                    if hook is _nothing:
                        del layer._forward_pre_hooks[number]

        return remove

    def is_traced(self) -> bool:
        return in_to_static_mode() or not paddle.in_dynamic_mode()

    def keeps_graph(self) -> bool:
        return cast(bool, paddle.is_grad_enabled())

    def backward_from(self, ends: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        paddle.autograd.backward(list(ends), list(gradients))

    def clear_gradients(self, model: Layer) -> None:
        for parameter in model.parameters():
            parameter.clear_gradient(set_to_zero=False)

    def mean(self, tensors: Sequence[Tensor]) -> Tensor | None:
        means = [
            tensor.astype("float32").mean() for tensor in tensors if tensor.is_floating_point()
        ]
        return paddle.stack(means).mean() if means else None

    def is_optimizer(self, value: object) -> bool:
        return isinstance(value, paddle.optimizer.Optimizer)

    def optimized(self, optimizer: Any) -> Iterator[Tensor]:
        for held in optimizer._parameter_list or ():
            yield from held["params"] if isinstance(held, dict) else (held,)

    def step(self, optimizer: Any) -> None:
        optimizer.step()
        optimizer.clear_grad()

    def before_steps(self, call: BeforeStep) -> Callable[[], None]:
        return _STEPS.add(call)

    def backward_pass(self) -> int:
        # paddle does not tell: found is the last of its own frames that starts one, or is called by
        # one. The number lies in the frame, whose identity goes to another when it is left.
        frame = sys._getframe()
        while frame := frame.f_back:  # type: ignore[assignment]
            code = frame.f_code
            if code.co_name in ("backward", "grad") and code.co_filename.startswith(self.directory):
                number: int = frame.f_locals.setdefault("padiff_pass", next(_PASSES))
                return number
        return 0

    def rank(self) -> int | None:
        distributed = paddle.distributed
        if not distributed.is_initialized() or distributed.get_world_size() < 2:
            return None
        return cast(int, distributed.get_rank())


def _of_rows(tensor: Tensor) -> Tensor:
    """The whole of a gradient of which only the rows that were looked up are there, some twice."""
    rows = tensor.get_selected_rows()
    held = paddle.to_tensor(tensor.numpy())
    dense = paddle.zeros([rows.height(), *held.shape[1:]], held.dtype)
    return paddle.index_add(dense, paddle.to_tensor(rows.rows(), "int64"), 0, held)


def _statistics_of(layer: Layer) -> frozenset[str]:
    return _RUNNING_STATISTICS if isinstance(layer, _BATCH_NORMS) else frozenset()


def _node(tensor: Tensor) -> Any:
    node = tensor.grad_fn
    if node is not None and _is_kept_when_asked_for():
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(node))  # the reference that paddle forgot
    return node


@functools.cache
def _is_kept_when_asked_for() -> bool:
    """Whether who asks for a node keeps it and its graph in memory for good, as in paddle 3.3."""
    tensor = paddle.ones([1])
    tensor.stop_gradient = False
    node = tensor.grad_fn  # which nobody else holds
    before = sys.getrefcount(node)
    again = tensor.grad_fn
    held = sys.getrefcount(node) - before
    del again
    return held > 1


def _origin(node: Any) -> Origin:
    return Origin(node, node.node_ptr(), 0)  # paddle does not tell which of the node's outputs


def _nothing(layer: Layer, inputs: object) -> None:
    """A hook that is there to be there."""


_OUR_HOOKS = {"_forward_pre_hooks": _nothing}


FRAMEWORK: Framework = _Paddle()
