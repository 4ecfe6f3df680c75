"""Networks that are made here have the same weights in every run; dumps are kept in memory."""

from collections.abc import Iterator
from pathlib import Path

import paddle
import pytest
import torch

from tests.scratch import scratch


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
    paddle.seed(0)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with scratch() as directory:
        yield Path(directory)
