"""What takes processes of its own: one framework without the other, and several ranks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from padiff import open_dump
from padiff.store.reader import open_dumps

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


ALONE = """
import sys
import {here} as framework
import padiff
proxy = padiff.create_model(framework.nn.Linear(2, 2))
proxy(framework.ones([1, 2]))
proxy.try_dump(1, sys.argv[1])
assert "{other}" not in sys.modules
assert "padiff.frameworks.{other}" not in sys.modules
"""


@pytest.mark.parametrize(("here", "other"), [("torch", "paddle"), ("paddle", "torch")])
def test_one_framework_needs_no_other(here: str, other: str, tmp_path: Path) -> None:
    finish(run(ALONE.format(here=here, other=other), tmp_path))
    assert open_dump(tmp_path / "step_0").report.header.framework == here


def test_without_a_framework_nothing_is_a_model() -> None:
    script = """
import padiff, sys
try:
    padiff.create_model(object())
except TypeError as error:
    print(error)
assert not {"torch", "paddle"} & set(sys.modules)
"""
    expected = "expected a torch.nn.Module or a paddle.nn.Layer, got builtins.object"
    assert expected in finish(run(script))


RANK = """
import sys
import torch
import torch.distributed as distributed
import padiff
where, meeting, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
model = torch.nn.Linear(2, 2)
with torch.no_grad():
    model.weight.fill_(rank)
proxy = padiff.create_model(model)
for _ in range(2):
    proxy(torch.ones(1, 2))
    proxy.try_dump(1, where)
distributed.barrier()
distributed.destroy_process_group()
"""


def test_each_rank_has_its_own_dump(tmp_path: Path) -> None:
    home = tmp_path / "run.zarr"
    for process in [run(RANK, home, tmp_path / "meeting", rank) for rank in range(2)]:
        finish(process)
    dumps = open_dumps(home).dumps
    assert list(dumps) == [(step, rank) for step in range(2) for rank in range(2)]
    for (_, rank), dump in dumps.items():
        assert dump.sections == ("report", "params")
        assert np.all(np.asarray(dump.params[""].weight["weight"]) == rank)
