"""Which calls become nodes: repeated, shared, failing, from other threads, nested."""

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff import create_model, open_dump
from padiff.errors import UsageError
from padiff.store.reader import Section
from tests.recording.runs import record
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)


def calls(report: Section) -> list[tuple[str, int]]:
    return [(node.route, node.call) for node in report.tree.walk()]


@both
def test_a_shared_layer_has_its_first_route_and_a_call_each_time(
    framework: str, tmp_path: Path
) -> None:
    report = record(ZOO["shared"], framework, tmp_path).report
    assert calls(report) == [("", 0), ("first", 0), ("norm", 0), ("first", 1), ("first", 2)]
    gradients = [np.asarray(report["first", n].backward[0]) for n in range(3)]
    assert all(np.any(gradients[0] != other) for other in gradients[1:])


@both
def test_a_loop_numbers_its_calls_and_what_is_inside(framework: str, tmp_path: Path) -> None:
    report = record(ZOO["loop"], framework, tmp_path).report
    inside = [[(f"cell{part}", n) for part in ("", ".up", ".act", ".down")] for n in range(3)]
    assert calls(report) == [("", 0), *inside[0], *inside[1], *inside[2]]
    assert len(report.tree.roots[0].children) == 3


@both
def test_every_call_of_the_model_is_a_root(framework: str, tmp_path: Path) -> None:
    twin = ZOO["residual"]
    proxy = create_model(twin.build(framework))
    for seed in range(2):
        args, _ = twin.inputs(framework, seed)
        proxy(*args)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert [(root.route, root.call) for root in report.tree.roots] == [("", 0), ("", 1)]
    assert ("up", 1) in calls(report)
    assert np.any(np.asarray(report["up", 0].forward[0]) != np.asarray(report["up", 1].forward[0]))


@both
def test_a_call_that_raises_leaves_nothing(framework: str, tmp_path: Path) -> None:
    side, twin = SIDES[framework], ZOO["broken"]
    model = twin.build(framework)
    proxy = create_model(model)
    args, _ = twin.inputs(framework)
    with pytest.raises(ArithmeticError, match="^planted$"):
        proxy(*args)
    assert side.traces(model) == []
    if framework == "torch":
        assert not args[0]._backward_hooks
    with pytest.raises(UsageError, match="expected a recorded call of Broken to dump, found none"):
        proxy.dump_report(tmp_path / "run.zarr")
    assert not (tmp_path / "run.zarr").exists()
    with pytest.raises(ArithmeticError, match="^planted$"):
        model(*args)


@both
def test_a_call_that_raises_after_one_that_did_not(framework: str, tmp_path: Path) -> None:
    twin = ZOO["residual"]
    proxy = create_model(twin.build(framework))
    (x,), _ = twin.inputs(framework)
    proxy(x)
    with pytest.raises(Exception, match=".") as caught:
        proxy(x[:, :2])  # shapes that do not fit
    assert not isinstance(caught.value, AssertionError)
    proxy(x)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert [root.call for root in report.tree.roots] == [0, 1]
    assert report["up", 1].node.children == ()


@both
def test_an_interrupt_leaves_no_wrapper(framework: str) -> None:
    side, twin = SIDES[framework], ZOO["residual"]
    model = twin.build(framework)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    handle = model.act.register_forward_pre_hook(interrupt)
    args, _ = twin.inputs(framework)
    with pytest.raises(KeyboardInterrupt):
        create_model(model)(*args)
    handle.remove()
    assert side.traces(model) == []


@both
def test_a_layer_whose_error_is_caught_is_said_to_be_partial(
    framework: str, tmp_path: Path
) -> None:
    report = record(ZOO["caught"], framework, tmp_path).report
    assert calls(report) == [("", 0), ("broken", 0), ("broken.before", 0), ("fc", 0)]
    (note,) = report["broken"].node.unrecorded
    assert (note.phase, note.reason) == ("forward", "the layer raised ArithmeticError")
    assert len(report["broken"].forward) == 0
    assert report["fc"].node.children == ()


@both
def test_calls_of_other_threads_are_left_out(framework: str, tmp_path: Path) -> None:
    twin = ZOO["no-grad"]
    model = twin.build(framework)
    args, _ = twin.inputs(framework)
    expected = SIDES[framework].numpy(model(*args))

    def in_thread(layer: Any, inputs: Any) -> None:
        thread = threading.Thread(target=layer.down, args=(layer.up(inputs[0]),))
        thread.start()
        thread.join()

    model.student.register_forward_pre_hook(in_thread)
    proxy = create_model(model)
    result = proxy(*args)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    # the hook ran both layers once more: one of them here, one in the thread
    assert ("student.up", 1) in calls(report)
    assert ("student.down", 1) not in calls(report)
    np.testing.assert_array_equal(SIDES[framework].numpy(result), expected)


@both
def test_two_threads_may_record_one_model(framework: str, tmp_path: Path) -> None:
    side, twin = SIDES[framework], ZOO["loop"]
    model = twin.build(framework)
    proxies = [create_model(model, name) for name in ("first", "second")]
    ready = threading.Barrier(2)

    def run(proxy: Any, seed: int) -> None:
        args, _ = twin.inputs(framework, seed)
        ready.wait()
        for _ in range(5):
            proxy(*args)

    threads = [threading.Thread(target=run, args=(p, n)) for n, p in enumerate(proxies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert side.traces(model) == []
    for seed, proxy in enumerate(proxies):
        proxy.dump_report(tmp_path / f"{seed}.zarr")
        report = open_dump(tmp_path / f"{seed}.zarr").report
        assert len(report.tree.roots) == 5
        assert all(len(list(root.walk())) == 13 for root in report.tree.roots)
        args, _ = twin.inputs(framework, seed)
        np.testing.assert_array_equal(report["", 4].forward[0], side.numpy(model(*args)))


@both
def test_a_proxy_inside_a_recorded_call(framework: str, tmp_path: Path) -> None:
    """Two proxies of one model, one called while the other records, see each their own."""
    side, twin = SIDES[framework], ZOO["residual"]
    model = twin.build(framework)
    outer, inner = create_model(model, "outer"), create_model(model, "inner")
    (x,), _ = twin.inputs(framework)
    busy: list[bool] = []

    def again(*_: Any) -> None:
        if not busy:
            busy.append(True)
            inner(x)

    model.act.register_forward_pre_hook(again)
    outer(x)
    for proxy in (outer, inner):
        proxy.dump_report(tmp_path / proxy.name)
    inside = [("", 0), ("up", 0), ("act", 0), ("down", 0)]
    assert calls(open_dump(tmp_path / "inner").report) == inside
    seen = open_dump(tmp_path / "outer").report
    assert [node.route for node in seen["act"].node.children] == [""]
    assert calls(seen)[:5] == [("", 0), ("up", 0), ("act", 0), ("", 1), ("up", 1)]
    assert [t for t in side.traces(model) if "pre_hooks" not in t] == []


@both
def test_a_proxy_that_calls_itself_records_once(framework: str, tmp_path: Path) -> None:
    twin = ZOO["residual"]
    model = twin.build(framework)
    proxy = create_model(model)
    (x,), _ = twin.inputs(framework)
    busy: list[bool] = []

    def again(*_: Any) -> None:
        if not busy:
            busy.append(True)
            proxy(x)

    model.act.register_forward_pre_hook(again)
    proxy(x)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert [root.call for root in report.tree.roots] == [0]
    assert [node.route for node in report["act"].node.children] == [""]


@both
def test_a_model_with_a_call_of_its_own_is_recorded(framework: str, tmp_path: Path) -> None:
    model = ZOO["residual"].build(framework)

    class Called(type(model)):  # type: ignore[misc]  # whichever framework's it is
        def __call__(self, x: Any) -> Any:
            return self.forward(x) * 2

    model.__class__ = Called
    (x,), _ = ZOO["residual"].inputs(framework)
    proxy = create_model(model)
    result = proxy(x)
    proxy.dump_report(tmp_path)
    report = open_dump(tmp_path).report
    assert calls(report) == [("", 0), ("up", 0), ("act", 0), ("down", 0)]
    np.testing.assert_array_equal(report[""].forward[0], SIDES[framework].numpy(result))


@both
def test_deeper_than_a_tree_may_be(framework: str, tmp_path: Path) -> None:
    """A layer that calls itself often: the report stays one that can be read."""
    limit = sys.getrecursionlimit()
    model = ZOO["residual"].build(framework)
    (x,), _ = ZOO["residual"].inputs(framework)
    depth = 300

    def deeper(layer: Any, inputs: Any) -> None:
        nonlocal depth
        if depth:
            depth -= 1
            layer(inputs[0])

    model.act.register_forward_pre_hook(deeper)
    proxy = create_model(model)
    try:
        sys.setrecursionlimit(20_000)
        proxy(x)
    finally:
        sys.setrecursionlimit(limit)
    proxy.dump_report(tmp_path)
    assert ("act", 300) in calls(open_dump(tmp_path).report)
