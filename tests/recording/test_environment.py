"""What is recorded of the machine and of the framework's settings: with each dump, as they are."""

import getpass
import json
import platform
import socket
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from click.testing import CliRunner

from padiff import compare, create_model, open_dump
from padiff.cli.commands import group
from padiff.frameworks.base import known
from tests.stores import Layer, write_dump
from tests.zoo import SIDES, ZOO

MODULES: dict[str, Any] = {"torch": torch, "paddle": paddle}
both = pytest.mark.parametrize("framework", SIDES)


def dumped(framework: str, location: Path) -> Path:
    proxy = create_model(ZOO["residual"].build(framework), "net")
    args, kwargs = ZOO["residual"].inputs(framework)
    proxy(*args, **kwargs)
    proxy.try_dump(1, location)
    return location


@both
def test_each_section_tells_where_it_was_recorded(framework: str, tmp_path: Path) -> None:
    dump = open_dump(dumped(framework, tmp_path / "run"))
    found = dump.report.header.environment
    assert found is not None
    assert dump.params.header.environment == found
    expected = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        framework: str(MODULES[framework].__version__),
        "device": "cpu",
        "default dtype": "float32",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["threads"] in range(1, 1000)
    for name in ("TF32 in matmul", "TF32 in cuDNN"):
        assert type(found[name]) is bool
    told = " ".join(map(str, found.values())).lower()
    assert "/" not in told
    assert socket.gethostname().lower() not in told
    assert getpass.getuser() not in told.split()


def test_settings_are_those_of_the_dump(tmp_path: Path) -> None:
    torch.backends.cudnn.benchmark = True
    torch.use_deterministic_algorithms(True)
    try:
        changed = open_dump(dumped("torch", tmp_path / "a")).report.header.environment
    finally:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(False)
    usual = open_dump(dumped("torch", tmp_path / "b")).report.header.environment
    assert changed is not None
    assert usual is not None
    names = {name for name in usual if changed[name] != usual[name]}
    assert names == {"cuDNN benchmark", "deterministic algorithms"}


@pytest.mark.parametrize("setting", ["allow_tf32", "fp32_precision"])
def test_tf32_is_known_by_either_of_its_settings(tmp_path: Path, setting: str) -> None:
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    found = []
    try:
        for may in (True, False):
            if setting == "allow_tf32":
                matmul.allow_tf32 = cudnn.allow_tf32 = may
            else:
                matmul.fp32_precision = cudnn.conv.fp32_precision = "tf32" if may else "ieee"
            environment = open_dump(dumped("torch", tmp_path / str(may))).report.header.environment
            assert environment is not None
            found.append((environment["TF32 in matmul"], environment["TF32 in cuDNN"]))
    finally:
        matmul.fp32_precision = "none"
        matmul.allow_tf32, cudnn.allow_tf32 = False, True
    assert found == [(True, True), (False, False)]
    assert torch.get_float32_matmul_precision() == "highest"  # all is as it was
    assert cudnn.allow_tf32


def test_settings_of_paddle_are_those_of_the_dump(tmp_path: Path) -> None:
    proxy = create_model(paddle.nn.Linear(2, 2), "net")
    paddle.set_default_dtype("float64")
    try:
        proxy.dump_weights(tmp_path)
    finally:
        paddle.set_default_dtype("float32")
    changed = open_dump(tmp_path).weights.header.environment
    assert changed is not None
    assert changed["default dtype"] == "float64"


def test_what_cannot_be_told_is_left_out() -> None:
    def fails() -> str:
        raise UserWarning("a filter of the user's made this an error")

    found = known({"a": fails, "b": lambda: None, "c": lambda: "x" * 300, "d": lambda: False})
    assert {name: found[name] for name in found if len(name) == 1} == {"c": "x" * 100, "d": False}


def test_a_comparison_and_an_inspection_have_it(tmp_path: Path) -> None:
    base = dumped("torch", tmp_path / "base")
    raw = write_dump(tmp_path / "raw", Layer("", "Net", out=[1.0]), step=0)
    header = open_dump(base).report.header
    comparison = compare(base, raw)
    assert comparison.base.environment == header.environment
    assert comparison.base.created == header.created
    assert comparison.raw.environment == {}
    document = comparison.to_json()["base"]
    assert (document["created"], document["environment"]) == (header.created, header.environment)
    sections = json.loads(CliRunner().invoke(group, ["inspect", str(base), "--json"]).stdout)
    assert [s["environment"] for s in sections["sections"]] == [header.environment] * 2
    hash(comparison)
