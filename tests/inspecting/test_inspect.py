"""What `inspect` tells of real stores: all of it, the right dump, and what cannot be looked at."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from padiff import inspect, open_dump
from padiff.errors import CorruptError, IncompleteError, LocationError, PadiffError, UsageError
from padiff.store.writer import write_section
from tests.stores import Layer, write_dump

Y = np.arange(12, dtype=np.float32).reshape(3, 4)
NAN = np.where(Y == 5, np.nan, Y).astype(np.float32)
INF = np.where(Y > 9, np.inf, Y).astype(np.float32)


def net(inner: np.ndarray = Y, back: np.ndarray = Y) -> Layer:
    return Layer(
        "",
        "Net",
        inputs=Y,
        out=Y,
        back=back,
        children=[Layer("a", "Linear", out=Y), Layer("b", "Linear", out=inner)],
        weights={"weight": Y},
    )


@pytest.fixture(scope="module", params=["run.zarr", "run.h5", "run.zarr.zip"])
def run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Eleven steps of two ranks, of which the first with NaN is step 10, rank 1."""
    location = tmp_path_factory.mktemp("run") / str(request.param)
    for step in (2, 10):
        for rank in (0, 1):
            bad = step == 10 and rank == 1
            write_dump(location, net(NAN if bad else Y), step=step, rank=rank)
            write_dump(location, net(), section="params", step=step, rank=rank)
    return location


def test_every_section_is_summed_up_in_order(run: Path) -> None:
    found = inspect(run)
    assert [(s.step, s.rank, s.section) for s in found.sections] == [
        (step, rank, section)
        for step in (2, 10)
        for rank in (0, 1)
        for section in ("report", "params")
    ]
    report = found.sections[0]
    assert (report.layers, report.tensors, report.bytes) == (3, 5, 5 * Y.nbytes)
    assert (report.model, report.framework, report.framework_version) == ("Net", "torch", "1.0")
    assert [s.nan for s in found.sections] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert found.damages == found.unfinished == ()
    assert found.producer is not None
    assert found.producer.startswith("padiff ")


def test_the_first_dump_with_nan_is_shown(run: Path) -> None:
    found = inspect(run)
    assert {(s.summary.step, s.summary.rank) for s in found.shown} == {(10, 1)}
    first = found.first_nonfinite
    assert first is not None
    assert (first.step, first.rank, first.section, first.route) == (10, 1, "report", "b")
    assert (first.phase, first.tensor) == ("forward", "0")
    assert (first.nan, first.inf, first.size) == (1, 0, 12)


@pytest.mark.parametrize("part", ["step_10", "step_10/rank_1", "step_10/rank_1/report"])
def test_a_part_of_a_store(run: Path, part: str) -> None:
    found = inspect(run / part)
    assert found.first_nonfinite == inspect(run).first_nonfinite
    assert {s.step for s in found.sections} == {10}
    assert {s.section for s in found.sections} >= {"report"}
    assert len(found.sections) == {0: 4, 1: 2, 2: 1}[part.count("/")]


def test_of_several_dumps_with_nan_the_first_is_shown(tmp_path: Path) -> None:
    for step in range(4):
        write_dump(tmp_path / "run", net(NAN if step else Y), step=step)
    found = inspect(tmp_path / "run")
    assert [s.nan for s in found.sections] == [0, 1, 1, 1]
    assert [s.summary.step for s in found.shown] == [1]


def test_without_nan_the_first_dump_is_shown(tmp_path: Path) -> None:
    for step in (9, 10, 3):
        write_dump(tmp_path / "run", net(), step=step)
    found = inspect(tmp_path / "run")
    assert [s.summary.step for s in found.shown] == [3]
    assert found.first_nonfinite is None


@pytest.mark.parametrize(
    ("report", "weight", "route", "section"),
    [
        (net(NAN), Y, "b", "report"),
        (net(Y, NAN), Y, "", "report"),  # a gradient of it
        (net(NAN, NAN), Y, "b", "report"),  # the output before the gradient
        (net(NAN), INF, "", "params"),  # the weight before all that is computed from it
    ],
)
def test_causes_come_before_effects(
    tmp_path: Path, report: Layer, weight: np.ndarray, route: str, section: str
) -> None:
    write_dump(tmp_path / "run", report)
    write_dump(tmp_path / "run", Layer("", "Net", weights={"w": weight}), section="params")
    first = inspect(tmp_path / "run").first_nonfinite
    assert first is not None
    assert (first.route, first.section) == (route, section)


def test_the_statistics_are_those_of_the_elements(tmp_path: Path) -> None:
    location = write_dump(tmp_path / "run", net(NAN))
    (section,) = inspect(location).shown
    dump = open_dump(location)
    for layer in dump.report:
        for tensor in layer.node.tensors:
            values = np.asarray(dump.report.array(tensor)).astype(np.float64)
            finite = values[np.isfinite(values)]
            stats = section.stats[tensor.array]
            assert (stats.min, stats.max) == (finite.min(), finite.max())
            assert stats.mean == pytest.approx(finite.mean())
            assert (stats.nan, stats.inf) == (np.isnan(values).sum(), np.isinf(values).sum())


def test_nan_in_a_file_of_another_tool_is_known_when_it_was_measured(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **{"a.w": Y, "b.w": NAN})  # type: ignore[arg-type]  # names
    (section,) = inspect(tmp_path / "net.npz").to_json()["sections"]
    assert (section["nan"], section["inf"], section["measured"]) == (None, None, False)
    (section,) = inspect(tmp_path / "net.npz", measure=True).to_json()["sections"]
    assert (section["nan"], section["inf"], section["measured"]) == (1, 0, True)


def test_every_location_that_is_told_can_be_typed(run: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **{"a.w": Y, "a.b.w": Y})  # type: ignore[arg-type]  # names
    for location in (run, tmp_path / "net.npz", tmp_path / "net.npz/a"):
        for section in inspect(location).sections:
            assert inspect(section.location).sections == (section,)


def test_layers_are_narrowed_down_and_must_be_there(tmp_path: Path) -> None:
    location = write_dump(tmp_path / "run", net())
    (shown,) = inspect(location, layers=["b*"]).to_json()["shown"]
    assert [(layer["route"], layer["depth"]) for layer in shown["layers"]] == [("b", 1)]
    with pytest.raises(UsageError, match=r"fits c or d\* in .*report, found a, b: routes"):
        inspect(location, layers=["c", "d*"])


def test_no_element_is_read(tmp_path: Path) -> None:
    run = write_dump(tmp_path / "run", net(NAN))
    before = inspect(run)
    chunks = list(run.rglob("c.*"))
    assert len(chunks) == before.sections[0].tensors
    for chunk in chunks:
        chunk.unlink()
    assert replace(inspect(run), bytes_on_disk=before.bytes_on_disk) == before


def test_the_room_on_disk(run: Path) -> None:
    files = [run] if run.is_file() else [path for path in run.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert inspect(run).bytes_on_disk == inspect(f"file://{run}").bytes_on_disk == size


def test_damage_hides_nothing_else(tmp_path: Path) -> None:
    location = tmp_path / "run"
    for step in range(3):
        write_dump(location, net(), step=step)
    document = location / "step_0/report/zarr.json"
    document.write_bytes(document.read_bytes().replace(b"Linear", b"Linaer"))
    (location / "step_1/zarr.json").unlink()
    found = inspect(location)
    assert [s.step for s in found.sections] == [1, 2]
    assert len(found.damages) == 2
    assert "step_1" in found.damages[0]
    assert "digest" in found.damages[1]
    document.write_bytes(b"")
    shutil.rmtree(location / "step_1")
    shutil.rmtree(location / "step_2")
    with pytest.raises(CorruptError, match="step_0"):
        inspect(location)


def test_what_was_never_finished(tmp_path: Path) -> None:
    location = write_dump(tmp_path / "run", net(), step=0)
    with write_section(location, "params", step=0):
        (unfinished,) = inspect(location).unfinished
        assert "params" in unfinished
    with (
        write_section(tmp_path / "other", "params", step=0),
        pytest.raises(IncompleteError, match="only unfinished ones"),
    ):
        inspect(tmp_path / "other")


@pytest.mark.parametrize("name", ["nothing", "run/step_7", "file", "run/step_0/report/a"])
def test_what_is_no_store(tmp_path: Path, name: str) -> None:
    write_dump(tmp_path / "run", net(), step=0)
    (tmp_path / "file").write_text("text")
    with pytest.raises(PadiffError, match="expected a") as raised:
        inspect(tmp_path / name)
    assert isinstance(raised.value, LocationError) == (name in ("nothing", "run/step_7"))
