"""The list of networks, and what a step of training takes beside them: inputs, loss, optimizer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import paddle
import torch
from numpy.typing import NDArray

from tests.networks import paddle_images, paddle_sequences, torch_images, torch_sequences
from tests.zoo import SIDES

__all__ = ["NETWORKS", "Network", "OptimizerKind", "optimizer"]

Array = NDArray[Any]
OptimizerKind = Literal["sgd", "adam"]

_SEEDS = {"torch": 1, "paddle": 2}


@dataclass(frozen=True)
class Network:
    """One network in two frameworks, each with its own random weights.

    `make_targets` gives what the loss holds the outputs against: classes (integers) by cross
    entropy, or values by the square of the error. `renamed` are the routes, or starts of routes,
    that paddle's side has another name for.
    """

    name: str
    classes: Mapping[str, type]
    make_inputs: Callable[[np.random.Generator], dict[str, Array]]
    make_targets: Callable[[np.random.Generator], dict[str, Array]]
    renamed: Mapping[str, str] = field(default_factory=dict)

    def build(self, framework: str) -> Any:
        """The model in training mode, with weights of its framework's own."""
        SIDES[framework].seed(_SEEDS[framework])
        model = self.classes[framework]()
        _shake(framework, model)
        return model

    def inputs(self, framework: str, seed: int = 0) -> dict[str, Any]:
        """Keyword inputs of equal values on both sides; the floating ones ask for a gradient."""
        made = self.make_inputs(np.random.default_rng(seed))
        return {name: SIDES[framework].tensor(values) for name, values in made.items()}

    def loss(self, framework: str, **options: Any) -> Callable[[Any], Any]:
        """A function of what the model returns; `options` are for the framework's own functions."""
        targets = self.make_targets(np.random.default_rng(99))
        held = {name: _tensor(framework, values) for name, values in targets.items()}

        def loss(result: Any) -> Any:
            outputs = result if isinstance(result, dict) else {"": result}
            return sum(
                _error(framework, outputs[name], target, options) for name, target in held.items()
            )

        return loss

    def route(self, route: str, framework: str) -> str:
        """What the framework calls the layer that has this route in torch."""
        if framework == "torch":
            return route
        for name, other in self.renamed.items():
            if route == name or route.startswith(f"{name}."):
                return other + route.removeprefix(name)
        return route


def _tensor(framework: str, values: Array) -> Any:
    return torch.from_numpy(values) if framework == "torch" else paddle.to_tensor(values)


def _error(framework: str, output: Any, target: Any, options: dict[str, Any]) -> Any:
    functions: Any = torch.nn.functional if framework == "torch" else paddle.nn.functional
    if target.dtype in (torch.int64, paddle.int64):
        flat = output.reshape([-1, output.shape[-1]])
        return functions.cross_entropy(flat, target.reshape([-1]), **options)
    return functions.mse_loss(output, target, **options)


def _shake(framework: str, model: Any) -> None:
    """Biases and scales that are not all zeros or ones, so that none passes for another."""
    random, side = np.random.default_rng(_SEEDS[framework]), SIDES[framework]
    for parameter in side.named_parameters(model).values():
        if len(parameter.shape) == 1:
            noise = 0.1 * random.standard_normal(list(parameter.shape)).astype(np.float32)
            values = _tensor(framework, side.numpy(parameter) + noise)
            if framework == "torch":
                parameter.data.copy_(values)
            else:
                parameter.set_value(values)


def optimizer(framework: str, kind: OptimizerKind, model: Any, **options: Any) -> Any:
    """The same rule on both sides: SGD with a rate of 0.01, or Adam with 0.0002.

    Adam has an `eps` of 1e-5: with the usual 1e-8 it makes whole steps of what is rounding noise in
    a gradient. `options` are changes to the rule, by torch's names.
    """
    if kind == "adam":
        options = {"eps": 1e-5, **options}
    rate = options.pop("lr", {"sgd": 0.01, "adam": 2e-4}[kind])
    if framework == "torch":
        made: Any = torch.optim.SGD if kind == "sgd" else torch.optim.Adam
        return made(model.parameters(), lr=rate, **options)
    if "betas" in options:
        options["beta1"], options["beta2"] = options.pop("betas")
    if "eps" in options:
        options["epsilon"] = options.pop("eps")
    made = paddle.optimizer.Momentum if "momentum" in options else paddle.optimizer.SGD
    made = made if kind == "sgd" else paddle.optimizer.Adam
    return made(learning_rate=rate, parameters=model.parameters(), **options)


def _floats(name: str, *shape: int) -> Callable[[np.random.Generator], dict[str, Array]]:
    return lambda random: {name: random.standard_normal(shape).astype(np.float32)}


def _classes(below: int, *shape: int) -> Callable[[np.random.Generator], dict[str, Array]]:
    return lambda random: {"": random.integers(0, below, shape)}


def _words(below: int, *shape: int) -> Callable[[np.random.Generator], dict[str, Array]]:
    return lambda random: {"ids": random.integers(0, below, shape)}


def _kept(random: np.random.Generator) -> dict[str, Array]:
    """Sequences of three lengths, and which of their places count."""
    keep = np.arange(6) < np.array([6, 4, 5])[:, None]
    return {**_floats("x", 3, 6, 8)(random), "keep": keep}


def _masks(random: np.random.Generator) -> dict[str, Array]:
    return {**_floats("fine", 2, 1, 16, 16)(random), **_floats("coarse", 2, 1, 4, 4)(random)}


def _pair(random: np.random.Generator) -> dict[str, Array]:
    return {**_floats("source", 3, 7, 6)(random), "target": random.integers(0, 9, (3, 5))}


def _both(module: str, name: str) -> dict[str, type]:
    modules = {
        "images": (torch_images, paddle_images),
        "sequences": (torch_sequences, paddle_sequences),
    }[module]
    return dict(zip(SIDES, (getattr(held, name) for held in modules), strict=True))


_ALL = (
    Network("mlp", _both("images", "Mlp"), _floats("x", 6, 16), _classes(5, 6), {"fc": "dense"}),
    Network("cnn", _both("images", "ResNet"), _floats("image", 4, 3, 12, 12), _classes(5, 4)),
    Network("unet", _both("images", "UNet"), _floats("image", 2, 2, 16, 16), _masks),
    Network(
        "vision",
        _both("images", "Vision"),
        _floats("image", 3, 3, 16, 16),
        _classes(5, 3),
        {"patches": "patches.proj"},
    ),
    Network("decoder", _both("sequences", "Decoder"), _words(11, 3, 10), _classes(11, 3, 10)),
    Network("encoder", _both("sequences", "Encoder"), _kept, _classes(5, 3)),
    Network("lstm", _both("sequences", "Classifier"), _words(13, 4, 7), _classes(3, 4)),
    Network("experts", _both("sequences", "Mixture"), _floats("x", 4, 6, 8), _classes(5, 4)),
    Network(
        "translator",
        _both("sequences", "Translator"),
        _pair,
        _classes(9, 3, 5),
        {"encoder": "reader", "decoder": "writer", "query": "looking", "out": "vocabulary"},
    ),
)
NETWORKS: dict[str, Network] = {network.name: network for network in _ALL}
