"""A section is there whole or not at all, whatever stops its writer."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from padiff.errors import (
    CorruptError,
    IncompleteError,
    LocationError,
    OccupiedError,
    UsageError,
    VersionError,
)
from padiff.store import exchange
from padiff.store.address import Location, below
from padiff.store.format import array_path, safe_name
from padiff.store.reader import open_dump, open_dumps
from padiff.store.verify import verify
from padiff.store.writer import DumpWriter, claim_store, write_section
from padiff.tree import LayerTree
from tests.store.backends import LOCAL, everything, hidden, on
from tests.store.sections import header_of, write


def value(location: Location) -> float:
    return float(open_dump(location).report["layer"].forward[0][0])


def test_a_section_replaces_an_older_one_and_leaves_nothing_behind(
    run: Location, files: Path
) -> None:
    write(run, {"layer": np.ones(3)}, step=0)
    write(run, {"layer": np.ones(3)}, "weights", step=0)
    count = len(everything(files))
    write(run, {"layer": np.ones(3), "gone": np.ones(3)}, step=0)
    before = open_dump(below(run, "step_0")).report
    write(run, {"layer": np.full(3, 2.0)}, step=0)
    assert value(below(run, "step_0")) == 2
    assert open_dump(below(run, "step_0")).sections == ("report", "weights")
    assert len(everything(files)) == count
    assert hidden(files) == []
    with suppress(CorruptError):  # who had it open reads what was there, or is told
        assert before["layer"].forward[0][0] == 1


def test_arrays_that_are_open_are_of_one_section(run: Location) -> None:
    """Of the one that was opened, even where each is read for the first time only later."""
    write(run, {"a": np.ones(3), "b": np.ones(3)})
    report = open_dump(run).report
    a, b = (report[name].forward[0] for name in "ab")
    assert a[0] == 1
    write(run, {"a": np.full(3, 2.0), "b": np.full(3, 2.0)})
    with suppress(CorruptError):
        assert b[0] == 1


@on("zarr")  # elsewhere nothing is exchanged
def test_replacing_where_names_cannot_be_exchanged(
    run: Location, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_exchange", lambda a, b: False)
    test_a_section_replaces_an_older_one_and_leaves_nothing_behind(run, files)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_leaving_early_keeps_what_was_there(
    run: Location, files: Path, error: type[BaseException]
) -> None:
    write(run, {"layer": np.ones(3)}, step=0)
    before = everything(files)

    def interrupted() -> None:
        with write_section(run, "report", step=0) as writer:
            writer.add(array_path("layer", 0, "forward.0"), np.zeros(2**22))
            raise error

    with pytest.raises(error):
        interrupted()
    assert everything(files) == before


def test_what_is_not_finished_is_no_dump(run: Location, files: Path) -> None:
    with DumpWriter(run, "report") as dump:
        dump.section("report").add("layer/forward.0", np.ones(3))
        with pytest.raises((IncompleteError, LocationError)):
            open_dumps(run)
    write(run, {"layer": np.ones(3)}, "weights")
    before = everything(files)
    with DumpWriter(run, "report") as dump:
        dump.section("report").add("layer/forward.0", np.ones(3))
    assert open_dump(run).sections == ("weights",)
    assert everything(files) == before
    assert hidden(files) == []


@on("zarr", "hdf5", "s3")  # a zip file holds nothing of what is not finished
def test_unfinished_sections_are_not_read(run: Location) -> None:
    write(run, {"layer": np.ones(3)}, step=0)
    writing = DumpWriter(run, "params", step=0)
    writing.section("params").add(array_path("layer", 0, "w.weight"), np.zeros(3))
    dump = open_dump(below(run, "step_0"))
    assert (dump.sections, tuple(dump.unfinished)) == (("report",), ("params",))
    with pytest.raises(ValueError, match="expected a finished params"):
        _ = dump.params
    writing.__exit__(None, None, None)


def test_steps_and_ranks(run: Location) -> None:
    for step in (2, 10, 0):
        for rank in (1, 0):
            write(run, {"layer": np.full(1, step + rank)}, step=step, rank=rank)
    found = open_dumps(run).dumps
    assert list(found) == [(s, r) for s in (0, 2, 10) for r in (0, 1)]
    assert list(open_dumps(below(run, "step_10")).dumps) == [(None, 0), (None, 1)]
    location = below(run, "step_10/rank_1")
    dump = open_dump(location)
    assert (dump.step, dump.rank, dump.sections, value(location)) == (10, 1, ("report",), 11)
    write(location, {"layer": np.ones(1)}, "weights")  # the root is found, whichever was named
    assert open_dumps(below(run, "step_10")).dumps[None, 1].sections == ("report", "weights")


def test_writers_of_two_sections_both_land(run: Location) -> None:
    with DumpWriter(run, "weights", step=0) as dump:
        writer = dump.section("weights")
        writer.add("layer/forward.0", np.ones(3))
        write(run, {"layer": np.ones(3)}, step=0)
        write(run, {"layer": np.ones(3)}, step=1)
        writer.finish(header_of(LayerTree(()), "weights"))
    assert open_dump(below(run, "step_0")).sections == ("report", "weights")
    assert list(open_dumps(run).dumps) == [(0, None), (1, None)]
    assert verify(run).intact


def test_a_dump_may_be_the_root_or_lie_anywhere_in_a_store(tmp_path: Path) -> None:
    write(tmp_path / "plain", {"layer": np.ones(1)})
    write(tmp_path / "plain/best", {"layer": np.ones(1)})
    write(tmp_path / "deep/run.zarr/epoch", {"layer": np.ones(1)}, step=3)
    assert open_dump(tmp_path / "plain").step is None
    assert value(tmp_path / "plain/best") == value(tmp_path / "deep/run.zarr/epoch/step_3") == 1
    assert (tmp_path / "deep/run.zarr/zarr.json").exists()
    assert not (tmp_path / "deep/zarr.json").exists()


def test_what_is_not_ours_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    (tmp_path / "group").mkdir()
    (tmp_path / "group/zarr.json").write_text(
        '{"zarr_format": 3, "node_type": "group", "attributes": {"other": 1}}'
    )
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    write(tmp_path / "run.zarr", {"layer": np.ones(1)})
    (tmp_path / "run.zarr/mine").mkdir()
    (tmp_path / "run.zarr/mine/notes.txt").write_text("mine")
    (tmp_path / "run.zarr/weights").write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(OccupiedError, match="weights, found a file"):
        DumpWriter(tmp_path / "run.zarr", "weights")
    for name in ("file", "full", "dangling", "run.zarr/mine"):
        with pytest.raises(OccupiedError, match=r"expected .* nothing was changed"):
            DumpWriter(tmp_path / name, "report")
    with pytest.raises(ValueError, match="without the attribute 'padiff'"):
        DumpWriter(tmp_path / "group", "report")
    with pytest.raises(OSError, match="expected to write"):
        DumpWriter(tmp_path / "file" / "below", "report")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["deeper", "layer", "layer/forward.0/x", "step_3"])
def test_nothing_is_dumped_inside_a_section(run: Location, files: Path, name: str) -> None:
    write(run, {"layer": np.ones(1)}, step=0)
    before = everything(files)
    section = below(run, "step_0/report")
    for place in (section, below(section, name)):
        with pytest.raises(OccupiedError, match=r"inside .*step_0/report: choose another place"):
            DumpWriter(place, "params")
        assert everything(files) == before


def test_a_directory_of_a_sections_name_may_be_dumped_to_and_is_not_replaced(
    tmp_path: Path,
) -> None:
    write(tmp_path / "run.zarr/report", {"layer": np.ones(1)})
    write(tmp_path / "run.zarr/report", {"layer": np.ones(1)}, step=4)
    before = everything(tmp_path)
    with pytest.raises(OccupiedError, match="found a directory that was dumped to"):
        DumpWriter(tmp_path / "run.zarr", "report")
    assert everything(tmp_path) == before


def test_a_damaged_section_may_be_dumped_again(tmp_path: Path) -> None:
    write(tmp_path / "run.zarr", {"layer": np.zeros(3)}, step=0)
    (tmp_path / "run.zarr/step_0/report/zarr.json").write_text("{")
    write(tmp_path / "run.zarr", {"layer": np.ones(3)}, step=0)
    assert value(tmp_path / "run.zarr/step_0") == 1


def test_a_newer_format_is_not_written_to(tmp_path: Path) -> None:
    write(tmp_path / "run.zarr", {"layer": np.ones(1)})
    document = tmp_path / "run.zarr/zarr.json"
    document.write_text(document.read_text().replace('"format":1', '"format":2'))
    with pytest.raises(VersionError, match="install a newer padiff"):
        DumpWriter(tmp_path / "run.zarr", "report")


@pytest.mark.parametrize("path", ["/layer/x", "../x", "layer/../../x", "layer//x", ""])
def test_arrays_stay_in_their_section(run: Location, files: Path, path: str) -> None:
    with write_section(run, "report") as writer:
        before = everything(files)
        with pytest.raises(CorruptError, match="arrays inside it"):
            writer.add(path, np.ones(1))
        assert everything(files) == before


def test_no_place_to_write_to() -> None:
    with pytest.raises(UsageError):
        DumpWriter("", "report")


def test_negative_steps_are_refused(run: Location) -> None:
    with pytest.raises(UsageError, match="step of at least 0"):
        DumpWriter(run, "report", step=-1)


@on(*LOCAL)  # behind a URL the process writes no file
def test_a_file_system_that_refuses(tmp_path: Path, run: Location) -> None:
    """A limit on file sizes stops the write of a chunk as a full disk does."""
    write(run, {"layer": np.ones(3)}, step=0)
    before = everything(tmp_path)
    script = f"""
import resource, numpy, pathlib
from padiff.errors import WriteError
from tests.store.sections import write
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
big = {{"layer": numpy.ones(3), "big": numpy.zeros({2**23})}}
for step in (0, 1):
    try:
        write(pathlib.Path({str(run)!r}), big, step=step)
    except WriteError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "expected to write 16777216 bytes to" in first
    assert "raise the limit of file sizes (ulimit -f) or choose another place" in first
    assert "step_0" in first
    assert "step_1" in second
    after = everything(tmp_path)
    assert {path: data for path, data in after.items() if "step_1" not in path} == before
    assert not [path for path in after if "partial" in path]


def test_claims_keep_runs_apart(tmp_path: Path) -> None:
    def claim(run: str, framework: str = "torch") -> str:
        return claim_store(tmp_path / "dumps", "Net", framework=framework, run=run).name

    assert [claim("a"), claim("b"), claim("a")] == ["Net", "Net_1", "Net"]
    assert claim("c", "paddle") == "Net_2"
    # another process, as a second start of the same script is, takes the first one of its framework
    script = (
        "import pathlib; from padiff.store.writer import claim_store;"
        f"print(claim_store(pathlib.Path({str(tmp_path / 'dumps')!r}), 'Net',"
        " framework='{}', run='x').name)"
    )
    for framework, expected in (("torch", "Net"), ("paddle", "Net_2")):
        done = subprocess.run(
            [sys.executable, "-c", script.format(framework)], capture_output=True, text=True
        )
        assert done.stdout.strip() == expected, done.stderr


def test_two_processes_with_two_runs_each_share_two_directories(tmp_path: Path) -> None:
    """As the ranks of one training do: what the other claims meanwhile does not mix the runs."""

    def claim(run: str) -> str:
        return claim_store(tmp_path, "Net", framework="torch", run=run).name

    def claim_elsewhere(*runs: str) -> list[str]:
        script = (
            "import pathlib, sys; from padiff.store.writer import claim_store;"
            "[print(claim_store(pathlib.Path(sys.argv[1]), 'Net', framework='torch', run=run).name)"
            " for run in sys.argv[2:]]"
        )
        command = [sys.executable, "-c", script, str(tmp_path), *runs]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert claim("a") == "Net"
    assert claim_elsewhere("a", "b") == ["Net", "Net_1"]
    assert [claim("b"), claim("a"), claim("c")] == ["Net_1", "Net", "Net_2"]


def test_a_claim_passes_by_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "Net").mkdir()
    (tmp_path / "Net/notes.txt").write_text("mine")
    (tmp_path / "Net_1").write_text("mine")
    found = claim_store(tmp_path, "Net", framework="torch", run="a")
    assert found == tmp_path / "Net_2"


def test_names_are_safe_and_tell_routes_apart() -> None:
    routes = ["a/b", "a~1", "..", ".", "", "__x", "zarr.json", "zürich", "a b", "A" * 300, "=41"]
    routes += ["A" * 299, "..\\..", "\x1b[31m", "<script>", "a\ud800"]
    paths = [array_path(route, call, "forward.0") for route in routes for call in (0, 1)]
    assert len(set(paths)) == len(paths)
    for path in paths:
        layer, leaf = path.split("/")
        assert leaf == "forward.0"
        assert len(layer) <= 205
        assert layer.isascii()
        assert layer.strip(".")
        assert not layer.startswith((".", "__"))
        assert set(layer) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~="
        )
    assert array_path("blocks.1.mlp.fc1", 1, "forward.0") == "blocks.1.mlp.fc1~1/forward.0"
    assert array_path("", 0, "input.x") == "~0/input.x"
    assert safe_name("blocks.1") == "blocks.1"
