"""Two runs of one small network, of which the second goes wrong at a known place."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.tree import Frame
from tests.stores import Layer, write_dump

__all__ = ["BLOCKS", "compared", "network"]

BLOCKS = 4
_SHAPE = (4, 8, 16)


def _values(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=_SHAPE).astype(np.float32)


def network(*, wrong: float = 0.0, noise: float = 0.0, frameworks: str = "torch") -> Layer:
    """Blocks of three layers; from `blocks.2.fc1` on channel 5 of all outputs is off by `wrong`."""
    seeds = iter(range(1000))

    def values(is_wrong: bool) -> NDArray[np.float32]:
        made = _values(next(seeds)) * np.float32(1 + noise)
        made[:, 5, :] += np.float32(wrong * is_wrong)
        return made

    def layer(name: str, kind: str, is_wrong: bool, *children: Layer) -> Layer:
        frame = Frame(f"{frameworks}_net.py", 7, "Net.forward", f"x = self.{name}(x)")
        return Layer(
            name,
            kind if frameworks == "torch" else kind.replace("2d", "2D"),
            out=values(is_wrong),
            back=values(False),
            children=children,
            stack=(frame,),
            repr=f"{kind}(8, 8)",
        )

    def block(place: int) -> Layer:
        wrong_inside = place > 2
        inner = [
            layer("fc1", "Linear", place >= 2),
            layer("act", "ReLU", place >= 2),
            layer("norm", "BatchNorm2d", place >= 2),
        ]
        if frameworks == "torch" and place == 1:
            inner.append(layer("drop", "Dropout", False))  # which raw has not
        elif place == 1:
            next(seeds), next(seeds)
        return layer(f"blocks.{place}", "Block", wrong_inside or place == 2, *inner)

    blocks = [block(place) for place in range(BLOCKS)]
    return layer("", "Net", True, *blocks)


def compared(root: Path, *, wrong: float = 1.0, steps: int = 2, **options: Any) -> Comparison:
    """The comparison of both; `wrong` 0 is a run that agrees, up to rounding."""
    for step in range(steps):
        write_dump(root / "base", network(), step=step)
        raw = network(wrong=wrong * step if steps > 1 else wrong, noise=1e-7, frameworks="paddle")
        write_dump(root / "raw", raw, step=step, framework="paddle")
    return compare(root / "base", root / "raw", close_ups=20, **options)
