"""Layers and parameters that a user named: by patterns, and by a table."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

import padiff
from padiff.errors import FormatError, LocationError, PadiffError, UsageError
from padiff.naming.layout import NamedLayout, parse_layout
from padiff.naming.table import NamedPair, read_table, table_text

RANDOM = np.random.default_rng(0)
BASE = {
    "blocks.0.attn.in_proj_weight": RANDOM.standard_normal((12, 4)),
    "blocks.0.fc.weight": RANDOM.standard_normal((4, 4)),
    "blocks.0.fc.bias": RANDOM.standard_normal(4),
    "head.conv": RANDOM.standard_normal((2, 3, 5)),
}
QKV = BASE["blocks.0.attn.in_proj_weight"]
TABLE = """base;raw;layout
blocks.0.attn.in_proj_weight;h.q;base 1/3, transposed
blocks.0.attn.in_proj_weight;h.k;base 2/3, transposed
blocks.0.attn.in_proj_weight;h.v;base 3/3, transposed
# a comment, and what a person has not decided on

blocks.0.fc.weight;h.fc.w;transposed
blocks.0.fc.bias;h.fc.b;
head.conv;top;axes 2 0 1
;h.unused;
"""
RAW = {
    **{f"h.{name}": part.T for name, part in zip("qkv", np.split(QKV, 3), strict=True)},
    "h.fc.w": BASE["blocks.0.fc.weight"].T,
    "h.fc.b": BASE["blocks.0.fc.bias"],
    "top": BASE["head.conv"].transpose(1, 2, 0),
}


def save(path: Path, values: dict[str, Any]) -> Path:
    np.savez(path, **values)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "names.csv").write_text(TABLE.replace(";h.unused;\n", ""))
    return tmp_path / "names.csv"


def test_a_table_names_pairs_parts_and_axes(tmp_path: Path, table: Path) -> None:
    base, raw = save(tmp_path / "base.npz", BASE), save(tmp_path / "raw.npz", RAW)
    found = padiff.compare(base, raw, name_map=table, mode="strict", atol=0, rtol=0)
    assert found.aligned
    assert (found.totals.compared, found.totals.identical) == (6, 6)
    with pytest.raises(FormatError, match="expected names in common in .*suggest-map"):
        padiff.compare(base, raw)


@pytest.mark.parametrize(
    ("name", "place", "worst"),
    [("h.k", (1, 2), (2, 1)), ("top", (1, 4, 0), (0, 1, 4)), ("h.fc.b", (3,), (3,))],
)
def test_what_differs_in_them_is_found(
    tmp_path: Path, table: Path, name: str, place: tuple[int, ...], worst: tuple[int, ...]
) -> None:
    changed = {key: value.copy() for key, value in RAW.items()}
    changed[name][place] += 1
    base, raw = save(tmp_path / "base.npz", BASE), save(tmp_path / "raw.npz", changed)
    found = padiff.compare(base, raw, name_map=table, mode="strict")
    assert found.totals.diverged == 1
    first = found.first_divergence
    assert first is not None
    assert first.figures is not None
    assert f"{first.raw.route}.{first.raw.tensor}".lstrip(".") == name
    assert first.figures.worst_index == worst


class Fused(torch.nn.Module):
    """Queries, keys and values of one layer, or of three; then what is made of them."""

    def __init__(self, kinds: Any, count: int) -> None:
        super().__init__()
        names = ["qkv"] if count == 1 else ["q", "k", "v"]
        self.parts = torch.nn.ModuleDict({n: kinds.Linear(4, 12 // count) for n in names})
        self.norm = kinds.LayerNorm(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.norm(torch.cat([part(x) for part in self.parts.values()], -1))
        return torch.as_tensor(found)


def test_a_layer_of_which_others_are_parts_is_none_of_their_pair(tmp_path: Path) -> None:
    """Its weights are compared with theirs, and no output of its with one of theirs."""
    base, raw = Fused(torch.nn, 1), Fused(torch.nn, 3)
    held = base.state_dict()
    for place in ("weight", "bias"):
        parts = held[f"parts.qkv.{place}"].chunk(3)
        held |= {f"parts.{name}.{place}": part for name, part in zip("qkv", parts, strict=True)}
    raw.load_state_dict({name: held[name] for name in raw.state_dict()})
    for name, net in (("base", base), ("raw", raw)):
        model = padiff.create_model(net)
        model.backward(model(torch.linspace(-2, 2, 8).reshape(2, 4)).square().mean())
        model.try_dump(dir_path=tmp_path / f"{name}.zarr")
    (tmp_path / "names.csv").write_text(
        "base,raw,layout\n"
        + "".join(
            f"parts.qkv.{place},parts.{name}.{place},base {at}/3\n"
            for place in ("weight", "bias")
            for at, name in enumerate("qkv", start=1)
        )
    )
    stores = tmp_path / "base.zarr", tmp_path / "raw.zarr"
    found = padiff.compare(*stores, name_map=tmp_path / "names.csv", mode="strict", atol=1e-6)
    assert found.aligned
    reported = {item.route for item in found.unmatched if item.section == "report"}
    assert reported == {"parts.qkv", "parts.q", "parts.k", "parts.v"}


def test_a_pair_that_a_table_names_is_compared_once(tmp_path: Path) -> None:
    """Though the layouts of the two frameworks pair it as well."""
    norms = torch.nn.LayerNorm(4), paddle.nn.LayerNorm(4)
    norms[1].bias.set_value(np.ones(4, np.float32))
    for name, norm, framework in zip(("ln", "norm"), norms, (torch, paddle), strict=True):
        net = framework.nn.Sequential()
        (net.add_module if framework is torch else net.add_sublayer)(name, norm)
        padiff.create_model(net).dump_weights(tmp_path / f"{name}.zarr")
    (tmp_path / "names.csv").write_text("base,raw\nln.weight,norm.weight\nln.bias,norm.bias\n")
    stores = tmp_path / "ln.zarr", tmp_path / "norm.zarr"
    for options in ({"name_map": tmp_path / "names.csv"}, {"rename": "^norm=ln"}):
        found = padiff.compare(*stores, **options)
        assert (found.totals.compared, found.totals.diverged) == (2, 1)


def test_parts_that_are_not_equal(tmp_path: Path) -> None:
    query, keys = np.split(QKV, [8])
    base = save(tmp_path / "base.npz", {"qkv": QKV, "wide": QKV.T})
    held = {"q": query, "k": keys.T, "wide_q": query.T, "wide_k": keys}
    (tmp_path / "names.csv").write_text(
        "base,raw,layout\n"
        'qkv,q,base 0:8\nqkv,k,"base 8:12, transposed"\n'
        'wide,wide_q,base 0:8 of axis 1\nwide,wide_k,"base 8:12 of axis 1, transposed"\n'
    )
    raw = save(tmp_path / "raw.npz", held)
    exact: Any = {"name_map": tmp_path / "names.csv", "mode": "strict", "atol": 0, "rtol": 0}
    found = padiff.compare(base, raw, **exact)
    assert found.aligned
    assert found.totals.identical == 4
    held["wide_k"] = keys + np.eye(4)[[2]].T * np.eye(4)[3]
    first = padiff.compare(base, save(tmp_path / "raw.npz", held), **exact).first_divergence
    assert first is not None
    assert (first.raw.tensor, first.figures and first.figures.worst_index) == ("wide_k", (3, 2))
    back = tmp_path / "back.csv"
    back.write_text(
        'base,raw,layout\nq,qkv,raw 0:8\nk,qkv,"raw 8:12, transposed"\n'
        'wide_q,wide,raw 0:8 of axis 1\nwide_k,wide,"raw 8:12 of axis 1, transposed"\n'
    )
    raw = save(tmp_path / "raw.npz", held | {"wide_k": keys})
    found = padiff.compare(raw, base, **{**exact, "name_map": back})
    assert found.aligned
    assert found.totals.identical == 4


@pytest.mark.parametrize("side", ["base", "raw"])
def test_a_row_without_a_partner_keeps_a_tensor_apart(tmp_path: Path, side: str) -> None:
    location = save(tmp_path / "base.npz", BASE)
    name = "blocks.0.fc.bias"
    (tmp_path / "names.csv").write_text(
        f"base,raw\n{name if side == 'base' else ''},{name if side == 'raw' else ''}\n"
    )
    found = padiff.compare(location, location, name_map=tmp_path / "names.csv")
    alone = [r for r in found.records if r.status == "missing"]
    assert found.totals.compared == len(BASE) - 1
    assert {(r.base.tensor or r.raw.tensor) for r in alone} == {"bias"}
    assert not found.aligned
    (tmp_path / "names.csv").write_text(f"base,raw\n{name},\n{name},{name}\n")
    assert padiff.compare(location, location, name_map=tmp_path / "names.csv").aligned


def test_a_row_without_a_partner_keeps_a_part_apart(tmp_path: Path) -> None:
    ours = torch.nn.Sequential(torch.nn.MultiheadAttention(4, 2))
    theirs = paddle.nn.Sequential(paddle.nn.MultiHeadAttention(4, 2))
    padiff.create_model(ours, "Net").dump_weights(tmp_path / "ours")
    padiff.create_model(theirs, "Net").dump_weights(tmp_path / "theirs")
    (tmp_path / "names.csv").write_text("base,raw\n,0.k_proj.weight\n")
    compared = []
    for table in (None, tmp_path / "names.csv"):
        found = padiff.compare(tmp_path / "ours", tmp_path / "theirs", name_map=table)
        pairs = (r for r in found.records if r.base.tensor and r.raw.tensor)
        compared.append({(r.raw.route, r.raw.tensor) for r in pairs})
    assert compared[0] - compared[1] == {("0", "k.weight")}
    assert [u.route for u in found.unmatched] == ["0.k_proj"]


def test_patterns_rename_one_after_the_other(tmp_path: Path) -> None:
    renamed = {f"module.{name.replace('fc.', 'dense.')}": value for name, value in BASE.items()}
    base, raw = save(tmp_path / "base.npz", BASE), save(tmp_path / "raw.npz", renamed)
    found = padiff.compare(base, raw, rename=[r"^module\.=", r"dense\.(\w+)=fc.\1"])
    assert found.aligned
    assert found.totals.compared == 4
    assert not padiff.compare(base, raw, rename=[r"^module\.="]).aligned
    for collision in ("^.*$=x", r"weight=bias", r"head.conv=blocks.0.dense.bias"):
        with pytest.raises(UsageError, match="leave each name of raw its own"):
            padiff.compare(base, raw, rename=[collision])
    with pytest.raises(UsageError, match="to fit a name of raw, found none: it has module"):
        padiff.compare(base, raw, rename=["^model=x"])


def test_layers_of_stores_are_renamed_in_every_section(tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def __init__(self, *names: str) -> None:
            super().__init__()
            torch.manual_seed(0)
            for name in names:
                self.add_module(name, torch.nn.Linear(3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.children():
                x = layer(x)
            return x

    for side, names in (("base", ("a", "b", "c")), ("raw", ("x_c", "x_b", "x_a"))):
        proxy = padiff.create_model(Net(*names), "Net")
        proxy.backward(proxy(torch.ones(2, 3)).sum())
        proxy.try_dump(1, tmp_path / side)
    found = padiff.compare(tmp_path / "base", tmp_path / "raw", rename=["^x_="])
    assert {(r.base.route, r.raw.route) for r in found.records if r.base.route} == {
        (name, f"x_{name}") for name in "abc"
    }


@pytest.mark.parametrize("text", ["", "=x", "(=x", r"a=\2", "ab"])
def test_what_is_no_substitution(tmp_path: Path, text: str) -> None:
    base = save(tmp_path / "base.npz", BASE)
    with pytest.raises(UsageError, match="in place of|take its place|expected REGEX=REPLACEMENT"):
        padiff.compare(base, base, rename=[text])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found nothing"),
        ("a,b\nc,d\n", "expected the columns base and raw in .*found 'a, b'"),
        ("base,raw,layout\nx,y,sideways\n", "line 2 of .*found 'sideways'"),
        ("base,raw,layout\nx,y,base 4/3\n", "found 'base 4/3'"),
        ("base,raw,layout\nx,y,axes 0 0\n", "each axis once"),
        (
            "base,raw\nblocks.0.fc.weigth,h.k\n",
            r"line 2 of \S+names.csv, .*is it blocks.0.fc.w",
        ),
        ("base,raw,layout\nhead.conv,h.k,transposed\n", None),
        ("base,raw,layout\nhead.conv,top,transposed\n", "it names 2 axes"),
        ("base,raw,layout\nhead.conv,top,base 1/3\n", "not cut in 3 equal parts"),
        ("base,raw,layout\nhead.conv,top,base 1:3\n", "is .2, 3, 5., got base 1:3: it is not that"),
        ("base,raw,layout\nhead.conv,top,base 2:2\n", "found 'base 2:2'"),
        (f"base,raw,layout\nhead.conv,top,base 1/{'9' * 5000}\n", "found 'base 1/9999"),
        ("base,raw,layout\nhead.conv,top,base 1/3 of axis 7\n", "not cut in 3 equal parts"),
        ("\0\xff", "expected the columns"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, words: str | None) -> None:
    base, raw = save(tmp_path / "base.npz", BASE), save(tmp_path / "raw.npz", RAW)
    (tmp_path / "names.csv").write_text(text)
    if words is None:  # a shape that is another is a divergence, not a mistake of the table's
        assert not padiff.compare(base, raw, name_map=tmp_path / "names.csv").aligned
        return
    with pytest.raises(PadiffError, match=words) as error:
        padiff.compare(base, raw, name_map=tmp_path / "names.csv")
    assert isinstance(error.value, UsageError | FormatError)
    assert "\n" not in str(error.value)


def test_a_table_of_the_sides_in_the_other_order(tmp_path: Path, table: Path) -> None:
    base, raw = save(tmp_path / "base.npz", BASE), save(tmp_path / "raw.npz", RAW)
    turned = rf"column base of {table} to name .* the other way round: swap the two locations, or"
    with pytest.raises(UsageError, match=turned):
        padiff.compare(raw, base, name_map=table)
    with table.open("a") as file:  # a name that both sides have tells nothing
        file.write("head.conv;head.conv;\n")
    save(raw, RAW | {"head.conv": BASE["head.conv"]})
    with pytest.raises(UsageError, match=turned):
        padiff.compare(raw, base, name_map=table)
    table.write_text("base,raw\nh.fc.b,blocks.0.fc.bias\nblocks.0.fc.bias,h.fc.b\n")
    with pytest.raises(UsageError, match=rf"names of base in line 2 of {table}, found h.fc.b,"):
        padiff.compare(base, raw, name_map=table)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    base = save(tmp_path / "base.npz", BASE)
    with pytest.raises(LocationError, match="expected a table of names at"):
        padiff.compare(base, base, name_map=tmp_path / "nothing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="no text"):
        padiff.compare(base, base, name_map=tmp_path / "binary.csv")


def test_a_table_survives_writing_and_reading(tmp_path: Path) -> None:
    pairs = [
        NamedPair("a,b", 'c"d', NamedLayout(axes=(1, 0)), "certain", "equal values"),
        NamedPair("a", None, reason="no partner"),
        NamedPair("x", "y", NamedLayout("raw", (1, 3), 1, (2, 0, 1)), "guess"),
        NamedPair("x", "z", NamedLayout("base", along=1, axes=(1, 0), span=(32, 40)), "likely"),
    ]
    (tmp_path / "names.csv").write_text(table_text(pairs))
    read = read_table(tmp_path / "names.csv")
    assert [(p.base, p.raw, p.layout, p.certainty, p.reason) for p in read] == [
        (p.base, p.raw, p.layout, p.certainty, p.reason) for p in pairs
    ]
    for pair in pairs:
        assert parse_layout(str(pair.layout)) == pair.layout
