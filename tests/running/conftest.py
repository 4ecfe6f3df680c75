"""Networks that are made here have the same weights in every run, whatever ran before."""

import paddle
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
    paddle.seed(0)
