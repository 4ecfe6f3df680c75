"""A table of names is found for real pairs of state dicts, and never wrong where it is certain."""

from pathlib import Path
from typing import Any

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
