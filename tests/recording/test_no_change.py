"""Recording changes no bit of what a model computes, and leaves nothing on it."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff import ProxyModel, create_model
from tests.zoo import SIDES, ZOO, Side, Twin

Trace = dict[str, Any]


def run(twin: Twin, side: Side, *, training: bool, recorded: bool, where: Path) -> Trace:
    """Two steps of a model, and every bit that comes of them."""
    side.seed(7)
    random.seed(7)
    np.random.seed(7)
    model = twin.build(side.name)
    runner = create_model(model, inputs=True) if recorded else model
    model.train() if training else model.eval()
    flags = {route: layer.training for route, layer in side.named_layers(model).items()}
    trace: Trace = {}
    for step in range(2):
        args, kwargs = twin.inputs(side.name, seed=step)
        if twin.raises:
            with pytest.raises(ArithmeticError, match="^planted$"):
                runner(*args, **kwargs)
        else:
            result = runner(*args, **kwargs)
            if training:
                loss = side.loss(result)
                runner.backward(loss) if recorded else loss.backward()
            trace |= {f"result {step}.{i}": t for i, t in enumerate(side.tensors(result))}
        if isinstance(runner, ProxyModel) and not twin.raises:
            runner.try_dump(1, where)
        assert side.traces(model) == []
        for index, tensor in enumerate((*args, *kwargs.values())):
            trace[f"input {step}.{index}"] = tensor
            trace[f"gradient of input {step}.{index}"] = side.grad(tensor)
    trace |= {f"state {name}": value for name, value in model.state_dict().items()}
    for name, parameter in side.named_parameters(model).items():
        trace[f"gradient of {name}"] = side.grad(parameter)
    trace = {key: side.numpy(v) if side.is_tensor(v) else v for key, v in trace.items()}
    assert flags == {route: layer.training for route, layer in side.named_layers(model).items()}
    trace["framework"] = side.next_random()
    trace["python"] = random.getstate()
    trace["numpy"] = repr(np.random.get_state())
    return trace


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("twin", ZOO.values(), ids=ZOO)
def test_no_bit_changes(twin: Twin, framework: str, training: bool, tmp_path: Path) -> None:
    side = SIDES[framework]
    plain, recorded = (
        run(twin, side, training=training, recorded=recorded, where=tmp_path)
        for recorded in (False, True)
    )
    assert plain.keys() == recorded.keys()
    for key, value in plain.items():
        if isinstance(value, np.ndarray):
            other = recorded[key]
            assert (value.dtype, value.shape) == (other.dtype, other.shape), key
            assert value.tobytes() == other.tobytes(), key
        else:
            assert value == recorded[key], key


@pytest.mark.parametrize("framework", SIDES)
def test_a_changed_bit_is_seen(framework: str, tmp_path: Path) -> None:
    twin, side = ZOO["words"], SIDES[framework]
    plain = run(twin, side, training=True, recorded=False, where=tmp_path)
    create = twin.build

    class Draws(Twin):
        def build(self, framework: str, seed: int = 0) -> Any:
            model = create(framework, seed)
            model.register_forward_pre_hook(lambda *_: SIDES[framework].seed(8))
            return model

    changed = Draws(*(getattr(twin, f) for f in twin.__dataclass_fields__))
    with pytest.raises(AssertionError, match="hooks"):  # a hook left behind is seen
        run(changed, side, training=True, recorded=True, where=tmp_path)
    side.seed(8)
    assert plain["framework"] != side.next_random()
