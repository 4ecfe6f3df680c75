"""The networks for vectors and images in torch; `paddle_images.py` holds the same, line by line.

Plain attributes that `forward` reads are where a fault can be planted from outside.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from tests.networks.between import same

__all__ = ["Mlp", "ResNet", "UNet", "Vision"]


class Mlp(nn.Module):
    """Twelve linear layers, so deep that what goes wrong early is far from the output."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16, *[24] * 11, 5]
        self.fc = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        for place in range(12):
            nn.init.kaiming_normal_(self.fc.get_parameter(f"{place}.weight"))
        makers: list[Any] = [nn.GELU, lambda: nn.LeakyReLU(0.1), nn.SiLU, nn.GELU]
        self.act = nn.ModuleList(makers[place % 4]() for place in range(11))
        self.drop = nn.Dropout(0.0)
        self.between = same

    def forward(self, x: Any) -> Any:
        for place in range(11):
            x = self.act[place](self.fc[place](x))
            if place == 5:
                x = self.between(self.drop(x))
        return self.fc[11](x)


class Bottleneck(nn.Module):
    """Two convolutions, and a way around them."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.down = nn.Conv2d(width, out, 1, stride=stride, bias=False)
        self.act2 = nn.SiLU()
        self.residual_scale = 1.0
        self.on_shortcut = same

    def forward(self, x: Any) -> Any:
        inner = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        return self.act2(inner + self.residual_scale * self.down(self.on_shortcut(x)))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.SiLU()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.block1 = Bottleneck(8, 8, 1)
        self.block2 = Bottleneck(8, 16, 2)
        self.fc = nn.Linear(16, 5)
        self.total = False
        self.between = same

    def forward(self, image: Any) -> Any:
        x = self.pool(self.act(self.norm(self.conv(image))))
        x = self.block2(self.between(self.block1(x)))
        return self.fc(x.sum(dim=[2, 3]) if self.total else x.mean(dim=[2, 3]))


class ConvBlock(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(2, out)
        self.act = nn.SiLU()

    def forward(self, x: Any) -> Any:
        return self.act(self.norm(self.conv(x)))


class UNet(nn.Module):
    """Down, up again by a transposed convolution and by interpolation, with skips across."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = ConvBlock(2, 8)
        self.pool1 = nn.AvgPool2d(2)
        self.inner = ConvBlock(8, 12)
        self.pool2 = nn.MaxPool2d(2)
        self.bottom = ConvBlock(12, 16)
        self.up = nn.ConvTranspose2d(16, 12, 2, stride=2)
        self.merge1 = ConvBlock(24, 12)
        self.merge2 = ConvBlock(20, 8)
        self.fine = nn.Conv2d(8, 1, 1)
        self.coarse = nn.Conv2d(16, 1, 1)
        self.align_corners = False
        self.skip_scale = 1.0
        self.on_skip = same
        self.between = same

    def forward(self, image: Any) -> dict[str, Any]:
        first = self.enter(image)
        second = self.inner(self.pool1(first))
        bottom = self.bottom(self.pool2(second))
        x = self.merge1(torch.cat([self.on_skip(second), self.up(self.between(bottom))], dim=1))
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=self.align_corners)
        x = self.merge2(torch.cat([first * self.skip_scale, x], dim=1))
        return {"fine": self.fine(x), "coarse": self.coarse(bottom)}


class PackedAttention(nn.Module):
    """Queries, keys and values out of one linear layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.places = (0, 1, 2)
        self.on_weights = same

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        parts = self.qkv(x).reshape([batch, length, 3, self.heads, width // self.heads])
        q, k, v = (parts[:, :, place].transpose(1, 2) for place in self.places)
        weights = torch.softmax(q @ k.transpose(-2, -1) * self.scale, dim=-1)
        mixed = self.on_weights(weights) @ v
        return self.out(mixed.transpose(1, 2).reshape([batch, length, width]))


class VisionBlock(nn.Module):
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


class Vision(nn.Module):
    """A vision transformer; the paddle side wraps the convolution that cuts the patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        self.blocks = nn.ModuleList(VisionBlock(16, 2) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)
        self.positions_offset = 0
        self.averaged = False
        self.between = same

    def forward(self, image: Any) -> Any:
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand([x.shape[0], 1, 16]), x], dim=1)
        x = x + torch.roll(self.positions, self.positions_offset, 1)
        for block in self.blocks:
            x = self.between(block(x))
        x = self.norm(x)
        return self.head(x.mean(dim=1) if self.averaged else x[:, 0])
