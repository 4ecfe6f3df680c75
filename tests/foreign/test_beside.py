"""What stands beside tensors in a pickle and does nothing is left out; all else is refused."""

import argparse
import datetime
import pathlib
import random
import types
import uuid
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

import padiff
from padiff.errors import FormatError

W = torch.arange(6.0).reshape(2, 3)
NOW = datetime.datetime(2024, 2, 3, tzinfo=datetime.UTC)
INERT: dict[str, Any] = {
    "namespace": argparse.Namespace(lr=0.1, name="run"),
    "simple": types.SimpleNamespace(a=1),
    "path": pathlib.Path("/data"),
    "windows": pathlib.PureWindowsPath("c:/data"),
    "times": (NOW, NOW.date(), NOW.time(), NOW - NOW),
    "uuid": uuid.UUID(int=7),
    "numbers": (Decimal("1.5"), Fraction(1, 2), 1 + 2j, np.float32(1)),
    "python": (slice(1, 2), ..., random.Random(0)),
    "numpy": (np.float32, np.dtype("f4")),
}
OF_TORCH: dict[str, Any] = {  # and what paddle does not save
    "torch": (torch.float32, torch.qint8, torch.device("cpu"), torch.per_tensor_affine),
    "counter": Counter("aab"),
    "range": range(3),
    "bytes": (bytearray(b"abc"), b"bytes"),
    "sets": ({1, 2}, frozenset("a"), set()),
    "generators": (np.random.default_rng(0), np.random.RandomState(0), torch.Generator()),
    "size": torch.Size([2]),
}


class Mode(Enum):
    """One of the user's."""

    TRAIN = 1


class Config(argparse.Namespace):
    """One of the user's, of one that does nothing."""


@pytest.mark.parametrize(("zipped", "protocol"), [(True, 2), (True, 4), (False, 2)])
def test_it_is_left_out_beside_a_state_dict_of_torch(
    zipped: bool, protocol: int, tmp_path: Path
) -> None:
    held = {
        **INERT,
        **OF_TORCH,
        "hidden": argparse.Namespace(w=W.double()),  # whose storage comes before the others
        "model": defaultdict(list, {"w": W, "of": OrderedDict(w=W + 1)}),
        "last": deque([W + 2, 3]),
    }
    torch.save(
        held, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped, pickle_protocol=protocol
    )
    torch.save({"w": W, "of": {"w": W + 1}}, tmp_path / "model.pt")
    comparison = padiff.compare(tmp_path / "model.pt", tmp_path / "a.pt/model", atol=0, rtol=0)
    assert (comparison.aligned, comparison.totals.identical) == (True, 2)
    made = padiff.convert(tmp_path / "a.pt", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert sorted(arrays) == ["last.0", "model.of.w", "model.w"]
        assert np.array_equal(arrays["last.0"], W.numpy() + 2)
    expected = {*INERT, *OF_TORCH, "hidden", "last.1"}
    assert made.left_out == dict.fromkeys(expected, "no tensors")


def test_it_is_left_out_beside_a_state_dict_of_paddle(tmp_path: Path) -> None:
    state = {"model": {"w": paddle.ones([2])}, **INERT, "paddle": paddle.float32}
    paddle.save(state, str(tmp_path / "a.pdparams"))
    made = padiff.convert(tmp_path / "a.pdparams/model", tmp_path / "a.npz")
    assert (made.arrays, made.left_out) == (1, {})
    made = padiff.convert(tmp_path / "a.pdparams", tmp_path / "b.npz")
    assert (made.arrays, set(made.left_out)) == (1, {*INERT, "paddle"})


@pytest.mark.parametrize(
    ("held", "name"),
    [
        (Mode.TRAIN, "(Mode|getattr)"),  # older Pythons pickle it as what getattr gives
        (Config(lr=1), "Config"),
        (deque([Mode.TRAIN]), "(Mode|getattr)"),
        (argparse.Namespace(mode=Mode.TRAIN), "(Mode|getattr)"),
        (torch.nn.ReLU(), "torch.nn.modules.activation.ReLU"),
    ],
)
def test_what_is_of_the_user_is_refused(held: Any, name: str, tmp_path: Path) -> None:
    torch.save({"model": {"w": W}, "held": held}, tmp_path / "a.pt")
    with pytest.raises(FormatError, match=f"{name}, which is not run: save the state dict alone"):
        padiff.open_dump(tmp_path / "a.pt/model")


def test_a_key_is_called_the_same_each_time(tmp_path: Path) -> None:
    torch.save({Decimal("1e5"): W, Decimal(7): W}, tmp_path / "a.pt")
    padiff.convert(tmp_path / "a.pt", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert list(arrays) == ["decimal.Decimal(1E+5)", "decimal.Decimal(7)"]


def test_what_is_quantized_is_listed(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch will leave it to others
        quantized = torch.quantize_per_tensor(W, 0.1, 0, torch.qint8)
    torch.save({"w": W, "q": quantized}, tmp_path / "a.pt")
    made = padiff.convert(tmp_path / "a.pt", tmp_path / "a.npz")
    assert made.arrays == 1
    assert "qtensor" in made.left_out["q"]
