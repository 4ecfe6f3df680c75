"""A checkpoint of two ranks, each with its part of the tensors, is read as whole tensors."""

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import padiff
from padiff.errors import CorruptError

WHOLE = torch.arange(35.0).reshape(7, 5)


def save(rank: int, port: int, path: Path) -> None:
    """What one rank does: tensors over both by rows and by columns, whole ones, and a number."""
    from torch import distributed
    from torch.distributed.checkpoint.state_dict_saver import save as save_distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    state = {
        "net": {
            "rows": distribute_tensor(WHOLE, mesh, [Shard(0)]),
            "columns": distribute_tensor(WHOLE, mesh, [Shard(1)]),
            "whole": distribute_tensor(WHOLE, mesh, [Replicate()]),
            "half": WHOLE.bfloat16(),
        },
        "step": 3,
    }
    save_distributed(state, checkpoint_id=path)
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("distributed") / "checkpoint"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=save, args=(rank, port, path)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
        assert rank.exitcode == 0
    return path


def test_tensors_are_put_together(checkpoint: Path) -> None:
    assert len(list(checkpoint.glob("*.distcp"))) == 2
    found = padiff.open_dump(checkpoint).weights["net"].weight
    assert set(found) == {"rows", "columns", "whole", "half"}
    for array in found.values():
        assert np.array_equal(np.asarray(array, np.float32), WHOLE.numpy())
        assert np.array_equal(np.asarray(array[2:6, 1:4], np.float32), WHOLE.numpy()[2:6, 1:4])
    assert set(padiff.open_dump(checkpoint / "net").weights[""].weight) == set(found)
    base = checkpoint.parent / "base.npz"
    values: dict[str, Any] = {f"net.{name}": WHOLE.numpy() for name in found}
    np.savez(base, **values)
    assert padiff.compare(base, checkpoint, mode="strict", atol=0, rtol=0).totals.compared == 4


def test_a_file_of_a_rank_that_is_gone(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for file in checkpoint.iterdir():
        if file.name != "__1_0.distcp":
            (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    weights = padiff.open_dump(tmp_path / "copy").weights["net"].weight
    with pytest.raises((CorruptError, FileNotFoundError), match="__1_0.distcp"):
        np.asarray(weights["rows"])
