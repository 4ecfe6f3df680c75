"""The reference: a small residual network for digits in torch, and the loop that trains it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from demo.digits import Batch
from padiff import create_model

__all__ = ["DigitNet", "Residual", "initial_weights", "train"]


class Residual(nn.Module):
    """Two convolutions, and the way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.act1 = nn.SiLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.act2 = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.conv2(self.act1(self.norm1(self.conv1(x))))
        output: torch.Tensor = self.act2(x + self.norm2(inner))
        return output


class DigitNet(nn.Module):
    """Stem, residual block, pooling and classifier: (n, 1, 8, 8) to (n, 10)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU()
        )
        self.block = Residual(width)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.norm = nn.LayerNorm(16 * width)
        self.hidden = nn.Linear(16 * width, 64)
        self.act = nn.GELU()
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.block(self.stem(x)))
        logits: torch.Tensor = self.head(self.act(self.hidden(self.norm(x.flatten(1)))))
        return logits


def initial_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """The parameters that both sides start from, by torch's names and in torch's layouts."""
    torch.manual_seed(seed)
    return {name: value.detach().numpy() for name, value in DigitNet().named_parameters()}


def load(net: DigitNet, weights: dict[str, NDArray[np.float32]]) -> None:
    """Give `net` its own copy of `weights`."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))


def train(
    net: DigitNet,
    weights: dict[str, NDArray[np.float32]],
    batches: Iterable[Batch],
    location: str | Path,
) -> list[float]:
    """Train one step a batch, dump every step into the store at `location`, return the losses."""
    load(net, weights)
    model = create_model(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    loss_function = nn.CrossEntropyLoss()
    losses = []
    for images, digits in batches:
        # a gradient of the images themselves, so that the first layer has one to show as well
        output = model(torch.from_numpy(images).requires_grad_())
        loss = loss_function(output, torch.from_numpy(digits))
        model.backward(loss)
        model.try_dump(dir_path=location)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses
