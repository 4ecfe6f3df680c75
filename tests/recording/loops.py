"""Loops as others write them, who know nothing of padiff; the same in both frameworks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import paddle
import torch
from numpy.typing import NDArray

from tests.zoo import SIDES

__all__ = ["FRAMEWORKS", "Trace", "batch", "made", "optimizer_of", "run", "train"]

FRAMEWORKS: dict[str, Any] = {"torch": torch, "paddle": paddle}


@dataclass
class Trace:
    """Every bit that comes of a training, and what the optimizer found at each step."""

    losses: list[float] = field(default_factory=list)
    weights: list[NDArray[Any]] = field(default_factory=list)  # of the first layer
    gradients: list[NDArray[Any]] = field(default_factory=list)
    end: list[bytes] = field(default_factory=list)


def made(framework: str) -> Any:
    """A network with random numbers and buffers in it."""
    SIDES[framework].seed(5)
    nn = FRAMEWORKS[framework].nn
    norm = nn.BatchNorm1d(6) if framework == "torch" else nn.BatchNorm1D(6)
    return nn.Sequential(nn.Linear(4, 6), norm, nn.LeakyReLU(0.0), nn.Dropout(0.5), nn.Linear(6, 2))


def optimizer_of(framework: str, *models: Any, kind: str = "Adam", **options: Any) -> Any:
    """An optimizer of the framework's own over all parameters of the models."""
    parameters = [parameter for model in models for parameter in model.parameters()]
    make = getattr(FRAMEWORKS[framework].optim if framework == "torch" else paddle.optimizer, kind)
    if framework == "torch":
        return make(parameters, lr=0.01, **options)
    return make(learning_rate=0.01, parameters=parameters, **options)


def batch(framework: str, seed: int) -> Any:
    """An input of `made`."""
    values = np.random.default_rng(seed).standard_normal((3, 4)).astype(np.float32)
    return torch.from_numpy(values) if framework == "torch" else paddle.to_tensor(values)


def train(
    framework: str,
    model: Any,
    *,
    steps: int = 5,
    evaluates: bool = True,
    fault_at: int | None = None,
) -> Trace:
    """Two parts of a batch for each step, and an evaluation after it.

    From the step `fault_at` on the activation, which is layer 2, lets a little more through.
    """
    side, no_grad, trace = SIDES[framework], FRAMEWORKS[framework].no_grad, Trace()
    optimizer = optimizer_of(framework, model)
    for step in range(steps):
        model.train()
        if step == fault_at:
            slope = "negative_slope" if framework == "torch" else "_negative_slope"
            setattr(model[2], slope, 0.2)
        for part in range(2):
            loss = model(batch(framework, 10 * step + part)).square().mean() / 2
            loss.backward()
            trace.losses.append(loss.item())
        trace.weights.append(side.numpy(model[0].weight))
        gradient = side.grad(model[0].weight)
        assert gradient is not None
        trace.gradients.append(gradient)
        optimizer.step()
        optimizer.zero_grad()
        if not evaluates:
            continue
        model.eval()
        with no_grad():
            trace.losses.append(model(batch(framework, 10 * step + 9)).mean().item())
    trace.end = [side.numpy(value).tobytes() for value in model.state_dict().values()]
    trace.end.append(repr(side.next_random()).encode())
    return trace


def run(framework: str, model: Any, optimizers: Sequence[Any] = (), *, steps: int = 1) -> None:
    """The smallest loop: a call and a backward pass for each step, and what optimizes it."""
    for step in range(steps):
        model(batch(framework, step)).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
