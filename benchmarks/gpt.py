"""A decoder-only transformer of 120 million parameters, in torch and in paddle."""

from typing import Any

import numpy as np
import paddle
import torch

__all__ = ["WIDTH", "WORDS", "build", "tokens"]

LAYERS, WIDTH, HEADS, WORDS, LENGTH, BATCH = 12, 768, 12, 50257, 128, 2


def build(framework: str, width: int = WIDTH, words: int = WORDS) -> Any:
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
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

        def forward(self, x: Any, mask: Any) -> Any:
            batch, length, _ = x.shape
            split = self.qkv(x).reshape([batch, length, 3, HEADS, width // HEADS])
            q, k, v = (swap(split[:, :, i], 1, 2) for i in range(3))
            scores = q @ swap(k, 2, 3) * (width // HEADS) ** -0.5 + mask
            mixed = swap(functions.softmax(scores, -1) @ v, 1, 2)
            return self.out(mixed.reshape([batch, length, width]))

    class Block(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.attention = Attention()
            self.norm2 = nn.LayerNorm(width)
            self.up = nn.Linear(width, 4 * width)
            self.act = nn.GELU()
            self.down = nn.Linear(4 * width, width)

        def forward(self, x: Any, mask: Any) -> Any:
            x = x + self.attention(self.norm1(x), mask)
            return x + self.down(self.act(self.up(self.norm2(x))))

    class Gpt(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(words, width)
            self.positions = nn.Embedding(LENGTH, width)
            list_of: Any = nn.ModuleList if framework == "torch" else nn.LayerList
            self.blocks = list_of([Block() for _ in range(LAYERS)])
            self.norm = nn.LayerNorm(width)

        def forward(self, ids: Any, places: Any, mask: Any) -> Any:
            x = self.words(ids) + self.positions(places)
            for block in self.blocks:
                x = block(x, mask)
            return self.norm(x) @ swap(self.words.weight, 0, 1) * width**-0.5

    return Gpt()


def tokens(framework: str, words: int = WORDS) -> dict[str, Any]:
    """A batch of random words, their positions, and the causal mask."""
    random = np.random.default_rng(0)
    arrays = {
        "ids": random.integers(0, words, (BATCH, LENGTH)),
        "places": np.arange(LENGTH)[None].repeat(BATCH, 0),
        "mask": np.triu(np.full((LENGTH, LENGTH), -1e9, np.float32), 1),
    }
    make: Any = torch.from_numpy if framework == "torch" else paddle.to_tensor
    return {name: make(values) for name, values in arrays.items()}
