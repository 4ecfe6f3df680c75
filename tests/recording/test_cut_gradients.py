"""A gradient that is cut off on one side is named where it is; one that nobody asked for is not."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from msgspec import structs

from padiff import compare, create_model, open_dump
from padiff.comparing.comparison import Comparison
from padiff.store.writer import write_section
from padiff.tree import LayerTree, Node
from tests.zoo import SIDES

both = pytest.mark.parametrize("framework", SIDES)
X = np.linspace(-2, 2, 12, dtype="float32").reshape(3, 4)
NN: dict[str, Any] = {"torch": torch.nn, "paddle": paddle.nn}
BASES: dict[str, Any] = {"torch": torch.nn.Module, "paddle": paddle.nn.Layer}
NO_GRAD: dict[str, Any] = {"torch": torch.no_grad, "paddle": paddle.no_grad}


def linear(framework: str, seed: int) -> Any:
    layer = NN[framework].Linear(4, 4)
    values = np.random.default_rng(seed).normal(size=(4, 4)).astype("float32")
    with NO_GRAD[framework]():
        if framework == "torch":
            layer.weight.copy_(torch.from_numpy(values))
            layer.bias.zero_()
        else:
            layer.weight.set_value(values)
    return layer


def chain(framework: str, cut: str = "") -> Any:
    """ReLU and three linear layers, before one of which the gradient may be cut off."""
    base: Any = BASES[framework]

    class Chain(base):  # type: ignore[misc]  # of either framework
        def __init__(self) -> None:
            super().__init__()
            self.act = NN[framework].ReLU()
            self.one = linear(framework, 1)
            self.two = linear(framework, 2)
            self.three = linear(framework, 3)

        def forward(self, x: Any) -> Any:
            for name in ("act", "one", "two", "three"):
                x = getattr(self, name)(x.detach() if name == cut else x)
            return x

    return Chain()


def attention(framework: str, cut: str = "") -> Any:
    """Three projections of one input, and a layer that takes them all."""
    base: Any = BASES[framework]

    class Core(base):  # type: ignore[misc]  # as above
        def forward(self, q: Any, k: Any, v: Any) -> Any:
            return (q * k).tanh() * v

    class Attention(base):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.first = linear(framework, 4)
            self.q, self.k, self.v = (linear(framework, seed) for seed in range(3))
            self.core = Core()

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            q, k, v = self.q(x), self.k(x), self.v(x)
            return self.core(q, k, v.detach() if cut == "v" else v)

    return Attention()


def towers(framework: str) -> Any:
    """Two layers that are both given what the model is."""
    base: Any = BASES[framework]

    class Towers(base):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = linear(framework, 1), linear(framework, 2)
            self.last = linear(framework, 3)

        def forward(self, x: Any) -> Any:
            return self.last(self.one(x) + self.two(x))

    return Towers()


FIRST: dict[Callable[[str], Any], list[str]] = {
    chain: ["", "act", "one"],
    attention: ["", "first"],
    towers: ["", "one", "two"],
}


def given(framework: str, *, asks: bool) -> Any:
    if framework == "torch":
        return torch.from_numpy(X.copy()).requires_grad_(asks)
    return paddle.to_tensor(X, stop_gradient=not asks)


def dump(
    model: Any, framework: str, where: Path, *, asks: bool = False, backward: bool = True
) -> Path:
    proxy = create_model(model)
    loss = (proxy(given(framework, asks=asks)) ** 2).mean()
    if backward:
        proxy.backward(loss)
    proxy.dump_report(where)
    return where


def missing(comparison: Comparison) -> list[tuple[str | None, str | None]]:
    return [
        (record.base.route, record.base.tensor or record.raw.tensor)
        for record in comparison.records
        if record.status == "missing"
    ]


@both
@pytest.mark.parametrize("asks", [(False, False), (True, True), (True, False), (False, True)])
@pytest.mark.parametrize("cut_side", ["base", "raw"])
def test_a_gradient_cut_in_the_middle(
    framework: str, asks: tuple[bool, bool], cut_side: str, tmp_path: Path
) -> None:
    cuts = ("two", "") if cut_side == "base" else ("", "two")
    base, raw = (
        dump(chain(framework, cut), framework, tmp_path / name, asks=asked)
        for name, cut, asked in zip(("base", "raw"), cuts, asks, strict=True)
    )
    comparison = compare(base, raw, sections=["report"])
    assert not comparison.aligned
    first = comparison.first_divergence
    assert first is not None
    assert (first.base.route, first.phase, first.status) == ("two", "backward", "missing")
    uncut_asks = asks[1] if cut_side == "base" else asks[0]
    cut_asks = asks[0] if cut_side == "base" else asks[1]
    above = [("one", "0"), ("act", "0"), ("", "0")] if uncut_asks and cut_asks else []
    assert missing(comparison) == [("two", "0"), *above]


@both
@pytest.mark.parametrize("asks", [(True, False), (False, True), (True, True), (False, False)])
@pytest.mark.parametrize("make", FIRST)
def test_gradients_of_inputs_that_one_side_asks_for(
    framework: str, make: Callable[[str], Any], asks: tuple[bool, bool], tmp_path: Path
) -> None:
    base, raw = (
        dump(make(framework), framework, tmp_path / f"{at}", asks=asked)
        for at, asked in enumerate(asks)
    )
    comparison = compare(base, raw, mode="strict", atol=1e-7)
    assert comparison.aligned
    lone = [item.route for item in comparison.unmatched]
    assert lone == (FIRST[make] if asks[0] != asks[1] else [])


@both
@pytest.mark.parametrize("asks", [True, False])
def test_a_side_that_ran_no_backward_pass(framework: str, asks: bool, tmp_path: Path) -> None:
    base = dump(chain(framework), framework, tmp_path / "base", asks=True)
    raw = dump(chain(framework), framework, tmp_path / "raw", asks=asks, backward=False)
    with NO_GRAD[framework]():
        bare = dump(chain(framework), framework, tmp_path / "bare", backward=False)
    for other in (raw, bare):
        for pair in ((base, other), (other, base)):
            comparison = compare(*pair)
            assert not comparison.aligned
            assert missing(comparison) == [(r, "0") for r in ("three", "two", "one", "act", "")]
            assert compare(*pair, phase="forward").aligned
    assert compare(raw, bare).aligned


@both
def test_a_backward_pass_that_reaches_no_layer(framework: str, tmp_path: Path) -> None:
    """The model's output is computed from nothing that is trained, as far as raw knows."""
    base = dump(chain(framework), framework, tmp_path / "base")
    model = chain(framework)
    proxy = create_model(model)
    result = proxy(given(framework, asks=False))
    proxy.backward(result.detach().mean() * model.one.weight.mean())
    proxy.dump_report(tmp_path / "raw")
    comparison = compare(base, tmp_path / "raw")
    assert not comparison.aligned
    assert missing(comparison) == [("three", "0"), ("two", "0")]


@both
@pytest.mark.parametrize("by_user", [True, False])
def test_a_layer_alone_whose_input_asks_on_one_side(
    framework: str, by_user: bool, tmp_path: Path
) -> None:
    """In raw no layer has a gradient, though its backward ran: its output had one."""
    for name in ("base", "raw"):
        proxy = create_model(linear(framework, 1))
        loss = (proxy(given(framework, asks=name == "base")) ** 2).mean()
        loss.backward() if by_user else proxy.backward(loss)
        proxy.dump_report(tmp_path / name)
    comparison = compare(tmp_path / "base", tmp_path / "raw")
    assert comparison.aligned
    assert [item.phase for item in comparison.unmatched] == ["backward"]


@both
@pytest.mark.parametrize("cut_side", ["base", "raw"])
def test_one_of_a_layers_gradients(framework: str, cut_side: str, tmp_path: Path) -> None:
    cuts = ("v", "") if cut_side == "base" else ("", "v")
    base, raw = (
        dump(attention(framework, cut), framework, tmp_path / f"{at}")
        for at, cut in enumerate(cuts)
    )
    comparison = compare(base, raw)
    assert missing(comparison) == [("core", "2")]
    first = comparison.first_divergence
    assert first is not None
    assert (first.base.route, first.status) == ("core", "missing")


@both
def test_a_gradient_of_zeros_is_as_good_as_none(framework: str, tmp_path: Path) -> None:
    parent: Any = BASES[framework]

    class Core(parent):  # type: ignore[misc]  # as above
        def forward(self, x: Any, y: Any) -> Any:
            return x + y * 0

    class Blind(parent):  # type: ignore[misc]  # as above
        def __init__(self, *, cut: bool) -> None:
            super().__init__()
            self.one, self.two, self.core = linear(framework, 1), linear(framework, 2), Core()
            self.cut = cut

        def forward(self, x: Any) -> Any:
            x = self.one(x)
            y = self.two(x)
            return self.core(x, y.detach() if self.cut else y)

    base, raw = (dump(Blind(cut=cut), framework, tmp_path / f"{cut}") for cut in (False, True))
    comparison = compare(base, raw)
    assert comparison.aligned
    assert [(item.route, item.tensor) for item in comparison.unmatched] == [("core", "1")]


def fork(framework: str, cut: str = "") -> Any:
    """Two inputs, of which the second meets no parameter before the first's, and may be cut off."""
    base: Any = BASES[framework]

    class Fork(base):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = linear(framework, 1), linear(framework, 2)
            self.act, self.act2 = NN[framework].ReLU(), NN[framework].Tanh()

        def forward(self, x: Any, y: Any) -> Any:
            h = self.conv(x)
            z = self.act(y)
            z = self.act2(z.detach() if cut == "act2" else z)
            return self.head(h + z)

    return Fork()


def joint(framework: str, cut: str = "") -> Any:
    """Layers that are given two inputs and what is made of both, which may be cut off."""
    base: Any = BASES[framework]

    class Product(base):  # type: ignore[misc]  # as above
        def forward(self, x: Any, y: Any) -> Any:
            return x * y

    class Joint(base):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.product, self.act = Product(), NN[framework].Tanh()
            self.head = linear(framework, 2)

        def forward(self, x: Any, y: Any) -> Any:
            z = self.act(self.product(x, y))
            return self.head(z.detach() if cut == "head" else z)

    return Joint()


def dump_two(
    model: Any, framework: str, where: Path, asks: tuple[bool, bool], *, named: bool = False
) -> Path:
    proxy = create_model(model)
    x, y = (given(framework, asks=asked) for asked in asks)
    proxy.backward((proxy(x=x, y=y) if named else proxy(x, y)).square().mean())
    proxy.dump_report(where)
    return where


EITHER = list(itertools.product([False, True], repeat=2))


@both
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("raw_asks", EITHER)
@pytest.mark.parametrize("base_asks", EITHER)
def test_gradients_of_different_inputs(
    framework: str,
    base_asks: tuple[bool, bool],
    raw_asks: tuple[bool, bool],
    named: bool,
    tmp_path: Path,
) -> None:
    base = dump_two(fork(framework), framework, tmp_path / "base", base_asks)
    raw = dump_two(fork(framework), framework, tmp_path / "raw", raw_asks, named=named)
    comparison = compare(base, raw, mode="strict", atol=1e-7)
    assert comparison.aligned
    hanging = [["", "conv"], ["", "act", "act2"]]
    differ = [a != b for a, b in zip(base_asks, raw_asks, strict=True)]
    lone = [route for at, routes in enumerate(hanging) if differ[at] for route in routes]
    found = [item.route for item in comparison.unmatched if item.phase == "backward"]
    assert sorted(found) == sorted(lone)


@both
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("x_asks", EITHER)
@pytest.mark.parametrize("cut_side", ["base", "raw"])
def test_a_gradient_cut_in_a_branch_of_its_own(
    framework: str, x_asks: tuple[bool, bool], cut_side: str, named: bool, tmp_path: Path
) -> None:
    cuts = ("act2", "") if cut_side == "base" else ("", "act2")
    base = dump_two(fork(framework, cuts[0]), framework, tmp_path / "base", (x_asks[0], True))
    raw = dump_two(
        fork(framework, cuts[1]), framework, tmp_path / "raw", (x_asks[1], True), named=named
    )
    place = "y" if named and cut_side == "base" else "1"
    assert missing(compare(base, raw)) == [("act2", "0"), ("act", "0"), ("", place)]


@both
@pytest.mark.parametrize("raw_asks", EITHER)
@pytest.mark.parametrize("base_asks", EITHER)
def test_a_layer_of_which_one_input_or_the_other_asks(
    framework: str, base_asks: tuple[bool, bool], raw_asks: tuple[bool, bool], tmp_path: Path
) -> None:
    base = dump_two(joint(framework), framework, tmp_path / "base", base_asks)
    raw = dump_two(joint(framework), framework, tmp_path / "raw", raw_asks)
    comparison = compare(base, raw, mode="strict", atol=1e-7)
    assert comparison.aligned
    lone = [str(at) for at in range(2) if base_asks[at] != raw_asks[at]]
    for route in ("", "product"):
        assert sorted(i.tensor or "" for i in comparison.unmatched if i.route == route) == lone


@both
@pytest.mark.parametrize("raw_asks", EITHER)
def test_a_layer_that_hangs_on_two_inputs(
    framework: str, raw_asks: tuple[bool, bool], tmp_path: Path
) -> None:
    """Where one of them asks, its gradient is missed, and that input's."""
    base = dump_two(joint(framework), framework, tmp_path / "base", (True, True))
    raw = dump_two(joint(framework, "head"), framework, tmp_path / "raw", raw_asks)
    asked = [
        (route, str(place))
        for route in ("product", "")
        for place, asks in enumerate(raw_asks)
        if asks
    ]
    expected = {("head", "0"), ("act", "0"), *asked} if asked else set()
    assert set(missing(compare(base, raw))) == expected
    assert set(missing(compare(raw, base))) == expected


def older(where: Path, target: Path) -> Path:
    """The report as it was written before the origins of tensors were."""
    report = open_dump(where).report

    def stripped(node: Node) -> Node:
        children = tuple(map(stripped, node.children))
        return structs.replace(node, origins=None, children=children)

    with write_section(target, "report") as writer:
        for node in report.tree.walk():
            for tensor in node.tensors:
                writer.add(tensor.array, np.asarray(report.array(tensor)))
        writer.finish(
            replace(report.header, tree=LayerTree(tuple(map(stripped, report.tree.roots))))
        )
    return target


@both
@pytest.mark.parametrize("asks", EITHER)
def test_reports_of_before_origins_were_recorded(
    framework: str, asks: tuple[bool, bool], tmp_path: Path
) -> None:
    """What one side lacks may be for want of an input that asks, where one does on the other."""
    stores = {}
    for cut in ("", "two"):
        for name, asked in zip(("base", "raw"), asks, strict=True):
            now = dump(chain(framework, cut), framework, tmp_path / f"{name}{cut}", asks=asked)
            stores[name, cut] = older(now, tmp_path / f"older {name}{cut}")
    comparison = compare(stores["base", ""], stores["raw", ""])
    assert comparison.aligned
    lone = [item.route for item in comparison.unmatched]
    assert lone == (FIRST[chain] if asks[0] != asks[1] else [])
    above = [("one", "0"), ("act", "0"), ("", "0")] if all(asks) else []
    found = missing(compare(stores["base", ""], stores["raw", "two"]))
    assert found == ([] if asks == (True, False) else [("two", "0"), *above])
