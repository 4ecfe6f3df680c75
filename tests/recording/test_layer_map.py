"""Layer maps: which layers go together, in which order, and what they leave out."""

from pathlib import Path
from typing import Any

import paddle
import pytest
import torch

from padiff import ProxyModel, add_special_init, compare, create_model, open_dump
from padiff.errors import FormatError, UsageError
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)
NN: dict[str, Any] = {"torch": torch.nn, "paddle": paddle.nn}
BASE: dict[str, Any] = {name: nn.Module if name == "torch" else nn.Layer for name, nn in NN.items()}


def parallel(framework: str, *, left_first: bool, scale: float = 1.0) -> Any:
    """Two equal branches, of which either may run first; `scale` is a fault in the right one."""
    nn = NN[framework]

    class Scaled(BASE[framework]):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.Tanh()

        def forward(self, x: Any) -> Any:
            return self.act(x) * 1.0

    class Branches(BASE[framework]):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.a = Scaled()
            self.b = Scaled()

        def forward(self, x: Any) -> Any:
            if left_first:
                left = self.a(x)
                right = self.b(x * 3) * scale
            else:
                right = self.b(x * 3) * scale
                left = self.a(x)
            return left + right

    return Branches()


def run(proxy: ProxyModel, framework: str, where: Path) -> Path:
    (x,), _ = ZOO["residual"].inputs(framework)
    proxy.backward(proxy(x).mean())
    proxy.dump_report(where, step=0)
    proxy.clear_report()
    return where


@both
def test_what_lies_below_a_mapped_layer_is_left_out(framework: str, tmp_path: Path) -> None:
    proxy = create_model(parallel(framework, left_first=True))
    proxy.set_layer_map([proxy.model.a])
    report = open_dump(run(proxy, framework, tmp_path) / "step_0").report
    assert [(node.route, node.type) for node in report.tree.walk()] == [
        ("", "net"),
        ("a", "in map"),
        ("b", "net"),
        ("b.act", "net"),
    ]
    assert report.header.layer_map == ("a",)


@both
def test_the_order_given_decides_which_go_together(framework: str, tmp_path: Path) -> None:
    """Names say a-a and b-b; here a of one side is b of the other."""
    base = create_model(parallel(framework, left_first=True))
    raw = create_model(parallel(framework, left_first=False))
    base.set_layer_map([base.model.b, base.model.a])
    raw.set_layer_map([raw.model.b, raw.model.a])
    paths = run(base, framework, tmp_path / "base"), run(raw, framework, tmp_path / "raw")
    assert compare(*paths, mode="strict", atol=0).aligned
    raw.set_layer_map([raw.model.a, raw.model.b])
    crossed = compare(paths[0], run(raw, framework, tmp_path / "crossed"), mode="strict", atol=0)
    assert not crossed.aligned
    assert {(r.base.route, r.raw.route) for r in crossed.records if r.base.route} == {
        ("a", "b"),
        ("b", "a"),
    }


@both
def test_a_second_map_replaces_the_first(framework: str, tmp_path: Path) -> None:
    proxy = create_model(parallel(framework, left_first=True))
    proxy.set_layer_map([proxy.model.a])
    proxy.set_layer_map([proxy.model.b])
    report = open_dump(run(proxy, framework, tmp_path) / "step_0").report
    assert [node.route for node in report.tree.walk()] == ["", "a", "a.act", "b"]


@both
@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda net, other: [net.a, other.a], "expected layers of this Branches, got Scaled"),
        (lambda net, other: [net.a, net.b, net.a], r"got a \(Scaled\) twice"),
        (lambda net, other: [net], r"got the model itself \(Branches\)"),
    ],
)
def test_a_map_that_makes_no_sense(framework: str, layers: Any, message: str) -> None:
    proxy = create_model(parallel(framework, left_first=True))
    proxy.set_layer_map([proxy.model.b])
    with pytest.raises(UsageError, match=message):
        proxy.set_layer_map(layers(proxy.model, parallel(framework, left_first=True)))
    assert proxy._selection.layer_map == ("b",)


def test_maps_of_two_lengths_are_an_error_that_names_both(tmp_path: Path) -> None:
    base, raw = (create_model(parallel(name, left_first=True)) for name in ("torch", "paddle"))
    base.set_layer_map([base.model.a, base.model.b])
    raw.set_layer_map([raw.model.b])
    paths = run(base, "torch", tmp_path / "base"), run(raw, "paddle", tmp_path / "raw")
    with pytest.raises(FormatError, match=r"2 layers in that of base \(a, b\) and 1 .* raw \(b\)"):
        compare(*paths)


@both
def test_the_map_that_is_made_automatically(framework: str) -> None:
    nn = NN[framework]
    attention = {"torch": "MultiheadAttention", "paddle": "MultiHeadAttention"}[framework]

    class Mixed(BASE[framework]):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.rnn = nn.LSTM(4, 4)
            self.attention = getattr(nn, attention)(4, 2)
            self.own = parallel(framework, left_first=True)

    proxy = create_model(Mixed())
    assert proxy.auto_layer_map("base") == ("rnn", "attention")
    assert proxy._selection.layer_map == ("rnn", "attention")
    # a layer of the user's own class, on the side that it was registered for
    add_special_init(framework, "Branches", "torch", "Other", lambda base, raw: None)
    assert proxy.auto_layer_map("base") == ("rnn", "attention", "own")
    assert proxy.auto_layer_map("raw") == ("rnn", "attention")
    with pytest.raises(UsageError, match="the side 'base' or 'raw', got 'left'"):
        proxy.auto_layer_map("left")  # type: ignore[arg-type]
