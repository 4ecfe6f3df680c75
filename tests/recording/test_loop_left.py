"""After a loop was recorded, in whatever way it ended, nothing of ours is left; nor in copies."""

import copy
import pickle
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch
from torch.optim import optimizer as torch_optimizers

import padiff
from padiff import open_dump
from padiff.errors import PadiffWarning
from padiff.frameworks import framework_of
from padiff.store.reader import open_dumps
from tests.recording.loops import batch, made, optimizer_of, run
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)


def used(framework: str) -> Any:
    """A model that has run before: paddle's batch norm settles its layout then."""
    model = made(framework)
    model(batch(framework, 0))
    return model


def state(framework: str, model: Any) -> list[Any]:
    """All that hangs on a model, its class and the optimizers, by its identity."""
    held: list[Any] = []
    for layer in SIDES[framework].named_layers(model).values():
        attributes = dict(vars(layer))
        attributes.pop("_built", None)  # by which paddle knows a layer that has run with a hook
        attributes |= {n: list(v.items()) for n, v in attributes.items() if "hooks" in n}
        held.append(attributes)
    return [*held, dict(vars(type(model))), *optimizers()]


def optimizers() -> list[Any]:
    """All that hangs on what optimizers are made of."""
    base = paddle.optimizer.Optimizer
    classes = [dict(vars(cls)) for cls in (base, *base.__subclasses__())]
    return [*classes, dict(torch_optimizers._global_optimizer_pre_hooks)]


AT_FIRST = optimizers()


@both
@pytest.mark.parametrize("step", ["optimizer", "forward"])
def test_all_is_as_it_was(framework: str, step: Any, tmp_path: Path) -> None:
    model = used(framework)
    optimizer = optimizer_of(framework, model)
    before, of_optimizer = state(framework, model), set(vars(optimizer))
    with padiff.record(model, tmp_path, step=step):
        during = state(framework, model)
        model(batch(framework, 0)).sum().backward()
        if step == "optimizer":
            optimizer.step()
    assert during != before
    assert state(framework, model) == before
    assert optimizers() == AT_FIRST
    assert set(vars(optimizer)) == of_optimizer


@both
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
@pytest.mark.parametrize("where", ["forward", "backward", "closure", "loop"])
def test_all_is_as_it_was_after_an_error(
    framework: str, error: type[BaseException], where: str, tmp_path: Path
) -> None:
    model = used(framework)
    optimizer = optimizer_of(framework, model, kind="LBFGS")

    def fail(*_: Any) -> None:
        raise error

    def loop() -> None:
        if where == "closure":
            optimizer.step(fail)
        output = model(batch(framework, 0))
        if where == "backward":
            output.register_hook(fail)
            output.sum().backward()
        fail()

    if where == "forward":
        model[2].register_forward_pre_hook(fail)
    before = state(framework, model)
    with pytest.raises(BaseException) as raised, padiff.record(model, tmp_path):  # noqa: PT011
        loop()
    assert isinstance(raised.value, error) or where == "backward"  # paddle makes it one of its own
    assert state(framework, model) == before
    assert list(tmp_path.iterdir()) == []


@both
@pytest.mark.parametrize("inner_first", [True, False])
def test_a_model_recorded_twice_at_once(framework: str, inner_first: bool, tmp_path: Path) -> None:
    """By one that was begun later, whichever of them ends first."""
    model = used(framework)
    optimizer = optimizer_of(framework, model)
    before = state(framework, model)
    with ExitStack() as one, ExitStack() as other:
        first = one.enter_context(padiff.record(model, tmp_path / "one", every=2))
        last = other.enter_context(padiff.record(model, tmp_path / "other"))
        run(framework, model, [optimizer], steps=2)
        (other if inner_first else one).close()
        run(framework, model, [optimizer], steps=2)
    assert state(framework, model) == before
    assert [first.step, last.step] == ([4, 2] if inner_first else [2, 4])
    steps = [list(open_dumps(tmp_path / name).dumps) for name in ("one", "other")]
    numbers = [[step for step, _ in each] for each in steps]
    assert numbers == ([[0, 2], [0, 1]] if inner_first else [[0], [0, 1, 2, 3]])
    found = padiff.compare(tmp_path / "one", tmp_path / "other", steps=[0], mode="strict")
    assert found.totals.identical == found.totals.compared > 10


@both
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_a_copy_made_in_the_loop_is_itself(framework: str, duplicate: Any, tmp_path: Path) -> None:
    """As of an average of the weights: to call it is no step of the model."""
    model = made(framework)
    with padiff.record(model, tmp_path, step="forward") as recording:
        copied = duplicate(model)
        copied(batch(framework, 0))
        model(batch(framework, 0))
    assert recording.step == 1
    assert vars(copied).keys() == vars(model).keys()
    assert not SIDES[framework].traces(copied)


def test_a_replica_is_itself(tmp_path: Path) -> None:
    """One of those that DataParallel makes for each device, by copying the model's attributes."""
    model = made("torch").eval()
    told = pytest.warns(PadiffWarning, match="got no call that can be seen")
    with told, padiff.record(model, tmp_path):
        replica = model._replicate_for_data_parallel()
        replica._modules["4"] = torch.nn.Identity()  # a device has layers of its own
        assert replica(batch("torch", 0)).shape == (3, 6)
    assert vars(replica).keys() - {"_is_replica", "_former_parameters"} == vars(model).keys()


@pytest.mark.filterwarnings("ignore:The program will return to single-card")  # paddle says so
@both
def test_a_model_that_the_loop_has_wrapped(framework: str, tmp_path: Path) -> None:
    model = made(framework)
    wrap: Any = torch.nn.DataParallel if framework == "torch" else paddle.DataParallel
    with padiff.record(model, tmp_path) as recording:
        run(framework, wrap(model), [optimizer_of(framework, model)], steps=2)
    assert recording.step == 2
    routes = [node.route for node in open_dump(tmp_path / "step_1").report.tree.walk()]
    assert routes == ["", "0", "1", "2", "3", "4"]


class Outer(torch.nn.Module):
    """Layers that are none of torch's own: its compiler looks into these."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = ZOO["residual"].build("torch")

    def forward(self, x: Any) -> Any:
        return self.inner(x)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's compiler asks
def test_a_model_that_the_loop_has_compiled(tmp_path: Path) -> None:
    """Inside of it nothing can be seen, which is said; the compiled one is seen from outside."""
    plain, model = Outer(), Outer()
    run("torch", plain, [optimizer_of("torch", plain)], steps=2)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    told = pytest.warns(PadiffWarning, match=r"a compiled model as torch.compile returned it")
    with told, padiff.record(model, tmp_path / "inside") as recording:
        run("torch", compiled, [optimizer_of("torch", model)], steps=2)
    assert recording.dumped == []
    assert all(map(torch.equal, plain.parameters(), model.parameters()))
    with padiff.record(compiled, tmp_path / "outside") as first:
        run("torch", compiled, [optimizer_of("torch", model)], steps=2)
    torch.compiler.reset()
    model.compile(backend="eager")
    with padiff.record(model, tmp_path / "in place") as last:
        assert framework_of(model).is_opaque(model)
        run("torch", model, [optimizer_of("torch", model)], steps=2)
    assert len(first.dumped) == len(last.dumped) == 2
    for location in (*first.dumped, *last.dumped):
        (root,) = open_dump(location).report.tree.walk()
        assert {tensor.phase for tensor in root.tensors} == {"input", "forward", "grad_output"}


@pytest.mark.filterwarnings("ignore:Tensor do not have 'place' interface")  # paddle's compiler asks
@pytest.mark.parametrize("full_graph", [False, True])
def test_a_function_that_paddle_has_compiled(full_graph: bool, tmp_path: Path) -> None:
    """Its compiler reads the code of what watches the model, too: it must make nothing of that."""
    models = [ZOO["residual"].build("paddle") for _ in range(2)]
    (x,), _ = ZOO["residual"].inputs("paddle")

    def loop(model: Any) -> None:
        def loss(x: Any) -> Any:
            return model(x).sum()

        compiled = paddle.jit.to_static(loss, full_graph=full_graph)
        optimizer = optimizer_of("paddle", model)
        for _ in range(2):
            compiled(x).backward()
            optimizer.step()

    loop(models[0])
    told = pytest.warns(PadiffWarning, match="no call that can be") if full_graph else nullcontext()
    with told, padiff.record(models[1], tmp_path) as recording:
        loop(models[1])
    assert len(recording.dumped) == (0 if full_graph else 2)
    plain, recorded = ([p.numpy() for p in model.parameters()] for model in models)
    assert all(map(np.array_equal, plain, recorded))
