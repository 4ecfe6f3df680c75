"""try_dump and its siblings: which steps are written, and where."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import padiff
from padiff import ProxyModel, create_model, open_dump
from padiff.errors import OccupiedError, UsageError
from padiff.store.reader import open_dumps
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)


@pytest.fixture(autouse=True)
def _dump_root(tmp_path: Path) -> Iterator[None]:
    before = padiff.get_dump_root_path()
    padiff.set_dump_root_path(tmp_path / "root")
    yield
    padiff.set_dump_root_path(before)


def proxy_of(framework: str, name: str | None = None) -> ProxyModel:
    return create_model(ZOO["residual"].build(framework), name)


def step(proxy: ProxyModel, seed: int = 0) -> None:
    side = SIDES[proxy.framework]
    (x,), _ = ZOO["residual"].inputs(proxy.framework, seed)
    proxy.backward(side.loss(proxy(x)))


@both
def test_every_so_many_steps_are_written(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    written = []
    for seed in range(7):
        step(proxy, seed)
        written.append(proxy.try_dump(3, tmp_path / "run.zarr"))
    home = tmp_path / "run.zarr"
    assert written == [None, None, home / "step_2", None, None, home / "step_5", None]
    dumps = open_dumps(home).dumps
    assert list(dumps) == [(2, None), (5, None)]
    for dump in dumps.values():
        assert dump.sections == ("report", "params")
        assert len(dump.report.tree.roots) == 1


@both
def test_steps_that_are_not_written_are_not_recorded(framework: str, tmp_path: Path) -> None:
    """Known after the first call: from then on nothing of ours is on the model in between."""
    side = SIDES[framework]
    proxy = proxy_of(framework)
    watched: list[bool] = []
    attribute = "_compiled_call_impl" if framework == "torch" else "_dygraph_call_func"
    proxy.model.up.register_forward_pre_hook(
        lambda layer, _: watched.append(vars(layer).get(attribute) is not None)
    )
    for _ in range(6):
        step(proxy)
        proxy.try_dump(per_step=3, dir_path=tmp_path)
    assert watched == [True, False, True, False, False, True]
    step(proxy)
    with pytest.raises(UsageError, match="in a step that try_dump will dump"):
        proxy.dump_report(tmp_path)
    assert all("pre_hooks" in trace for trace in side.traces(proxy.model))


@both
def test_a_per_step_that_changes(framework: str, tmp_path: Path) -> None:
    """The call that the old number passed over was not recorded: there is nothing to dump of it."""
    proxy = proxy_of(framework)
    home = tmp_path / "run.zarr"
    written = []
    for per_step in (5, 1, 1, 3, 2, 2, 4):
        step(proxy)
        written.append(proxy.try_dump(per_step, home))
    steps = [None, None, home / "step_2", None, None, home / "step_5", None]
    assert written == steps
    with pytest.raises(UsageError, match="expected a recorded call"):
        proxy.try_dump(1, home)  # without any call


@both
@pytest.mark.parametrize("per_step", [0, -1, 1.5, "2", True, None])
def test_a_wrong_per_step(framework: str, per_step: Any, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    step(proxy)
    with pytest.raises(ValueError, match="expected per_step to be a whole number from 1, got"):
        proxy.try_dump(per_step, tmp_path)
    assert proxy.try_dump(1, tmp_path / "run.zarr") == tmp_path / "run.zarr" / "step_0"


@both
def test_nothing_recorded_writes_nothing(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    with pytest.raises(UsageError, match="expected a recorded call of Residual to dump, found"):
        proxy.try_dump(1, tmp_path / "run.zarr")
    with pytest.raises(UsageError, match="expected a recorded call"):
        proxy.dump_report()
    assert list(tmp_path.iterdir()) == []


@both
def test_clear_report_starts_anew(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    step(proxy)
    step(proxy)
    proxy.clear_report()
    step(proxy)
    proxy.dump_report(tmp_path)
    (root,) = open_dump(tmp_path).report.tree.roots
    assert (root.call, root.order) == (0, 0)


@both
def test_an_explicit_step(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    step(proxy)
    proxy.dump_report(tmp_path, step=4)
    proxy.dump_grads(str(tmp_path), step=4)
    assert open_dump(tmp_path / "step_4").sections == ("report", "grads")


@both
def test_a_section_replaces_the_older_one_of_its_name(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    step(proxy)
    proxy.dump_report(tmp_path)
    step(proxy)
    proxy.dump_report(tmp_path)
    assert len(open_dump(tmp_path).report.tree.roots) == 2


@both
def test_without_a_path_under_the_root(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework, "My net")
    assert not (tmp_path / "root").exists()
    step(proxy)
    written = proxy.try_dump()
    assert isinstance(written, Path)
    assert written.parent.parent == tmp_path / "root"
    assert open_dump(written).report.header.model == "My net"
    step(proxy)
    assert proxy.try_dump() == written.with_name("step_1")


@both
def test_two_models_of_one_name_have_two_directories(framework: str, tmp_path: Path) -> None:
    proxies = [proxy_of(framework) for _ in range(3)]
    homes = []
    for proxy in proxies:
        step(proxy)
        proxy.dump_weights()
        written = proxy.try_dump()
        assert isinstance(written, Path)
        homes.append(written.parent.name)
    assert homes == ["Residual", "Residual_1", "Residual_2"]


def test_two_frameworks_have_two_directories(tmp_path: Path) -> None:
    homes = []
    for framework in SIDES:
        proxy = proxy_of(framework)
        step(proxy)
        written = proxy.try_dump()
        assert isinstance(written, Path)
        homes.append(written.parent)
    assert len(set(homes)) == 2
    found = [open_dump(home / "step_0").report.header.framework for home in homes]
    assert found == list(SIDES)


@both
def test_the_default_root_is_in_the_working_directory(framework: str, tmp_path: Path) -> None:
    padiff.set_dump_root_path("padiff_dump")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        proxy = proxy_of(framework)
        step(proxy)
        written = proxy.try_dump()
    finally:
        os.chdir(before)
    assert written == tmp_path / "padiff_dump" / "Residual" / "step_0"
    assert padiff.get_dump_root_path() == "padiff_dump"


@both
def test_where_something_else_lies(framework: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    proxy = proxy_of(framework)
    step(proxy)
    with pytest.raises(OccupiedError):
        proxy.dump_report(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    proxy.dump_report(tmp_path / "run.zarr")  # what was recorded is still there
    assert open_dump(tmp_path / "run.zarr").report[""]
