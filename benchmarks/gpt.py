"""A decoder-only transformer of 120 million parameters, in torch and in paddle."""

from typing import Any

import numpy as np
import paddle
import torch

__all__ = ["build", "tokens"]

LAYERS, WIDTH, HEADS, WORDS, LENGTH = 12, 768, 12, 50257, 128


def build(framework: str) -> Any:
    """The model, with random weights of its own; its output is tied to its table of words."""
    nn: Any = torch.nn if framework == "torch" else paddle.nn
    base: Any = torch.nn.Module if framework == "torch" else paddle.nn.Layer
    functions: Any = nn.functional

    def swap(x: Any, a: int, b: int) -> Any:
        axes = list(range(x.ndim))
        axes[a], axes[b] = axes[b], axes[a]
        return x.permute(axes) if framework == "torch" else x.transpose(axes)

    class Attention(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
            self.out = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any, mask: Any) -> Any:
            batch, length, _ = x.shape
            split = self.qkv(x).reshape([batch, length, 3, HEADS, WIDTH // HEADS])
            q, k, v = (swap(split[:, :, i], 1, 2) for i in range(3))
            scores = q @ swap(k, 2, 3) * (WIDTH // HEADS) ** -0.5 + mask
            mixed = swap(functions.softmax(scores, -1) @ v, 1, 2)
            return self.out(mixed.reshape([batch, length, WIDTH]))

    class Block(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.norm2 = nn.LayerNorm(WIDTH)
            self.up = nn.Linear(WIDTH, 4 * WIDTH)
            self.act = nn.GELU()
            self.down = nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any, mask: Any) -> Any:
            x = x + self.attention(self.norm1(x), mask)
            return x + self.down(self.act(self.up(self.norm2(x))))

    class Gpt(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(WORDS, WIDTH)
            self.positions = nn.Embedding(LENGTH, WIDTH)
            list_of: Any = nn.ModuleList if framework == "torch" else nn.LayerList
            self.blocks = list_of([Block() for _ in range(LAYERS)])
            self.norm = nn.LayerNorm(WIDTH)

        def forward(self, ids: Any, places: Any, mask: Any) -> Any:
            x = self.words(ids) + self.positions(places)
            for block in self.blocks:
                x = block(x, mask)
            return self.norm(x) @ swap(self.words.weight, 0, 1) * WIDTH**-0.5

    return Gpt()


def tokens(framework: str, batch: int = 2) -> dict[str, Any]:
    """A batch of random words, their positions, and the causal mask."""
    random = np.random.default_rng(0)
    arrays = {
        "ids": random.integers(0, WORDS, (batch, LENGTH)),
        "places": np.arange(LENGTH)[None].repeat(batch, 0),
        "mask": np.triu(np.full((LENGTH, LENGTH), -1e9, np.float32), 1),
    }
    make: Any = torch.from_numpy if framework == "torch" else paddle.to_tensor
    return {name: make(values) for name, values in arrays.items()}
