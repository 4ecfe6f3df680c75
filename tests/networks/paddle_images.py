"""The networks for vectors and images in paddle; `torch_images.py` holds the same, line by line.

Plain attributes that `forward` reads are where a fault can be planted from outside.
"""

from itertools import pairwise
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional as F

from tests.networks.between import same

__all__ = ["Mlp", "ResNet", "UNet", "Vision"]


class Mlp(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Twelve linear layers, so deep that what goes wrong early is far from the output."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16, *[24] * 11, 5]
        initial = nn.initializer.KaimingNormal()
        self.dense = nn.LayerList(
            nn.Linear(*pair, weight_attr=initial) for pair in pairwise(widths)
        )
        makers: list[Any] = [nn.GELU, lambda: nn.LeakyReLU(0.1), nn.Silu, nn.GELU]
        self.act = nn.LayerList(makers[place % 4]() for place in range(11))
        self.drop = nn.Dropout(0.0)
        self.between = same

    def forward(self, x: Any) -> Any:
        for place in range(11):
            x = self.act[place](self.dense[place](x))
            if place == 5:
                x = self.between(self.drop(x))
        return self.dense[11](x)


class Bottleneck(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Two convolutions, and a way around them."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(width, out, 3, stride=stride, padding=1, bias_attr=False)
        self.norm1 = nn.BatchNorm2D(out)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2D(out, out, 3, padding=1, bias_attr=False)
        self.norm2 = nn.BatchNorm2D(out)
        self.down = nn.Conv2D(width, out, 1, stride=stride, bias_attr=False)
        self.act2 = nn.Silu()
        self.residual_scale = 1.0
        self.on_shortcut = same

    def forward(self, x: Any) -> Any:
        inner = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        return self.act2(inner + self.residual_scale * self.down(self.on_shortcut(x)))


class ResNet(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 8, 3, padding=1, bias_attr=False)
        self.norm = nn.BatchNorm2D(8)
        self.act = nn.Silu()
        self.pool = nn.MaxPool2D(3, stride=2, padding=1)
        self.block1 = Bottleneck(8, 8, 1)
        self.block2 = Bottleneck(8, 16, 2)
        self.fc = nn.Linear(16, 5)
        self.total = False
        self.between = same

    def forward(self, image: Any) -> Any:
        x = self.pool(self.act(self.norm(self.conv(image))))
        x = self.block2(self.between(self.block1(x)))
        return self.fc(x.sum(axis=[2, 3]) if self.total else x.mean(axis=[2, 3]))


class ConvBlock(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(width, out, 3, padding=1, bias_attr=False)
        self.norm = nn.GroupNorm(2, out)
        self.act = nn.Silu()

    def forward(self, x: Any) -> Any:
        return self.act(self.norm(self.conv(x)))


class UNet(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Down, up again by a transposed convolution and by interpolation, with skips across."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = ConvBlock(2, 8)
        self.pool1 = nn.AvgPool2D(2)
        self.inner = ConvBlock(8, 12)
        self.pool2 = nn.MaxPool2D(2)
        self.bottom = ConvBlock(12, 16)
        self.up = nn.Conv2DTranspose(16, 12, 2, stride=2)
        self.merge1 = ConvBlock(24, 12)
        self.merge2 = ConvBlock(20, 8)
        self.fine = nn.Conv2D(8, 1, 1)
        self.coarse = nn.Conv2D(16, 1, 1)
        self.align_corners = False
        self.skip_scale = 1.0
        self.on_skip = same
        self.between = same

    def forward(self, image: Any) -> dict[str, Any]:
        first = self.enter(image)
        second = self.inner(self.pool1(first))
        bottom = self.bottom(self.pool2(second))
        x = self.merge1(
            paddle.concat([self.on_skip(second), self.up(self.between(bottom))], axis=1)
        )
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=self.align_corners)
        x = self.merge2(paddle.concat([first * self.skip_scale, x], axis=1))
        return {"fine": self.fine(x), "coarse": self.coarse(bottom)}


class PackedAttention(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Queries, keys and values out of one linear layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias_attr=False)
        self.out = nn.Linear(width, width)
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.places = (0, 1, 2)
        self.on_weights = same

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        parts = self.qkv(x).reshape([batch, length, 3, self.heads, width // self.heads])
        q, k, v = (parts[:, :, place].transpose([0, 2, 1, 3]) for place in self.places)
        weights = F.softmax(paddle.matmul(q, k, transpose_y=True) * self.scale, axis=-1)
        mixed = self.on_weights(weights) @ v
        return self.out(mixed.transpose([0, 2, 1, 3]).reshape([batch, length, width]))


class VisionBlock(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = PackedAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(2 * width, width)
        self.residual_scale = 1.0

    def forward(self, x: Any) -> Any:
        x = self.residual_scale * x + self.attn(self.norm1(x))
        return x + self.down(self.act(self.up(self.norm2(x))))


class Patches(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """What torch's side does without a layer of its own: patches as a sequence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2D(3, width, 4, stride=4)

    def forward(self, image: Any) -> Any:
        return self.proj(image).flatten(2).transpose([0, 2, 1])


class Vision(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """A vision transformer; the paddle side wraps the convolution that cuts the patches."""

    def __init__(self) -> None:
        super().__init__()
        normal = nn.initializer.Normal()
        self.patches = Patches(16)
        self.token = self.create_parameter([1, 1, 16], default_initializer=normal)
        self.positions = self.create_parameter([1, 17, 16], default_initializer=normal)
        self.blocks = nn.LayerList(VisionBlock(16, 2) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)
        self.positions_offset = 0
        self.averaged = False
        self.between = same

    def forward(self, image: Any) -> Any:
        x = self.patches(image)
        x = paddle.concat([self.token.expand([x.shape[0], 1, 16]), x], axis=1)
        x = x + paddle.roll(self.positions, self.positions_offset, 1)
        for block in self.blocks:
            x = self.between(block(x))
        x = self.norm(x)
        return self.head(x.mean(axis=1) if self.averaged else x[:, 0])
