"""A table of names is found for real pairs of state dicts, and never wrong where it is certain."""

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import paddle
import pytest
import torch
from safetensors.numpy import save_file

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


# What a port may call what the frameworks call otherwise.
WORDS = {
    "encoder": "enc",
    "decoder": "dec",
    "layers": "blk",
    "blocks": "blk",
    "self_attn": "attn",
    "q_proj": "wq",
    "k_proj": "wk",
    "v_proj": "wv",
    "out_proj": "wo",
    "out": "o_proj",
    "q": "query",
    "k": "key",
    "v": "value",
    "linear1": "fc_in",
    "linear2": "fc_out",
    "norm1": "pre_a",
    "norm2": "pre_b",
    "norm": "ln_f",
    "head": "lm_head",
    "fc": "dense",
    "up": "c_fc",
    "down": "c_proj",
    "tokens": "wte",
    "positions": "wpe",
    "conv": "stem",
}


def reworded(name: str) -> str:
    *layers, place = name.split(".")
    return ".".join((*(WORDS.get(word, word) for word in layers), place))


def save_sorted(path: Path, state: dict[str, Any], names: Callable[[str], str] = str) -> Path:
    """A file of safetensors, which sorts names."""
    save_file({names(key): value.detach().numpy().copy() for key, value in state.items()}, path)
    return path


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("names", [str, reworded], ids=["own words", "other words"])
def test_pairs_of_sorted_names(name: str, names: Callable[[str], str], tmp_path: Path) -> None:
    network = NETWORKS[name]
    ours, theirs = network.build("torch"), network.build("paddle")
    base = save_sorted(tmp_path / "ours.safetensors", ours.state_dict())
    raw = save_sorted(tmp_path / "theirs.safetensors", theirs.state_dict(), names)
    truth = {
        key: [set(map(names, one)) for one in parts]
        for key, parts in truth_of(network, ours, theirs).items()
    }
    found, wrong = judged(suggest_map(base, raw), truth)
    total = sum(map(len, truth.values()))
    assert found >= 0.95 * total, (found, total, wrong)
    assert not [row for row in wrong if row.certainty != "guess"]


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
    assert [(str(row.layout), row.certainty) for row in turned] == [("transposed", "likely")]
    moved = np.roll(sparse, 1, 0)
    assert not certain(found_for(tmp_path, {"p": sparse}, {"q": moved}))
    swapped = a[[1, 0, 2, 3, 4, 5]]
    assert not certain(found_for(tmp_path, {"table": a}, {"table": swapped}))
    near = (1 + 0.004 * random.standard_normal(64)).astype(np.float32)
    coarse = (1 + 0.004 * random.standard_normal(64)).astype(ml_dtypes.bfloat16)
    assert not certain(found_for(tmp_path, {"attn": near}, {"mlp": coarse}))
    many = random.standard_normal((50, 8, 8)).astype(np.float32)
    halves = found_for(
        tmp_path,
        {f"a.{n}": value for n, value in enumerate(many)},
        {f"b.{n}": value.astype(np.float16) for n, value in enumerate(many)},
    )
    assert certain(halves) == [(f"a.{n}", f"b.{n}", "") for n in range(50)]
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


def no_word(name: str) -> str:
    """A name whose words say nothing; numbers, and what the parameter is, do."""
    *layers, place = name.split(".")
    words = (w if w.isdecimal() else f"x{zlib.crc32(w.encode())}z" for w in layers)
    return ".".join((*words, place))


@pytest.mark.parametrize("name", ["vision", "decoder", "encoder", "cnn"])
def test_order_tells_where_names_do_not(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    ours, theirs = network.build("torch"), network.build("paddle")
    torch.save(ours.state_dict(), tmp_path / "ours.pt")
    state = {no_word(key): value for key, value in theirs.state_dict().items()}
    paddle.save(state, str(tmp_path / "theirs.pdparams"))
    truth = {
        key: [set(map(no_word, one)) for one in parts]
        for key, parts in truth_of(network, ours, theirs).items()
    }
    rows = suggest_map(tmp_path / "ours.pt", tmp_path / "theirs.pdparams")
    found, wrong = judged(rows, truth)
    assert (found, wrong) == (sum(map(len, truth.values())), [])


# Two ways to name the layers of one encoder, where neither order says anything.
ENCODERS = {
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def test_a_bias_goes_with_that_of_a_layer_of_the_same_kind(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    expected = set()
    for n in range(2):
        for names in ENCODERS.items():
            width = 12 if "linear1" in names[1] or "intermediate" in names[0] else 4
            matrix = (4, 12) if names[1] == "linear2" else (width, 4)
            shapes = {"weight": (4,) if "norm" in names[1] else matrix, "bias": (width,)}
            for place, shape in shapes.items():
                pair = f"layer.{n}.{names[0]}.{place}", f"encoder.layers.{n}.{names[1]}.{place}"
                expected.add(pair)
                for side, name in zip(sides, pair, strict=True):
                    side[name] = random.standard_normal(shape)
    base, raw = (dict(sorted(side.items())) for side in sides)
    found = {(row.base, row.raw) for row in found_for(tmp_path, base, raw)}
    assert found == expected


def test_what_stands_around_tells_where_names_do_not(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sides: list[dict[str, Any]] = []
    for names in (("left", "right"), ("two", "one")):
        sides.append({})
        for width, name in zip((5, 6), names, strict=True):
            sides[-1][f"{name}.in.weight"] = random.standard_normal((width, 4))
            for n in range(2):
                sides[-1][f"{name}.{n}.fc.weight"] = random.standard_normal((4, 4))
    base, raw = (dict(sorted(side.items())) for side in sides)
    pairs = {"left": "two", "right": "one"}
    rows = found_for(tmp_path, base, raw)
    assert {(row.base, row.raw) for row in rows} == {
        (name, name.replace(word, pairs[word])) for name in base for word in [name.split(".")[0]]
    }


@pytest.mark.parametrize(("first", "last"), [(1, 4), (0, 2), (0, 4)])
def test_layers_that_are_counted_from_another_number(tmp_path: Path, first: int, last: int) -> None:
    random = np.random.default_rng(0)
    base = {f"blocks.{n}.fc.weight": random.standard_normal((4, 4)) for n in range(3)}
    raw = {f"blocks.{n}.fc.weight": random.standard_normal((4, 4)) for n in range(first, last)}
    raw |= {f"neck.{n}.fc.weight": random.standard_normal((4, 4)) for n in range(3)}
    rows = found_for(tmp_path, base, raw)
    pairs = {(row.base, row.raw) for row in rows if row.base and row.raw}
    shift = 1 if first else 0
    expected = {
        (f"blocks.{n}.fc.weight", f"blocks.{n + shift}.fc.weight")
        for n in range(3)
        if n + shift < last
    }
    assert expected <= pairs
    assert {row.certainty for row in rows if (row.base, row.raw) in expected} == {"likely"}


@pytest.mark.parametrize("kind", ["a step later", "rounded"])
def test_near_figures_decide_where_names_do_not(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal((6, 12, 12)).astype(np.float32)
    later = values + 1e-3 * random.standard_normal(values.shape).astype(np.float32)
    if kind == "rounded":
        later = (later * 64).round() / 64
    words = ("tok", "rak", "sel", "dim", "fep", "gul")
    shuffled = random.permutation(6)
    rows = found_for(
        tmp_path,
        {f"x.{word}": values[at] for at, word in enumerate(words)},
        {f"y.{word[::-1]}z": later[at] for word, at in zip(words, shuffled, strict=True)},
    )
    found = {(row.base, row.raw) for row in rows}
    assert found == {
        (f"x.{words[at]}", f"y.{word[::-1]}z") for word, at in zip(words, shuffled, strict=True)
    }
    assert {row.certainty for row in rows} == {"guess"}


@pytest.mark.parametrize("equal", [True, False])
def test_thousands_of_one_size_take_seconds(tmp_path: Path, equal: bool) -> None:
    random = np.random.default_rng(0)
    base, raw = random.standard_normal((2, 2000, 4, 4))
    names = [f"{n:x}".translate(str.maketrans("0123456789", "ghijklmnop")) for n in range(2000)]
    start = time.process_time()
    rows = found_for(
        tmp_path,
        {f"a.{name}.weight": value for name, value in zip(names, base, strict=True)},
        {
            f"b.{name}.kernel": value
            for name, value in zip(names, base if equal else raw, strict=True)
        },
    )
    assert time.process_time() - start < 6  # where all are held against all: twice as many
    assert {row.certainty for row in rows} == {"certain" if equal else "guess"}
    right = sum((row.base or "")[2:-7] == (row.raw or "")[2:-7] for row in rows)
    assert right > 1900


def test_progress_goes_on_while_partners_are_searched(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shares: list[float] = []
    shared = random.standard_normal((9, 4, 4))
    for side in ("base", "raw"):
        values: dict[str, Any] = {f"{side}.{n}.w": random.standard_normal((4, 5)) for n in range(9)}
        values |= {f"{side}.of.{n}.w": value for n, value in enumerate(shared)}
        values |= {f"{word}.{side}.w": random.standard_normal((3, 3)) for word in "abcdefghi"}
        np.savez(tmp_path / f"{side}.npz", **values)
    suggest_map(tmp_path / "base.npz", tmp_path / "raw.npz", progress=shares.append)
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1
    assert len({share for share in shares if share > shares[2 * 27 - 1]}) > 20  # once all is read


def test_numbers_that_are_too_great_for_figures(tmp_path: Path) -> None:
    base = {"x": np.full((2, 3), 1e300), "y": np.full((2, 3), np.nan), "z": np.zeros((2, 0))}
    raw = {f"{name}.w": value / 3 for name, value in base.items()} | {"d.w": base["x"] * 3}
    rows = found_for(tmp_path, base, raw)
    assert {(row.base, row.raw) for row in rows} >= {("x", "x.w"), ("y", "y.w"), ("z", "z.w")}
    assert {row.certainty for row in rows} <= {"likely", "guess", None}


@pytest.mark.parametrize("tensors", ["full", "statistics"])
def test_dumps_of_statistics(tmp_path: Path, tensors: Literal["full", "statistics"]) -> None:
    network = NETWORKS["decoder"]
    ours, theirs = network.build("torch"), network.build("paddle")
    with torch.no_grad():
        copy_weights(network, ours, theirs)
    padiff.create_model(ours, tensors="statistics").dump_weights(tmp_path / "ours")
    padiff.create_model(theirs, tensors=tensors).dump_weights(tmp_path / "theirs")
    rows = suggest_map(tmp_path / "ours", tmp_path / "theirs")
    truth = truth_of(network, ours, theirs)
    found, wrong = judged(rows, truth)
    assert not wrong
    assert found == sum(map(len, truth.values()))
    assert {row.certainty for row in rows} == {"likely"}
    assert {row.reason for row in rows} >= {"equal statistics"}
    layouts = {row.base: str(row.layout) for row in rows}
    assert layouts["blocks.0.up.weight"] == layouts["blocks.0.attn.q.weight"] == "transposed"
    assert layouts["tokens.weight"] == ""


def test_a_kernel_of_which_one_element_was_rounded_lies_as_the_others(tmp_path: Path) -> None:
    """In no order of its axes are all elements equal, and the shapes do not tell it."""
    kernel = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    turned = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
    turned[0, 1, 2, 3] = np.nextafter(turned[0, 1, 2, 3], np.float32(9))
    (row,) = found_for(tmp_path, {"conv.weight": kernel}, {"layers.0.kernel": turned})
    told = str(row.layout), row.certainty, row.reason
    assert told == ("axes 3 2 0 1", "likely", "nearly equal values")


@pytest.mark.parametrize("kind", ["complex64", "bfloat16", "float8_e4m3fn", "float64"])
def test_pairs_of_any_type_are_certain(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).standard_normal((20, 20, 2)).astype(np.float32)
    tensor = torch.from_numpy(values).to(getattr(torch, kind.replace("complex64", "float32")))
    tensor = torch.view_as_complex(tensor) if kind == "complex64" else tensor[..., 0].clone()
    for name, path in (("a", "base.pt"), ("b", "raw.pt")):
        torch.save({name: tensor}, tmp_path / path)
    (row,) = padiff.suggest_map(tmp_path / "base.pt", tmp_path / "raw.pt")
    assert (row.base, row.raw, row.certainty) == ("a", "b", "certain")
