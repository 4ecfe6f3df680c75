"""auto_diff: its options, what it names as the cause, and what it leaves behind."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

import padiff
from padiff import auto_diff, compare, create_model, set_dump_root_path
from tests.running.nets import NN, Deep, inputs, pair
from tests.zoo import SIDES

PAIRINGS = [(base, raw) for base in SIDES for raw in SIDES]
across = pytest.mark.parametrize(("base", "raw"), PAIRINGS, ids=["-".join(p) for p in PAIRINGS])
STRICT: dict[str, Any] = {"atol": 1e-6, "rtol": 1e-5, "compare_mode": "strict"}


@pytest.fixture(autouse=True)
def root(tmp_path: Path) -> Any:
    before = padiff.get_dump_root_path()
    set_dump_root_path(tmp_path)
    yield tmp_path / "auto_diff"
    set_dump_root_path(before)


def sgd(framework: str, model: Any, **options: Any) -> Any:
    if framework == "torch":
        return torch.optim.SGD(model.parameters(), lr=0.1, **options)
    return paddle.optimizer.SGD(0.1, parameters=model.parameters(), **options)


def mean_square(output: Any) -> Any:
    return (output * output).mean()


def parameters(framework: str, model: Any) -> dict[str, Any]:
    side = SIDES[framework]
    return {name: side.numpy(p) for name, p in side.named_parameters(model).items()}


# -- what it answers ---------------------------------------------------------------------------


@across
def test_twins_are_aligned(base: str, raw: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert auto_diff(*pair(base, raw), inputs(base, raw), **STRICT) is True
    out = capsys.readouterr().out
    assert f"auto_diff: base is Net, {base}" in out
    assert "atol 1e-06" in out
    assert "single_step False" in out
    assert "assign_weight: SUCCESS" in out
    assert "auto_diff: Forward stage: 25 compared, none differ" in out
    assert "auto_diff: Backward stage: 26 compared, none differ" in out
    assert out.rstrip().endswith("auto_diff: SUCCESS")


@across
def test_models_or_proxies_and_any_way_of_giving_inputs(base: str, raw: str) -> None:
    models = pair(base, raw)
    given = [batch["x"] for batch in inputs(base, raw)]
    proxies = create_model(models[0]), create_model(models[1])
    assert auto_diff(proxies[0], proxies[1], inputs(base, raw), **STRICT)
    assert auto_diff(*models, tuple(given), **STRICT)
    assert auto_diff(*models, [(given[0],), [given[1]]], **STRICT)


def test_the_default_tolerances() -> None:
    """atol 0 and rtol 1e-7: two frameworks differ by more, one and its copy do not."""
    assert auto_diff(*pair("torch", "torch"), inputs("torch", "torch"))
    assert not auto_diff(*pair("torch", "paddle"), inputs("torch", "paddle"))


@across
def test_optimizers_and_steps(base: str, raw: str, root: Path) -> None:
    models = pair(base, raw)
    optimizers = [sgd(name, model) for name, model in zip((base, raw), models, strict=True)]
    before = parameters(raw, models[1])
    losses = mean_square, mean_square
    assert auto_diff(*models, inputs(base, raw), losses, optimizers, steps=3, **STRICT)
    found = compare(root / "base_Net", root / "raw_Net", sections=["weights"], **compared(STRICT))
    assert [r.step for r in found.records].count(2) == len(before) == 24
    assert any((parameters(raw, models[1])[name] != before[name]).any() for name in before)


def compared(options: dict[str, Any]) -> dict[str, Any]:
    names = {"compare_mode": "mode"}
    return {names.get(name, name): value for name, value in options.items()}


@across
def test_optimizers_may_be_functions(base: str, raw: str) -> None:
    models = pair(base, raw)

    def update(framework: str, model: Any) -> Callable[[], None]:
        optimizer = sgd(framework, model)

        def both() -> None:
            optimizer.step()
            optimizer.clear_grad() if framework == "paddle" else optimizer.zero_grad()

        return both

    updates = [update(name, model) for name, model in zip((base, raw), models, strict=True)]
    assert auto_diff(*models, inputs(base, raw), None, updates, steps=2, **STRICT)


@across
def test_auto_init_is_optional(base: str, raw: str, capsys: pytest.CaptureFixture[str]) -> None:
    models = pair(base, raw)
    before = parameters(raw, models[1])
    assert auto_diff(*models, inputs(base, raw), auto_init=False, **STRICT) is False
    out = capsys.readouterr().out
    assert "First divergence: Weights" in out
    assert "assign_weight" not in out
    for name, value in parameters(raw, models[1]).items():
        np.testing.assert_array_equal(value, before[name])


@across
def test_the_forward_alone(base: str, raw: str, root: Path) -> None:
    models = pair(base, raw)
    assert auto_diff(*models, inputs(base, raw), diff_phase="forward", **STRICT)
    phases = {r.phase for r in compare(root / "base_Net", root / "raw_Net").records}
    assert phases == {None, "input", "forward"}
    for name, model in zip((base, raw), models, strict=True):
        assert all(
            SIDES[name].grad(p) is None for p in SIDES[name].named_parameters(model).values()
        )


def test_models_that_do_not_match_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    class Other(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)

    other = Other()
    before = parameters("torch", other)
    assert auto_diff(Deep("torch"), other, inputs("torch", "torch")) is False
    out = capsys.readouterr().out
    assert "assign_weight: FAILED" in out
    assert out.rstrip().endswith("auto_diff: FAILED")
    assert all((parameters("torch", other)[name] == before[name]).all() for name in before)


# -- the order of causes -----------------------------------------------------------------------


def first(out: str) -> str:
    found = re.search(r"First divergence: ([A-Za-z ]+), step", out)
    return found[1] if found else "none"


@across
def test_each_cause_is_named_as_what_it_is(
    base: str, raw: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage_of(
        fault: Any = None,
        *,
        seeds: tuple[int, int] = (0, 0),
        loss: Any = mean_square,
        optimizer: Any = None,
        **options: Any,
    ) -> str:
        models = pair(base, raw, fault)
        if "auto_init" in options:
            padiff.assign_weight(*models)
            with torch.no_grad(), paddle.no_grad():
                bias = SIDES[raw].named_parameters(models[1])["layer3.fc.bias"]
                bias.add_(0.5) if raw == "torch" else bias.set_value(bias + 0.5)
        given = inputs(base, raw, seed=seeds[0])[0], inputs(base, raw, seed=seeds[1])[1]
        updates = [sgd(base, models[0]), (optimizer or sgd)(raw, models[1])]
        settings = STRICT | options
        assert not auto_diff(*models, given, (mean_square, loss), updates, **settings)
        return first(capsys.readouterr().out)

    assert stage_of(seeds=(0, 1)) == "Model inputs"
    assert stage_of(auto_init=False) == "Weights"
    assert stage_of(lambda place, n, h: h * 1.1 if n == 4 else h) == "Forward stage"
    assert stage_of(loss=lambda y: (y * y).sum()) == "Loss"
    assert stage_of(lambda place, n, h: h.detach() if n == 4 else h) == "Backward stage"

    def decayed(framework: str, model: Any) -> Any:
        return sgd(framework, model, weight_decay=0.1)

    assert stage_of(optimizer=decayed) == "Updated weights"


def test_a_loss_of_another_gradient_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The same value, and twice the gradient."""
    twice = lambda y: (y * y).mean() * 2 - (y * y).mean().detach()  # noqa: E731
    models = pair("torch", "torch")
    assert not auto_diff(*models, inputs("torch", "torch"), (mean_square, twice), **STRICT)
    out = capsys.readouterr().out
    assert "First divergence: Backward stage, step 0, gradient of output 0" in out
    said = "It is what the loss passes back to the models: the loss functions differ."
    assert said in " ".join(out.split())


@across
@pytest.mark.parametrize("single_step", [False, True])
@pytest.mark.parametrize("first_more", [False, True])
def test_what_one_side_returns_more_is_listed(
    base: str, raw: str, single_step: bool, first_more: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its gradient, too: the other side has no such output."""

    def net(framework: str, *, more: bool) -> Any:
        class Net(torch.nn.Module if framework == "torch" else paddle.nn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.fc = NN[framework].Linear(8, 8)

            def forward(self, x: Any) -> Any:
                y = self.fc(x)
                return (y, y * 0.0) if more else (y,)

        return Net()

    models = net(base, more=first_more), net(raw, more=not first_more)
    losses = [lambda out: sum((y * y).mean() for y in out)] * 2
    aligned = auto_diff(*models, inputs(base, raw), losses, single_step=single_step, **STRICT)
    assert aligned, capsys.readouterr().out
    assert "forward 1 of the model itself (Net) in report" in capsys.readouterr().out


# -- what it leaves behind ---------------------------------------------------------------------


@across
@pytest.mark.parametrize("single_step", [False, True])
def test_a_second_run_sees_the_same(base: str, raw: str, single_step: bool) -> None:
    """No gradient of the first run is left in the second, no hook on either model."""
    models = pair(base, raw)
    for name, model in zip((base, raw), models, strict=True):
        model.eval()
        SIDES[name].loss(model(**inputs(name, name)[0])).backward()  # of the user's own
    for _ in range(2):
        assert auto_diff(*models, inputs(base, raw), single_step=single_step, **STRICT)
        for name, model in zip((base, raw), models, strict=True):
            assert SIDES[name].traces(model) == []
            assert not model.training
    grads = [
        {n: SIDES[name].grad(p) for n, p in SIDES[name].named_parameters(model).items()}
        for name, model in zip((base, raw), models, strict=True)
    ]
    for name, gradient in grads[0].items():
        other = grads[1][name]
        assert gradient is not None
        assert other is not None
        other = other.T if base != raw and other.ndim == 2 else other
        np.testing.assert_allclose(other, gradient, atol=1e-6)


@across
def test_what_a_proxy_has_recorded_stays(base: str, raw: str, tmp_path: Path) -> None:
    models = pair(base, raw)
    proxies = create_model(models[0]), create_model(models[1])
    for proxy, batch in zip(proxies, inputs(base, raw), strict=True):
        proxy(**batch)
    assert auto_diff(*proxies, inputs(base, raw), **STRICT)
    for proxy in proxies:
        proxy.dump_report(tmp_path / "own")
        assert len(padiff.open_dump(tmp_path / "own").report.tree.roots) == 1


def test_dumps_of_two_runs_are_two(root: Path) -> None:
    for _ in range(2):
        assert auto_diff(*pair("torch", "torch"), inputs("torch", "torch"))
    assert sorted(path.name for path in root.iterdir()) == [
        "base_Net",
        "base_Net_1",
        "raw_Net",
        "raw_Net_1",
    ]


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ({}, {"loss_fn": 1}, TypeError, r"auto_diff, got loss_fn: is it loss_fns\?"),
        ({}, {"atol": -1}, ValueError, "expected atol to be a finite number >= 0, got -1"),
        ({}, {"compare_mode": "max"}, ValueError, "expected the mode mean or strict"),
        ({}, {"diff_phase": "all"}, ValueError, "expected diff_phase both, forward, backward"),
        ({}, {"diff_phase": "backward"}, ValueError, "with single_step=True alone"),
        ({}, {"steps": 0}, ValueError, "a whole number from 1, got 0"),
        ({}, {"steps": 2}, ValueError, "expected optimizers with steps=2, got none"),
        ({}, {"auto_init": "yes"}, ValueError, "expected auto_init to be True or False"),
        ({"inputs": {"x": 1}}, {}, TypeError, r"expected inputs to be a pair .* got dict"),
        ({"inputs": [{}, {}, {}]}, {}, ValueError, "a dict of arguments by name each, got 3"),
        ({"inputs": [{}, 3]}, {}, TypeError, "expected the inputs of raw as a dict .* got int"),
        ({"inputs": [{1: 2}, {}]}, {}, TypeError, "the inputs of base by the names .* the key 1"),
        ({"loss_fns": mean_square}, {}, TypeError, "expected loss_fns to be a pair"),
        ({"loss_fns": (mean_square,)}, {}, ValueError, "a function each, got 1 of them"),
        ({"loss_fns": (mean_square, 3)}, {}, TypeError, "a function as the loss of raw, got 3"),
        ({"optimizers": (1, 2)}, {}, TypeError, "the optimizer of base to be one of torch or a"),
        ({"optimizers": (print, None)}, {}, TypeError, "of each side, got None of one"),
        ({"optimizers": ()}, {}, ValueError, "an optimizer or a function each, got 0 of them"),
    ],
)
def test_arguments_that_make_no_sense(
    arguments: dict[str, Any], options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {"inputs": inputs("torch", "torch")} | arguments | options
    base, raw = pair("torch", "torch")
    with pytest.raises(kind, match=message):
        auto_diff(base, raw, **given)


@pytest.mark.parametrize("framework", SIDES)
def test_one_model_twice_and_models_that_share(framework: str) -> None:
    base, raw = pair(framework, framework)
    given = inputs(framework, framework)
    with pytest.raises(ValueError, match="expected two models, got two that share the parameter"):
        auto_diff(base, base, given)
    raw.layer3.fc = base.layer3.fc
    with pytest.raises(ValueError, match="share the parameter layer3.fc.weight"):
        auto_diff(base, create_model(raw), given)


def test_inputs_that_are_swapped() -> None:
    given = inputs("torch", "paddle")[::-1]
    with pytest.raises(TypeError, match="of base to be tensors of torch, got one of paddle at x"):
        auto_diff(*pair("torch", "paddle"), given)


@across
def test_the_optimizer_of_the_other_model(base: str, raw: str) -> None:
    models = pair(base, raw)
    crossed = sgd(raw, models[1]), sgd(base, models[0])
    expected = ValueError if base == raw else TypeError
    with pytest.raises(expected, match="expected the optimizer of base to be one of"):
        auto_diff(*models, inputs(base, raw), None, crossed)
    for name, model in zip((base, raw), models, strict=True):
        assert SIDES[name].traces(model) == []


@across
@pytest.mark.parametrize("single_step", [False, True])
def test_errors_of_the_user_pass_through(base: str, raw: str, single_step: bool) -> None:
    """Untouched, with one line that says on which side and at which stage; no hook is left."""

    def broken(*values: Any) -> Any:
        raise ArithmeticError("planted")

    def run(models: Any, **arguments: Any) -> list[str]:
        given: dict[str, Any] = {"inputs": inputs(base, raw), "single_step": single_step}
        with pytest.raises(ArithmeticError, match="planted") as caught:
            auto_diff(models[0], models[1], **given, **arguments)
        assert str(caught.value) == "planted"
        for name, model in zip((base, raw), models, strict=True):
            assert SIDES[name].traces(model) == []
        return caught.value.__notes__

    def fault(place: str, number: int, value: Any) -> Any:
        return broken() if number == 7 else value

    assert run(pair(base, raw, fault)) == [f"padiff: raised in the forward of raw (Net, {raw})"]
    twisted = pair(raw, base, fault)[::-1]
    assert run(twisted) == [f"padiff: raised in the forward of base (Net, {base})"]
    notes = run(pair(base, raw), loss_fns=(mean_square, broken))
    assert notes == [f"padiff: raised in the loss function of raw (Net, {raw})"]
    models = pair(base, raw)
    notes = run(models, optimizers=(broken, broken))
    assert notes == [f"padiff: raised in the optimizer of base (Net, {base})"]


@across
@pytest.mark.parametrize("single_step", [False, True])
def test_an_interrupt_leaves_nothing(base: str, raw: str, single_step: bool, root: Path) -> None:
    """Neither hooks nor a half of a dump; what was done before stays."""
    calls = 0

    def interrupted(place: str, number: int, value: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 30 if single_step else number == 7:  # in single step raw runs twice
            raise KeyboardInterrupt
        return value

    models = pair(base, raw, interrupted)
    padiff.assign_weight(*models)
    before = parameters(raw, models[1])
    with pytest.raises(KeyboardInterrupt):
        auto_diff(*models, inputs(base, raw), single_step=single_step)
    for name, model in zip((base, raw), models, strict=True):
        assert SIDES[name].traces(model) == []
    for name, value in parameters(raw, models[1]).items():
        np.testing.assert_array_equal(value, before[name])
    assert [path.name for path in root.iterdir()] == ["base_Net"]
    assert padiff.open_dump(root / "base_Net").step == 0


@across
def test_a_loss_that_is_no_scalar(base: str, raw: str) -> None:
    models = pair(base, raw)
    for loss, kind, message in (
        (lambda y: y, ValueError, r"raw to return a scalar, got a tensor of shape \[5, 8\]"),
        (lambda y: 3.0, TypeError, f"raw to return a {raw} tensor, got float"),
    ):
        with pytest.raises(kind, match=message) as caught:
            auto_diff(*models, inputs(base, raw), (mean_square, loss))
        assert "raised in the loss function of raw" in caught.value.__notes__[0]
        assert all(SIDES[n].traces(m) == [] for n, m in zip((base, raw), models, strict=True))


def test_layer_maps_of_two_lengths() -> None:
    base, raw = map(create_model, pair("torch", "paddle"))
    base.set_layer_map([base.model.layer0, base.model.layer1])
    raw.set_layer_map([raw.model.layer0])
    with pytest.raises(ValueError, match=r"2 in that of base \(layer0, layer1\) and 1 .* raw"):
        auto_diff(base, raw, inputs("torch", "paddle"))


def test_a_model_of_no_framework() -> None:
    with pytest.raises(TypeError, match=r"expected a torch.nn.Module or a paddle.nn.Layer"):
        auto_diff(NN["torch"].Linear(2, 2), object(), ({}, {}))


def test_no_floating_output_and_no_loss() -> None:
    class Counts(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return {"n": (x > 0).sum()}

    with pytest.raises(ValueError, match="a floating tensor to compute a loss from, got dict"):
        auto_diff(Counts(), Counts(), inputs("torch", "torch"))
