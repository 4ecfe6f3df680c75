"""Parameters that one framework packs, and the other keeps in sublayers or in another shape."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import Comparison, assign_weight, compare, create_model
from padiff.comparing.pieces import Piece, array_of, match_pieces
from padiff.errors import CorruptError
from padiff.store.reader import open_dump
from tests.zoo import SIDES

ORDERS = [("torch", "paddle"), ("paddle", "torch")]
both_ways = pytest.mark.parametrize(("base", "raw"), ORDERS, ids=["-".join(o) for o in ORDERS])


class TorchNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = torch.nn.LayerNorm([3, 8])
        self.mix = torch.nn.Bilinear(8, 8, 4)

    def forward(self, x: Any) -> Any:
        x = self.norm(self.attention(x, x, x)[0]).reshape([-1, 8])
        return self.mix(x, x * 0.5)


class PaddleNet(paddle.nn.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.attention = paddle.nn.MultiHeadAttention(8, 2)
        self.norm = paddle.nn.LayerNorm([3, 8])
        self.mix = paddle.nn.Bilinear(8, 8, 4)

    def forward(self, x: Any) -> Any:
        x = self.norm(self.attention(x)).reshape([-1, 8])
        return self.mix(x, x * 0.5)


NETS: dict[str, type] = {"torch": TorchNet, "paddle": PaddleNet}


def run(framework: str, net: Any, where: Path) -> Path:
    side = SIDES[framework]
    proxy = create_model(net, name="Net")
    x = np.random.default_rng(0).standard_normal((2, 3, 8)).astype(np.float32)
    proxy.backward(side.loss(proxy(side.tensor(x))))
    proxy.try_dump(dir_path=where)
    proxy.dump_grads(where, step=0)
    proxy.dump_weights(where, step=0)
    return where


def nets(base: str, raw: str) -> tuple[Any, Any]:
    models = NETS[base](), NETS[raw]()
    assert assign_weight(*models)
    return models


def compared(tmp_path: Path, base: str, raw: str, models: Any) -> Comparison:
    paths = [run(f, m, tmp_path / n) for f, m, n in zip((base, raw), models, "ab", strict=True)]
    return compare(*paths, mode="strict", atol=1e-5)


@both_ways
def test_twins_are_aligned_and_every_element_compared(base: str, raw: str, tmp_path: Path) -> None:
    models = nets(base, raw)
    found = compared(tmp_path, base, raw, models)
    assert found.aligned
    elements = sum(p.numel() for p in models[(base, raw).index("torch")].parameters())
    for section, phase in (("weights", None), ("grads", "backward"), ("params", None)):
        records = [r for r in found.records if (r.section, r.phase) == (section, phase)]
        assert sum(record.size for record in records) == elements
        names = {r.base.tensor for r in records if r.base.route == "attention"}
        assert names == {f"{part}.{kind}" for part in "qkv" for kind in ("weight", "bias")}
    lone = {item.route for item in found.unmatched if item.section != "report"}
    assert lone == set()


@both_ways
@pytest.mark.parametrize("part", "qkv")
@pytest.mark.parametrize("kind", ["weight", "bias"])
def test_a_wrong_element_is_found_in_its_part(
    base: str, raw: str, part: str, kind: str, tmp_path: Path
) -> None:
    models = nets(base, raw)
    attention = models[1].attention
    with torch.no_grad(), paddle.no_grad():
        if raw == "torch":
            packed = attention.in_proj_weight if kind == "weight" else attention.in_proj_bias
            packed["qkv".index(part) * 8 + 3] += 0.25
        else:
            parameter = getattr(getattr(attention, f"{part}_proj"), kind)
            values = parameter.numpy()
            values[..., 3] += 0.25  # the output 3, which is the last axis there
            parameter.set_value(values)
    found = compared(tmp_path, base, raw, models)
    first = found.first_divergence
    assert first is not None
    assert (first.section, first.phase, first.raw.tensor) == ("params", None, f"{part}.{kind}")
    assert first.raw.route == "attention"
    assert first.figures is not None
    assert first.figures.mismatched == (8 if kind == "weight" else 1)
    assert first.figures.max_abs == pytest.approx(0.25)
    wrong = {r.raw.tensor for r in found.records if r.diverged and r.section == "weights"}
    assert wrong == {f"{part}.{kind}"}


def test_damage_to_what_is_packed_is_no_divergence(tmp_path: Path) -> None:
    models = nets("torch", "paddle")
    paths = [run(f, m, tmp_path / n) for f, m, n in zip(ORDERS[0], models, ("a", "b"), strict=True)]
    (array,) = (tmp_path / "a/step_0/weights").rglob("in_proj_weight")
    (chunk,) = (path for path in array.rglob("*") if path.is_file() and path.suffix != ".json")
    data = bytearray(chunk.read_bytes())
    data[5] ^= 64
    chunk.write_bytes(data)
    with pytest.raises(CorruptError, match="in_proj_weight"):
        compare(*paths, sections=["weights"], mode="strict", atol=1e-5)


def test_a_piece_is_read_as_it_lies_in_the_whole(tmp_path: Path) -> None:
    models = nets("torch", "paddle")
    run("torch", models[0], tmp_path / "a")
    run("paddle", models[1], tmp_path / "b")
    sections = [open_dump(tmp_path / name / "step_0").weights for name in "ab"]
    nodes = [{node.route: node for node in section.tree.walk()} for section in sections]
    layers = nodes[0]["attention"], nodes[1]["attention"]
    pairs = match_pieces(layers, ORDERS[0], (nodes[0], nodes[1]))
    by_name = {base.place: base for base, _ in pairs}
    assert all(isinstance(piece, Piece) for pair in pairs for piece in pair)
    whole = models[0].attention.in_proj_weight.detach().numpy()
    array = array_of(sections[0], by_name["k.weight"])
    np.testing.assert_array_equal(np.asarray(array), whole[8:16])
    np.testing.assert_array_equal(array[2:5, 1], whole[10:13, 1])
