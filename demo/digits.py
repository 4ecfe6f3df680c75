"""What both networks are trained on: scikit-learn's scans of handwritten digits, 8 by 8 pixels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

__all__ = ["Batch", "batches"]

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


def batches(steps: int, size: int = 64, seed: int = 0) -> Iterator[Batch]:
    """The first batches of one shuffle: images (size, 1, 8, 8), centred, and digits (size,)."""
    data = load_digits()
    images = (data.images[:, None] / 8 - 1).astype(np.float32)
    images -= images.mean(axis=0)
    order = np.random.default_rng(seed).permutation(len(images))
    for step in range(steps):
        chosen = order[step * size : (step + 1) * size]
        yield images[chosen], data.target[chosen].astype(np.int64)
