"""A table of names is found for real pairs of state dicts, and never wrong where it is certain."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import paddle
import pytest
import torch

import padiff
from padiff.naming.suggest import suggest_map
from padiff.naming.table import NamedPair, table_text
from tests.networks.catalogue import NETWORKS, Network
from tests.networks.copying import copy_weights, pairs

Truth = dict[str, list[set[str]]]  # by torch's name: the names in paddle of each of its parts


def truth_of(network: Network, ours: Any, theirs: Any) -> Truth:
    """What goes with what; paddle has several names for some."""
    found: Truth = {}
    held = theirs.state_dict()
    for name, _, tensor in pairs(network, ours, theirs):
        names = {key for key, value in held.items() if value is tensor or _is_one(value, tensor)}
        assert names, name
        route, _, place = name.rpartition(".")
        whole = route if place.isdecimal() else name
        named = {"_mean": "running_mean", "_variance": "running_var"}
        stem, dot, last = whole.rpartition(".")
        found.setdefault(f"{stem}{dot}{named.get(last, last)}", []).append(names)
    return found


def _is_one(value: Any, tensor: Any) -> bool:
    return bool(value.data_ptr() == tensor.data_ptr())


def judged(rows: list[NamedPair], truth: Truth) -> tuple[int, list[NamedPair]]:
    """How many true pairs were found, and the rows that are wrong."""
    right: set[tuple[str, int]] = set()
    wrong = []
    for row in rows:
        if row.base is None or row.raw is None:
            continue
        at = row.layout.share[0] if row.layout.whole == "base" else 0
        parts = truth.get(row.base, [])
        if at < len(parts) and row.raw in parts[at] and (len(parts) > 1) == bool(row.layout.whole):
            right.add((row.base, at))
        else:
            wrong.append(row)
    return len(right), wrong


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("copied", [True, False], ids=["ported", "other weights"])
def test_pairs_of_state_dicts(name: str, copied: bool, tmp_path: Path) -> None:
    network = NETWORKS[name]
    ours, theirs = network.build("torch"), network.build("paddle")
    if copied:
        with torch.no_grad():
            copy_weights(network, ours, theirs)
    torch.save(ours.state_dict(), tmp_path / "ours.pt")
    paddle.save(theirs.state_dict(), str(tmp_path / "theirs.pdparams"))
    rows = suggest_map(tmp_path / "ours.pt", tmp_path / "theirs.pdparams")
    truth = truth_of(network, ours, theirs)
    found, wrong = judged(rows, truth)
    total = sum(map(len, truth.values()))
    assert found >= 0.95 * total, (found, total, wrong)
    assert not [row for row in wrong if row.certainty == "certain"]
    certain = [row for row in rows if row.certainty == "certain"]
    assert bool(certain) == copied
    if copied:
        sides = tmp_path / "ours.pt", tmp_path / "theirs.pdparams"
        assert_aligned_by_table(rows, *sides, tmp_path / "names.csv")
        assert_aligned_by_table(suggest_map(*sides[::-1]), *sides[::-1], tmp_path / "back.csv")


def assert_aligned_by_table(rows: list[NamedPair], base: Path, raw: Path, table: Path) -> None:
    """What the table says makes the two files the same, to the last bit."""
    table.write_text(table_text(rows))
    found = padiff.compare(base, raw, name_map=table, mode="strict", atol=0, rtol=0)
    assert found.aligned, found.first_divergence
    assert found.totals.compared == sum(None not in (row.base, row.raw) for row in rows)


def found_for(tmp_path: Path, base: dict[str, Any], raw: dict[str, Any]) -> list[NamedPair]:
    np.savez(tmp_path / "base.npz", **base)
    np.savez(tmp_path / "raw.npz", **raw)
    return suggest_map(tmp_path / "base.npz", tmp_path / "raw.npz")


def certain(rows: list[NamedPair]) -> list[tuple[str | None, str | None, str]]:
    return [(r.base, r.raw, str(r.layout)) for r in rows if r.certainty == "certain"]


def test_nothing_is_certain_that_others_could_be(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 6, 6)).astype(np.float32)
    ones = np.ones(6, np.float32)
    position = np.arange(64)
    sparse = np.zeros((64, 64), np.float32)
    sparse[3, 5] = 1.0
    copies = found_for(tmp_path, {"net.w": a}, {"student.w": a, "teacher.w": a})
    assert not certain(copies)
    crossed = found_for(
        tmp_path,
        {"w1": a, "b1": ones, "w2": b, "b2": ones},
        {"w1": b, "b1": ones, "w2": a, "b2": ones},
    )
    assert certain(crossed) == [("w1", "w2", ""), ("w2", "w1", "")]
    assert not certain(found_for(tmp_path, {"ids": position}, {"remap": position}))
    turned = found_for(tmp_path, {"p": sparse}, {"p": sparse.T})
    assert certain(turned) == [("p", "p", "transposed")]
    moved = np.roll(sparse, 1, 0)
    assert not certain(found_for(tmp_path, {"p": sparse}, {"q": moved}))
    swapped = a[[1, 0, 2, 3, 4, 5]]
    assert not certain(found_for(tmp_path, {"table": a}, {"table": swapped}))
    near = (1 + 0.004 * random.standard_normal(64)).astype(np.float32)
    coarse = (1 + 0.004 * random.standard_normal(64)).astype(ml_dtypes.bfloat16)
    assert not certain(found_for(tmp_path, {"attn": near}, {"mlp": coarse}))
    rounded = a.astype(ml_dtypes.bfloat16)
    assert certain(found_for(tmp_path, {"w": a}, {"v": rounded})) == [("w", "v", "")]
    cis = np.exp(1j * random.standard_normal(64)).astype(np.complex64)
    assert not certain(found_for(tmp_path, {"cis": cis}, {"cis": cis.conj()}))


def test_an_exact_name_comes_before_another_word_for_it(tmp_path: Path) -> None:
    held = {"n.weight": np.ones(4), "n.scale": np.ones(4), "n.bias": np.arange(4.0)}
    rows = found_for(tmp_path, held, held)
    assert {(row.base, row.raw) for row in rows} == {(name, name) for name in held}


def test_names_behind_a_prefix_go_together_in_any_order(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = [f"{n}.{part}.weight" for n in range(3) for part in ("q", "k", "v", "out")]
    base: dict[str, Any] = {name: random.standard_normal((4, 4)) for name in names}
    raw = {f"module.{name}": base[name] + 1e-3 for name in sorted(names)}
    rows = found_for(tmp_path, base, raw)
    assert {(row.base, row.raw) for row in rows} == {(name, f"module.{name}") for name in names}
    assert {row.certainty for row in rows} == {"likely"}
