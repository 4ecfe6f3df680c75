"""The port: the network of `torch_side.py` line by line in paddle, with or without its fault."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from demo.digits import Batch
from padiff import create_model

__all__ = ["DigitNet", "Residual", "train"]


class Residual(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Two convolutions, and the way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(width, width, 3, padding=1, bias_attr=False)
        self.norm1 = nn.BatchNorm2D(width)
        self.act1 = nn.Silu()
        self.conv2 = nn.Conv2D(width, width, 3, padding=1, bias_attr=False)
        self.norm2 = nn.BatchNorm2D(width)
        self.act2 = nn.Silu()

    def forward(self, x: Any) -> Any:
        inner = self.conv2(self.act1(self.norm1(self.conv1(x))))
        return self.act2(x + self.norm2(inner))


class DigitNet(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Stem, residual block, pooling and classifier: (n, 1, 8, 8) to (n, 10).

    torch counts the zeros around an image when it averages, paddle does not unless told
    (`exclusive=False`). `faulty` leaves that word out, as a port is apt to.
    """

    def __init__(self, width: int = 16, *, faulty: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2D(1, width, 3, padding=1, bias_attr=False), nn.BatchNorm2D(width), nn.Silu()
        )
        self.block = Residual(width)
        self.pool = nn.AvgPool2D(3, stride=2, padding=1, exclusive=faulty)
        self.norm = nn.LayerNorm(16 * width)
        self.hidden = nn.Linear(16 * width, 64)
        self.act = nn.GELU()
        self.head = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.block(self.stem(x)))
        return self.head(self.act(self.hidden(self.norm(x.flatten(1)))))


def load(net: DigitNet, weights: dict[str, NDArray[np.float32]]) -> None:
    """Give `net` its own copy of `weights`, which are in torch's layouts."""
    transposed = {
        f"{route}.weight"
        for route, layer in net.named_sublayers()
        if isinstance(layer, nn.Linear)  # (in, out) here, (out, in) in torch
    }
    for name, parameter in net.named_parameters():
        if parameter.trainable:  # paddle lists the running statistics of BatchNorm here as well
            parameter.set_value(weights[name].T if name in transposed else weights[name])


def train(
    net: DigitNet,
    weights: dict[str, NDArray[np.float32]],
    batches: Iterable[Batch],
    location: str | Path,
) -> list[float]:
    """Train one step a batch, dump every step into the store at `location`, return the losses."""
    load(net, weights)
    model = create_model(net)
    optimizer = paddle.optimizer.Momentum(0.05, momentum=0.9, parameters=net.parameters())
    loss_function = nn.CrossEntropyLoss()
    losses = []
    for images, digits in batches:
        # a gradient of the images themselves, so that the first layer has one to show as well
        output = model(paddle.to_tensor(images, stop_gradient=False))
        loss = loss_function(output, paddle.to_tensor(digits))
        model.backward(loss)
        model.try_dump(dir_path=location)
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    return losses
