"""torch, as padiff sees it: the one file that imports it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch.optim.optimizer import register_optimizer_step_pre_hook

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
from padiff.frameworks.interception import Args, Around, Interception, Kwargs, intercept
from padiff.frameworks.stepping import BeforeStep, tell

__all__ = ["FRAMEWORK"]

# Where Module.__call__ looks first for what to run, and Module.compile() puts what it made.
_CALL = "_compiled_call_impl"

# What makes the replicas of DataParallel.
_COPYING = ("_replicate_for_data_parallel",)

# Where the classes live that torch offers as layers.
_LAYERS = "torch.nn."

# NumPy has no such types: the elements are taken as integers of their size and named afterwards.
_VIEWED = {
    torch.bfloat16: (torch.int16, dtype_named("bfloat16")),
    torch.float8_e4m3fn: (torch.uint8, dtype_named("float8_e4m3fn")),
    torch.float8_e4m3fnuz: (torch.uint8, dtype_named("float8_e4m3fnuz")),
    torch.float8_e5m2: (torch.uint8, dtype_named("float8_e5m2")),
    torch.float8_e5m2fnuz: (torch.uint8, dtype_named("float8_e5m2fnuz")),
}


class _Torch(Framework):
    name = "torch"
    version = str(torch.__version__)
    directory = str(Path(torch.__file__).parent)

    def environment(self) -> dict[str, Fact]:
        cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
        return known(
            {
                "torch": lambda: self.version,
                "CUDA": lambda: torch.version.cuda,
                "cuDNN": lambda: cudnn.version(),  # type: ignore[no-untyped-call]
                "device": _device,
                "threads": torch.get_num_threads,
                "default dtype": lambda: str(torch.get_default_dtype()).removeprefix("torch."),
                "deterministic algorithms": torch.are_deterministic_algorithms_enabled,
                "cuDNN deterministic": lambda: bool(cudnn.deterministic),
                "cuDNN benchmark": lambda: bool(cudnn.benchmark),
                "TF32 in matmul": lambda: _may_use_tf32(cuda.matmul),
                "TF32 in cuDNN": lambda: _may_use_tf32(getattr(cudnn, "conv", cudnn)),
                "float32 matmul precision": torch.get_float32_matmul_precision,
            }
        )

    def is_layer(self, value: object) -> bool:
        return isinstance(value, torch.nn.Module)

    def is_tensor(self, value: object) -> bool:
        return isinstance(value, torch.Tensor)

    def named_layers(self, model: Layer) -> Iterator[tuple[str, Layer]]:
        return cast(Iterator[tuple[str, Layer]], model.named_modules())

    def sublayers(self, layer: Layer) -> Iterator[tuple[str, Layer]]:
        return ((name, inner) for name, inner in layer._modules.items() if inner is not None)

    def framework_classes(self, layer: Layer) -> tuple[str, ...]:
        classes = (c for c in type(layer).__mro__ if c is not torch.nn.Module)
        return tuple(c.__name__ for c in classes if c.__module__.startswith(_LAYERS))

    def is_opaque(self, layer: Layer) -> bool:
        held = vars(layer)
        compiled = held.get(_CALL)
        while isinstance(compiled, Interception):
            compiled = compiled.previous
        return (
            compiled is not None
            or hasattr(held.get("forward"), "_torchdynamo_orig_callable")
            or "_orig_mod" in layer._modules  # what torch.compile(model) returns
            or isinstance(layer, torch.jit.ScriptModule)
            # it copies the layers' attributes, our wrapper among them, into replicas of them
            or (isinstance(layer, torch.nn.DataParallel) and len(layer.device_ids) > 1)
        )

    def parameters(self, layer: Layer) -> Iterator[tuple[str, Tensor]]:
        return cast(
            Iterator[tuple[str, Tensor]],
            layer.named_parameters(recurse=False, remove_duplicate=False),
        )

    def buffers(self, layer: Layer) -> Iterator[tuple[str, Tensor]]:
        return (
            (name, value)
            for name, value in layer._buffers.items()
            if value is not None and name not in layer._non_persistent_buffers_set
        )

    def registries(self, layer: Layer) -> tuple[dict[str, Any], ...]:
        return layer._parameters, layer._buffers, layer._modules

    def parameter_dims(self, layer: Layer, name: str) -> tuple[str, ...] | None:
        if isinstance(layer, torch.nn.Linear) and name == "weight" and layer.weight.ndim == 2:
            return ("out_features", "in_features")
        return None

    def repeats_parameters(self, layer: Layer) -> bool:
        return False

    def to_host(self, tensor: Tensor) -> HostTensor:
        if type(tensor) in (torch.Tensor, torch.nn.Parameter):
            return _to_host(tensor)
        with torch._C.DisableTorchFunctionSubclass():  # a subclass may run the user's code
            return _to_host(tensor)

    def from_host(self, values: NDArray[Any], like: Tensor) -> Tensor:
        return torch.from_numpy(copy_of(values)).to(like.device, like.dtype)

    def writes(self, tensor: Tensor) -> int:
        return cast(int, tensor._version) if not tensor.is_inference() else 0

    def keep_random(self) -> Callable[[], None]:
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        devices = range(torch.cuda.device_count()) if used else range(0)
        state, states = torch.get_rng_state(), [torch.cuda.get_rng_state(d) for d in devices]

        def restore() -> None:
            torch.set_rng_state(state)
            for device, of_device in zip(devices, states, strict=True):
                torch.cuda.set_rng_state(of_device, device)

        return restore

    def alias(self, tensor: Tensor) -> Tensor:
        alias: Tensor = _Alias.apply(tensor)  # type: ignore[no-untyped-call]
        return alias

    def stand_in(self, values: NDArray[Any], like: Tensor, *, asks: bool) -> Tensor:
        tensor = self.from_host(values, like)
        # what is written to in place must be no leaf
        able = tensor.is_floating_point() or tensor.is_complex()
        return tensor.requires_grad_().clone() if asks and able else tensor

    def assign(self, tensor: Tensor, values: NDArray[Any]) -> None:
        if tensor.dtype in _VIEWED:
            integers, _ = _VIEWED[tensor.dtype]
            values = values.view(str(integers).removeprefix("torch."))
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values).view(tensor.dtype))

    def keep(self, tensor: Tensor) -> Callable[[], None]:
        memory = tensor.detach()
        elements, flag = memory.clone(), tensor.requires_grad

        def restore() -> None:
            tensor.data = memory
            with torch.no_grad():
                tensor.copy_(elements)
            if tensor.is_leaf and tensor.requires_grad != flag:
                tensor.requires_grad = flag

        return restore

    def overwrite(self, tensor: Tensor, source: Tensor) -> Callable[[], None] | None:
        if torch.equal(tensor, source):
            return None
        restore = self.keep(tensor)
        tensor.data.copy_(source.data)
        return restore

    def wants_gradient(self, tensor: Tensor) -> bool:
        if type(tensor) in (torch.Tensor, torch.nn.Parameter):
            return cast(bool, tensor.requires_grad)
        with torch._C.DisableTorchFunctionSubclass():  # a subclass may run the user's code
            return cast(bool, tensor.requires_grad)

    def is_leaf(self, tensor: Tensor) -> bool:
        with torch._C.DisableTorchFunctionSubclass():  # as above
            return cast(bool, tensor.is_leaf)

    def origin(self, tensor: Tensor) -> Origin:
        with torch._C.DisableTorchFunctionSubclass():  # as above
            node = tensor.grad_fn
            return _origin(tensor if node is None else node, tensor.output_nr)

    def origins(self, node: Any) -> list[Origin]:
        if isinstance(node, torch.Tensor):
            return []
        return [
            _origin(before, output) for before, output in node.next_functions if before is not None
        ]

    def on_gradient(self, tensor: Tensor, call: Callable[[Tensor], None]) -> Callable[[], None]:
        def seen(gradient: Tensor) -> None:
            call(gradient)

        with torch._C.DisableTorchFunctionSubclass():  # as above
            return cast(Callable[[], None], tensor.register_hook(seen).remove)

    def surround(self, layer: Layer, around: Around) -> Callable[[], None]:
        return intercept(layer, _CALL, layer._call_impl, around, copying=_COPYING).remove

    def is_traced(self) -> bool:
        tracing = torch.jit.is_tracing()  # type: ignore[no-untyped-call,attr-defined]
        return torch.compiler.is_compiling() or bool(tracing)

    def keeps_graph(self) -> bool:
        return torch.is_grad_enabled()

    def backward_from(self, ends: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        torch.autograd.backward(ends, gradients)

    def clear_gradients(self, model: Layer) -> None:
        model.zero_grad(set_to_none=True)

    def mean(self, tensors: Sequence[Tensor]) -> Tensor | None:
        means = [tensor.float().mean() for tensor in tensors if tensor.is_floating_point()]
        return torch.stack(means).mean() if means else None

    def is_optimizer(self, value: object) -> bool:
        return isinstance(value, torch.optim.Optimizer)

    def optimized(self, optimizer: Any) -> Iterator[Tensor]:
        return (tensor for group in optimizer.param_groups for tensor in group["params"])

    def step(self, optimizer: Any) -> None:
        optimizer.step()
        optimizer.zero_grad()

    def before_steps(self, call: BeforeStep) -> Callable[[], None]:
        def hook(optimizer: Any, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
            args, kwargs = tell(call, optimizer, args[1:], kwargs)
            return (optimizer, *args), kwargs

        return register_optimizer_step_pre_hook(hook).remove

    def backward_pass(self) -> int:
        return torch._C._current_graph_task_id()

    def rank(self) -> int | None:
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return None
        return distributed.get_rank() if distributed.get_world_size() > 1 else None


class _Alias(torch.autograd.Function):
    """No view: in-place code gives a view another node, and the hooks on its gradient are lost."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _may_use_tf32(backend: Any) -> bool:
    """Whether float32 may be rounded to TF32 there, by either of the settings that torch has.

    It refuses to tell of the older one, `allow_tf32`, where the newer one was used.
    """
    precision = getattr(backend, "fp32_precision", None)
    return bool(backend.allow_tf32) if precision is None else bool(precision == "tf32")


def _device() -> str:
    """Where the process computes: on a GPU once that was used, which asking must not do."""
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return f"cuda {torch.cuda.get_device_name()}" if used else "cpu"


def _origin(node: Any, output: int) -> Origin:
    # A leaf has no node of its own, only one that adds up its gradient, made when it is first used.
    if isinstance(node, torch._C._functions.AccumulateGrad):  # type: ignore[attr-defined]
        node = node.variable
    return Origin(node, id(node), output)


def _to_host(tensor: torch.Tensor) -> HostTensor:
    lazy = torch.nn.parameter.is_lazy(tensor)
    tensor = tensor.detach()
    device = str(tensor.device)
    for unreadable, kind in (
        (lazy, "not made before the model has run"),
        (tensor.is_meta, "on the meta device"),
        (tensor.is_quantized, "quantised"),
        (tensor.is_nested, "nested"),
    ):
        if unreadable:
            raise TypeError(f"expected a tensor of plain elements, got one that is {kind}")
    if tensor.layout is not torch.strided:
        check_dense(tensor.shape, tensor.element_size())
        tensor = tensor.to_dense()
    live = tensor.device.type == "cpu"
    # conjugate and negative are bits on the tensor, which NumPy would not see
    tensor = tensor.cpu().resolve_conj().resolve_neg()
    if tensor.dtype not in _VIEWED:
        return HostTensor(tensor.numpy(), device, live)
    integers, element = _VIEWED[tensor.dtype]
    return HostTensor(tensor.view(integers).numpy().view(element.numpy), device, live)


FRAMEWORK: Framework = _Torch()
