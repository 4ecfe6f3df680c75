"""Layers that write to what they are given, and forwards that change more than they return."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

import padiff
from padiff import auto_diff, set_dump_root_path
from tests.running.nets import NN
from tests.zoo import SIDES

PAIRINGS = [(base, raw) for base in SIDES for raw in SIDES]
across = pytest.mark.parametrize(("base", "raw"), PAIRINGS, ids=["-".join(p) for p in PAIRINGS])
both_ways = pytest.mark.parametrize("single_step", [False, True])
BASE: dict[str, Any] = {"torch": torch.nn.Module, "paddle": paddle.nn.Layer}


@pytest.fixture(autouse=True)
def _root(tmp_path: Path) -> Any:
    before = padiff.get_dump_root_path()
    set_dump_root_path(tmp_path)
    yield
    set_dump_root_path(before)


def relu(framework: str, *, inplace: bool) -> Any:
    if framework == "torch":
        return torch.nn.ReLU(inplace=inplace)

    class InPlace(paddle.nn.Layer):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return paddle.nn.functional.relu_(x)

    return InPlace() if inplace else paddle.nn.ReLU()


def net(framework: str, kind: str, *, inplace: bool = True) -> Any:
    """A model whose forward is of some awkward kind."""
    nn = NN[framework]

    class Noting(BASE[framework]):  # type: ignore[misc, valid-type]
        """Writes to a container that it is given."""

        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Any, notes: Any) -> Any:
            y = self.fc(x)
            notes["h"] = y
            return y

    class Net(BASE[framework]):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Linear(4, 4), nn.Linear(4, 4)
            self.relu = relu(framework, inplace=inplace)
            self.noting = Noting()
            self.calls = 0
            self.register_buffer("seen", SIDES[framework].tensor(np.zeros(4, np.float32)).detach())

        def forward(self, x: Any) -> Any:
            h = self.down(x)
            if kind == "goes on with what was written":
                return self.up(self.relu(h)) + h
            if kind == "ignores what is returned":
                self.relu(h)
                return self.up(h)
            if kind == "notes":
                notes: dict[str, Any] = {"x": h}
                return self.noting(h, notes) + self.up(notes["h"])
            assert kind == "counts"
            self.calls += 1
            self.seen += 1
            return self.up(h) * self.calls + self.seen

    return Net()


def run(base: str, raw: str, models: Any, **options: Any) -> bool:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    given = [{"x": SIDES[name].tensor(x)} for name in (base, raw)]
    settings: dict[str, Any] = {"atol": 1e-5, "compare_mode": "strict"} | options
    return auto_diff(models[0], models[1], given, **settings)


@across
@both_ways
@pytest.mark.parametrize(
    "kind", ["goes on with what was written", "ignores what is returned", "notes", "counts"]
)
def test_twins_are_aligned(base: str, raw: str, single_step: bool, kind: str) -> None:
    assert run(base, raw, (net(base, kind), net(raw, kind)), single_step=single_step)


@across
@both_ways
@pytest.mark.parametrize("kind", ["goes on with what was written", "ignores what is returned"])
def test_one_that_writes_beside_one_that_does_not(
    base: str, raw: str, single_step: bool, kind: str
) -> None:
    models = net(base, kind, inplace=False), net(raw, kind)
    assert not run(base, raw, models, single_step=single_step)
    assert not run(base, raw, models[::-1] if base == raw else models, single_step=single_step)


@across
def test_what_a_rehearsal_changes_is_put_back(base: str, raw: str) -> None:
    """In single step raw's model runs twice, and counts once."""
    models = net(base, "counts"), net(raw, "counts")
    assert run(base, raw, models, single_step=True)
    for name, model in zip((base, raw), models, strict=True):
        assert model.calls == 1
        np.testing.assert_array_equal(SIDES[name].numpy(model.seen), np.ones(4))


@pytest.mark.parametrize("base", SIDES)
@pytest.mark.parametrize("raw", SIDES)
def test_identities_are_one_tensor_here_and_two_there(base: str, raw: str) -> None:
    """torch's dropout returns its very input in evaluation mode, paddle's another tensor."""

    def skipping(framework: str) -> Any:
        nn = NN[framework]

        class Net(BASE[framework]):  # type: ignore[misc, valid-type]
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))
                self.drop = nn.Dropout(0.5)

            def forward(self, x: Any) -> Any:
                h = self.a(x)
                return self.b(h) * 2 + self.c(self.drop(h))

        model = Net()
        model.eval()
        return model

    assert run(base, raw, (skipping(base), skipping(raw)))
