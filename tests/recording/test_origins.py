"""On which of the model's inputs a tensor hangs that asks for a gradient, if on nothing else."""

import gc
import itertools
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import create_model, open_dump
from padiff.frameworks import framework_of
from padiff.recording.origins import Origins
from padiff.tree import Node
from tests.recording.runs import record
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)
BASES: dict[str, Any] = {"torch": torch.nn.Module, "paddle": paddle.nn.Layer}
X = np.linspace(-2, 2, 12, dtype="float32").reshape(3, 4)


def leaf(framework: str, *, asks: bool = True) -> Any:
    if framework == "torch":
        return torch.from_numpy(X.copy()).requires_grad_(asks)
    return paddle.to_tensor(X, stop_gradient=not asks)


def probing(framework: str, forward: Callable[..., Any]) -> Any:
    """A model with a layer `probe` that returns what it is given, and a parameter `weight`."""
    base: Any = BASES[framework]

    class Probe(base):  # type: ignore[misc]  # of either framework
        def forward(self, *tensors: Any) -> Any:
            return tensors[0]

    class Model(base):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.probe = Probe()
            if framework == "torch":
                self.weight = torch.nn.Parameter(torch.ones(4))
            else:
                self.weight = self.create_parameter([4])

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return forward(self, *args, **kwargs)

    return Model()


def recorded(model: Any, where: Path, *args: Any, **kwargs: Any) -> list[Node]:
    """The nodes of a call of the model, its own first."""
    proxy = create_model(model)
    proxy(*args, **kwargs)
    proxy.dump_report(where)
    return list(open_dump(where).report.tree.walk())


@both
def test_the_models_own_inputs(framework: str, tmp_path: Path) -> None:
    model = probing(framework, lambda self, x, batch, mask: self.probe(x, batch["y"], mask))
    x, y, mask = leaf(framework), leaf(framework), leaf(framework, asks=False)
    root, probe = recorded(model, tmp_path, x, {"y": y}, mask=mask)
    assert root.origins == {"0": ("0",), "1.y": ("1.y",)}
    assert probe.origins == {"0": ("0",), "1": ("1.y",)}
    assert probe.awaits == {"0": True, "1": True, "2": False}


SEEN: dict[str, tuple[Callable[[Any, Any, Any], Any], tuple[str, ...]]] = {
    "one": (lambda self, x, y: x * 2, ("0",)),
    "both": (lambda self, x, y: (x * 2 + y).exp(), ("0", "1")),
    "a parameter": (lambda self, x, y: x * 2 + self.weight, ()),
    "a parameter alone": (lambda self, x, y: self.weight * 1, ()),
    "a parameter itself": (lambda self, x, y: self.weight, ()),
    "cut off": (lambda self, x, y: x.detach() + y, ("1",)),
    "several ways": (lambda self, x, y: (x + 1) * (x + 2) + (x + 1), ("0",)),
}


@both
@pytest.mark.parametrize("kind", SEEN)
def test_what_is_computed_from_inputs(framework: str, kind: str, tmp_path: Path) -> None:
    compute, expected = SEEN[kind]
    model = probing(framework, lambda self, x, y: self.probe(compute(self, x, y)))
    _, probe = recorded(model, tmp_path, leaf(framework), leaf(framework))
    assert probe.origins == {"0": expected}


@both
def test_an_input_that_asks_for_none(framework: str, tmp_path: Path) -> None:
    model = probing(framework, lambda self, x, y: self.probe(x * y))
    _, probe = recorded(model, tmp_path, leaf(framework), leaf(framework, asks=False))
    assert probe.origins == {"0": ("0",)}


@both
def test_one_tensor_at_two_places(framework: str, tmp_path: Path) -> None:
    model = probing(framework, lambda self, x, y: self.probe(x + 1))
    x = leaf(framework)
    _, probe = recorded(model, tmp_path, x, x)
    assert probe.origins == {"0": ("0", "1")}


@both
def test_an_input_that_was_computed(framework: str, tmp_path: Path) -> None:
    """What it was computed from is none of the model's, and is something else when used itself."""
    start = leaf(framework)
    model = probing(framework, lambda self, x: (self.probe(x + 1), self.probe(x + start)))
    _, first, second = recorded(model, tmp_path, start * 2)
    assert first.origins == {"0": ("0",)}
    assert second.origins == {"0": ()}


@both
def test_a_change_in_place(framework: str, tmp_path: Path) -> None:
    """Of a tensor that was made, and of an input: each call has what its tensor was by then."""

    def forward(self: Any, x: Any, y: Any) -> None:
        made = y * 1
        self.probe(made)
        made.add_(x)
        self.probe(made)
        x.multiply_(self.weight)
        self.probe(x)
        self.probe(made)

    x, y = leaf(framework) * 1, leaf(framework)
    _, *probes = recorded(probing(framework, forward), tmp_path, x, y)
    assert [probe.origins for probe in probes] == [
        {"0": ("1",)},
        {"0": ("0", "1")},
        {"0": ()},
        {"0": ("0", "1")},
    ]


def test_a_change_in_place_of_a_view(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        made = x * 1
        made[1].mul_(self.weight)
        return self.probe(made)

    _, probe = recorded(probing("torch", forward), tmp_path, leaf("torch"))
    assert probe.origins == {"0": ()}


class TorchTwice(torch.autograd.Function):
    """Two results of two tensors, by a backward of the user's own."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, token: object) -> Any:
        ctx.token = token
        return x * 2, y * 3

    @staticmethod
    def backward(ctx: Any, x: Any, y: Any) -> Any:
        return x * 2, y * 3, None


class PaddleTwice(paddle.autograd.PyLayer):  # type: ignore[misc]  # paddle ships no types
    """As above."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, token: object) -> Any:
        ctx.token = token
        return x * 2, y * 3

    @staticmethod
    def backward(ctx: Any, x: Any, y: Any) -> Any:
        return x * 2, y * 3


TWICE: dict[str, Any] = {"torch": TorchTwice, "paddle": PaddleTwice}


@both
def test_a_backward_of_the_users_own(framework: str, tmp_path: Path) -> None:
    def forward(self: Any, x: Any, y: Any) -> None:
        first, _ = TWICE[framework].apply(x, y * 2, None)
        self.probe(first)
        first, _ = TWICE[framework].apply(x, y * self.weight, None)
        self.probe(first)

    model = probing(framework, forward)
    _, first, second = recorded(model, tmp_path, leaf(framework), leaf(framework))
    assert first.origins == {"0": ("0", "1")}
    assert second.origins == {"0": ()}


@both
@pytest.mark.parametrize("name", ["checkpoint", "checkpoint-reentrant"])
def test_checkpoints(framework: str, name: str, tmp_path: Path) -> None:
    report = record(ZOO[name], framework, tmp_path).report
    origins = {node.route: node.origins for node in report.tree.walk()}
    assert origins[""] == origins["first"] == {"0": ("0",)}
    assert origins["block"] == origins["last"] == {"0": ()}


def test_two_results_of_one_node(tmp_path: Path) -> None:
    """The model is given the first: of the second it knows nothing."""
    one, two = (leaf("torch") * 2).chunk(2, dim=1)
    model = probing("torch", lambda self, x: (self.probe(x + 1), self.probe(two + 1)))
    _, first, second = recorded(model, tmp_path, one)
    assert first.origins == {"0": ("0",)}
    assert second.origins == {"0": ()}


@both
def test_a_graph_deeper_than_pythons_stack(framework: str, tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        for _ in range(3 * sys.getrecursionlimit()):
            x = x + 1
        return self.probe(x)

    _, probe = recorded(probing(framework, forward), tmp_path, leaf(framework))
    assert probe.origins == {"0": ("0",)}


@both
def test_a_node_in_the_place_of_one_that_is_gone(framework: str) -> None:
    x, weight = leaf(framework), leaf(framework)
    origins = Origins(framework_of(probing(framework, lambda self: None)), [("0", x)])
    found = [origins.of(x * other) for _ in range(100) for other in (2, weight)]
    assert found == [frozenset("0"), frozenset()] * 100


def looked_at(framework: str, *, asks: bool, trained: bool, layers: int) -> int:
    """At how many nodes of the graph recording looks in a call of so many layers.

    `trained` says that they hang on a parameter.
    """
    called: Counter[str] = Counter()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.endswith(f"frameworks/{framework}.py"):
            called[frame.f_code.co_name] += 1

    def forward(self: Any, x: Any) -> Any:
        x = x + self.weight if trained else x
        for _ in range(layers):
            x = self.probe(x + x * 2)
        return x

    proxy = create_model(probing(framework, forward))
    x = leaf(framework, asks=asks)
    sys.setprofile(watch)
    try:
        proxy(x)
    finally:
        sys.setprofile(None)
    assert called["on_gradient"] > layers  # so that it would be seen
    return called["origins"]


@both
@pytest.mark.parametrize("trained", [True, False])
def test_each_node_is_looked_at_once(framework: str, trained: bool) -> None:
    assert 50 <= looked_at(framework, asks=True, trained=trained, layers=50) <= 2 * 50 + 3


@both
def test_no_graph_is_looked_at_where_no_input_asks(framework: str) -> None:
    assert looked_at(framework, asks=False, trained=True, layers=50) == 0


class Token:
    """Held by a node of the graph."""


@both
def test_no_graph_is_kept(framework: str) -> None:
    """Not even while gradients are awaited: the call is over."""
    tokens: list[weakref.ref[Token]] = []

    def forward(self: Any, x: Any) -> Any:
        token = Token()
        tokens.append(weakref.ref(token))
        first, _ = TWICE[framework].apply(x, x, token)
        return self.probe(first) * 2

    proxy = create_model(probing(framework, forward))
    result = proxy(leaf(framework))
    gc.collect()
    assert tokens[0]() is not None
    del result
    gc.collect()
    assert tokens[0]() is None
    assert len(proxy._recording._report.roots) == 1


class Secretive(torch.Tensor):
    """Does not tell which of its node's results it is."""

    @property
    def output_nr(self) -> int:  # type: ignore[override]
        raise ArithmeticError("planted")


def test_what_cannot_be_told_is_left_out(tmp_path: Path) -> None:
    model = probing("torch", lambda self, x, y: (self.probe(x.as_subclass(Secretive), y), y)[1])
    for number, (x, y) in enumerate(
        itertools.pairwise([leaf("torch"), leaf("torch"), leaf("torch").as_subclass(Secretive)])
    ):
        root, probe = recorded(model, tmp_path / str(number), x, y)
        assert probe.awaits == {"0": True, "1": True}
        assert probe.origins == ({} if number else {"1": ("1",)})
        assert root.origins == ({} if number else {"0": ("0",), "1": ("1",)})


class Unwilling(torch.Tensor):
    """Takes no hook."""

    def register_hook(self, hook: object) -> Any:
        raise ArithmeticError("planted")


def test_an_input_that_takes_no_hook(tmp_path: Path) -> None:
    model = probing("torch", lambda self, x: self.probe(x.as_subclass(torch.Tensor) * 2))
    root, probe = recorded(model, tmp_path, leaf("torch").as_subclass(Unwilling))
    assert root.awaits == {}
    assert probe.origins == {"0": ("0",)}


def test_a_subclass_runs_no_code_of_its_own(tmp_path: Path) -> None:
    ran: list[Any] = []

    class Watching(torch.Tensor):
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            ran.append(func)
            inherited: Any = super().__torch_function__
            return inherited(func, types, args, kwargs or {})

    x = leaf("torch").as_subclass(Watching)
    model = probing("torch", lambda self, x: self.probe(x * 2))
    model(x)
    plain = list(ran)
    ran.clear()
    _, probe = recorded(model, tmp_path, x)
    assert ran == plain
    assert probe.origins == {"0": ("0",)}
