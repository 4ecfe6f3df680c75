"""What may be called certain, and names that say nothing or seem to."""

import pickle
import time
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from padiff.naming.suggest import suggest_map
from tests.foreign.test_suggest_map import certain, found_for

STRUCTURED: dict[str, NDArray[Any]] = {
    "eye": np.eye(16),
    "one of many": np.eye(1, 64, 5),
    "triangle": np.tri(16),
    "few": np.repeat([0.5, -1.5, 2.25], 16),
    "fewer than sixteen": np.sin(np.arange(15) ** 2),
    "positions": np.arange(5000.0),
    "from the last": np.arange(64.0)[::-1],
    "frequencies": 10000.0 ** -np.linspace(0, 1, 16, endpoint=False),
    "angles": np.outer(np.arange(64), 10000.0 ** -np.linspace(0, 1, 16, endpoint=False)),
    "schedule": np.cumprod(1 - np.linspace(0.03, 0.11, 1000) ** 2),
    "grid": np.stack(np.meshgrid(np.linspace(-1, 1, 16), np.linspace(-1, 1, 16))),
    "window": np.hanning(64),
    "waves": np.sin(
        np.outer(np.arange(600), 10000.0 ** -np.linspace(0, 1, 256)).repeat(2, axis=1)
        + np.tile([0, np.pi / 2], 256)
    ),
}


def drawn(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("kind", STRUCTURED)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_values_that_others_may_have_are_not_certain(
    tmp_path: Path, kind: str, dtype: type[np.floating[Any]]
) -> None:
    value = STRUCTURED[kind].astype(dtype)
    other = drawn(*value.shape)
    rows = found_for(
        tmp_path, {"a.table": value, "b.table": other}, {"b.table": value, "a.table": other + 1}
    )
    assert ("a.table", "b.table", "likely") in {(row.base, row.raw, row.certainty) for row in rows}
    assert not certain(rows)
    assert {row.reason for row in rows} >= {"equal values, which others may have too"}


def test_many_values_in_no_order_are_certain_whatever_the_names_are(tmp_path: Path) -> None:
    pruned = drawn(64, 64) * (drawn(64, 64, seed=1) > 1.3)
    padded = np.concatenate([np.zeros((70, 80), np.float32), drawn(130, 80)])
    values = {
        "a": drawn(16),
        "b": pruned,
        "c": padded,
        "d": drawn(4, 4, seed=3).astype(np.float16),
        "e": drawn(1, 1, 16, 1, seed=5),
        "f": drawn(16, 2, 2, 3, 3, seed=6),
        "g": np.linspace(0, 1, 4096, dtype=np.float32) + 0.01 * drawn(4096, seed=7),
    }
    names = list(values)
    shifted = dict(zip([*names[1:], names[0]], values.values(), strict=True))
    expected = [(name, other, "") for name, other in zip(names, shifted, strict=True)]
    assert set(certain(found_for(tmp_path, values, shifted))) == set(expected)


def test_many_values_that_are_few_once_they_are_rounded_are_not_certain(tmp_path: Path) -> None:
    scale = 1 + 0.002 * drawn(64)
    for sides in (
        (scale, scale.astype(ml_dtypes.bfloat16)),
        (scale.astype(ml_dtypes.bfloat16), scale),
    ):
        (row,) = found_for(tmp_path, {"a.norm": sides[0]}, {"b.norm": sides[1]})
        assert row.certainty == "likely"


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("ensemble.0.fc.weight", "transposed"),
        ("assembly.q.weight", "transposed"),
        ("remember.weight", "transposed"),
        ("wte.weight", ""),
        ("wpe.weight", ""),
        ("emb.weight", ""),
        ("word_embeddings.weight", ""),
        ("patchEmbed.weight", ""),
    ],
)
def test_embeddings_are_told_by_words_and_lie_alike(tmp_path: Path, name: str, layout: str) -> None:
    shapes = {"model.fc.weight": (4, 5), "model.fc.bias": (4,), name: (6, 6)}
    ours = {key: torch.from_numpy(drawn(*shape)) for key, shape in shapes.items()}
    theirs = {key: drawn(*shape[::-1], seed=1) for key, shape in shapes.items()}
    torch.save(ours, tmp_path / "ours.pt")
    (tmp_path / "theirs.pdparams").write_bytes(pickle.dumps(theirs, 4))
    rows = suggest_map(tmp_path / "ours.pt", tmp_path / "theirs.pdparams")
    assert {row.base: str(row.layout) for row in rows} == {
        "model.fc.weight": "transposed",
        "model.fc.bias": "",
        name: layout,
    }


@pytest.mark.parametrize("words", ["甲乙丙丁戊", "абвгд", "αβγδε", "💡🔥🌊🌍🌙", "कखगघङ"])
def test_words_of_any_writing_are_words(tmp_path: Path, words: str) -> None:
    base = {f"网络.{word}.weight": drawn(4, 4, seed=n) for n, word in enumerate(words[:4])}
    raw = {f"网络.{word}.weight": drawn(4, 4, seed=9 + n) for n, word in enumerate(words[:0:-1])}
    told = {row.base: (row.raw, row.certainty) for row in found_for(tmp_path, base, raw)}
    for word in words[1:4]:
        assert told[f"网络.{word}.weight"] == (f"网络.{word}.weight", "likely")
    assert told[f"网络.{words[0]}.weight"] == (f"网络.{words[4]}.weight", "guess")


def test_thousands_of_names_that_end_alike_take_seconds(tmp_path: Path) -> None:
    names = [
        "".join(
            letter.upper() if n >> at & 1 else letter for at, letter in enumerate("networkablef")
        )
        for n in range(1600)
    ]
    base = {f"{name}.weight": value for name, value in zip(names, drawn(1600, 2, 2), strict=True)}
    raw = {f"m.{name}.weight": value + 1 for name, value in zip(names, base.values(), strict=True)}
    start = time.process_time()
    rows = found_for(tmp_path, base, raw)
    assert time.process_time() - start < 8  # where each name is held against all: 27
    assert len(rows) == 1600


def test_thousands_that_have_a_copy_each_take_seconds(tmp_path: Path) -> None:
    values = drawn(700, 4, 4)
    sides = [
        {
            f"{word}.{n}.w": value
            for n, value in enumerate(values)
            for word in ("student", "teacher")
        }
        for _ in range(2)
    ]
    start = time.process_time()
    rows = found_for(tmp_path, *sides)
    assert time.process_time() - start < 5  # where all pairs are looked at for each group: 7
    assert all(row.base == row.raw for row in rows)
