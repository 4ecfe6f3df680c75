"""Damage of every kind to every file of a store is found, and is never told as a fault."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import ArrayLike

from padiff.cli.commands import group
from padiff.errors import FormatError, IncompleteError, LocationError, PadiffError
from padiff.store.format import SectionName
from padiff.store.storage import Storage
from padiff.store.verification import Verification
from padiff.store.verify import verify
from padiff.store.writer import DumpWriter, claim_store
from tests.store.sections import write
from tests.stores import Layer, write_dump

RANDOM = random.Random(7)
SMALL = 100  # bytes; of a file of no more every byte is tried
ODD = "\x1b[31m<b>/x"
VALUES: dict[str, ArrayLike] = {
    "b": np.arange(6, dtype=np.int16),
    "empty": np.zeros((3, 0), np.float32),
    "scalar": np.float64(3),
    ODD: np.ones(3, np.float16),
}
LARGE = np.arange(60.0).reshape(12, 5) * 1e-7
CHUNK = re.compile(r"/c(\.\d+)*$")


def make(run: Path, scale: float = 1) -> Path:
    """A claimed store of a step of a rank, with two sections, one array in several chunks."""
    claim_store(run.parent, run.name, framework="torch", run="r")
    layers = [Layer(name, "L", out=v, weights={"w": v}) for name, v in VALUES.items()]
    net = Layer("", "Net", out=LARGE * scale, weights={"w": LARGE * scale}, children=layers)
    sections: tuple[SectionName, ...] = ("report", "params")
    for section in sections:
        write_dump(run, net, section=section, step=0, rank=1, storage=Storage(chunk_bytes=160))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make(tmp_path / "run.zarr")


def files(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file())


def flips(data: bytes) -> Iterator[bytes]:
    """The same with one bit flipped: in every byte of a small file, else first, last, and some."""
    places = set(range(len(data)))
    if len(data) > SMALL:
        places = {0, len(data) - 1, *RANDOM.sample(range(len(data)), 24)}
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 1 << RANDOM.randrange(8)
        yield bytes(changed)


def cuts(data: bytes) -> Iterator[bytes]:
    for length in {0, len(data) // 2, len(data) - 1}:
        yield data[:length]


def damaged(run: Path, change: Callable[[bytes], Iterator[bytes]]) -> Iterator[Path]:
    """Each file of a store, once for each way in which it is changed, and as it was afterwards."""
    for path in files(run):
        data = path.read_bytes()
        for changed in change(data):
            path.write_bytes(changed)
            yield path
        path.write_bytes(data)


def deleted(run: Path) -> Iterator[Path]:
    for path in files(run):
        aside = run.with_name("aside")
        path.rename(aside)
        yield path
        aside.rename(path)


def assert_found(run: Path, path: Path) -> None:
    """Verifying finds what was done to one file, and says which it is."""
    try:
        found = verify(run, jobs=1)
    except PadiffError:  # what is no root any more is no store
        found = None
    if found is None:
        assert path.parent == run
        return
    (damage,) = found.damages
    assert Path(damage.file) in (path, path.parent), damage
    assert "\n" not in damage.message
    assert damage.message.startswith("expected")
    layer, array = path.parts[-3], path.parts[-2]
    if CHUNK.search(str(path)):
        index = tuple(int(part) for part in path.name.split(".")[1:])
        assert (damage.kind, damage.array, damage.chunk) == ("chunk", f"{layer}/{array}", index)
    elif array in ("forward.0", "w.weight"):
        assert (damage.kind, damage.array, damage.chunk) == ("array", f"{layer}/{array}", None)
    elif array in ("report", "params"):
        assert damage.kind == "section"
    else:
        assert damage.kind == "group"


def test_what_was_written_is_intact(run: Path) -> None:
    found = verify(run)
    assert found.intact
    counts = found.counts
    sizes = [path.stat().st_size for path in files(run) if CHUNK.search(str(path))]
    assert (counts.sections, counts.arrays, counts.chunks) == (2, 2 * len(VALUES) + 2, len(sizes))
    assert counts.bytes == sum(sizes)
    assert counts.chunks == 12
    for below in ("step_0", "step_0/rank_1", "step_0/rank_1/params"):
        assert verify(run / below).counts.chunks in (6, 12)


@pytest.mark.parametrize("change", [flips, cuts])
def test_every_changed_file_is_found(run: Path, change: Callable[[bytes], Iterator[bytes]]) -> None:
    for path in damaged(run, change):
        assert_found(run, path)
    assert verify(run).intact


def test_every_deleted_file_is_found(run: Path) -> None:
    for path in deleted(run):
        assert_found(run, path)
    assert verify(run).intact


def test_a_number_that_is_written_in_another_way(run: Path) -> None:
    """The one bit that changes no value: 1e-07 and 1E-07 are one number."""
    document = run / "step_0/rank_1/report/zarr.json"
    text = document.read_text()
    assert "e-0" in text
    document.write_text(text.replace("e-0", "E-0", 1))
    assert_found(run, document)


def test_all_that_is_damaged_is_told(run: Path) -> None:
    section = run / "step_0/rank_1/report"
    gone = [section / "~0/forward.0" / f"c.{number}.0" for number in range(3)]
    for path in gone:
        path.unlink()
    (section / "b/zarr.json").unlink()
    (section / "scalar/forward.0/zarr.json").write_text("{}")
    (run / "step_0/zarr.json").unlink()
    (run / "step_0/rank_1/params/zarr.json").unlink()
    found = verify(run)
    assert {Path(damage.file) for damage in found.damages} == {
        *gone,
        section / "b",
        section / "scalar/forward.0",
        run / "step_0",
        run / "step_0/rank_1/params",
    }
    assert found.counts.chunks == 2


def test_an_array_of_another_shape_than_in_the_tree(run: Path) -> None:
    document = run / "step_0/rank_1/report/b/forward.0/zarr.json"
    data = json.loads(document.read_text())
    document.write_text(json.dumps({**data, "shape": [7]}))
    (damage,) = verify(run).damages
    assert (damage.kind, damage.array) == ("array", "b/forward.0")
    assert "[7]" in damage.message


def test_what_other_tools_may_do(run: Path) -> None:
    """Setting the text of a group's document anew, and adding what is not ours."""
    for document in (run / "zarr.json", run / "step_0/rank_1/report/zarr.json"):
        data = json.loads(document.read_text())
        data["attributes"]["units"] = "m"
        data["consolidated_metadata"] = {"must_understand": False}
        document.write_text(json.dumps(data, indent=2))
    (run / "step_0/rank_1/report/notes.txt").write_text("mine")
    (run / "pictures").mkdir()
    assert verify(run).intact


def test_a_writer_at_work_is_told_and_is_no_damage(run: Path) -> None:
    with DumpWriter(run, "report", step=1) as writer:
        writer.section("report")
        found = verify(run)
        assert found.intact
        (place,) = found.unfinished
        assert re.search(r"step_1/\.report\..*\.partial$", place)
        with pytest.raises(IncompleteError, match=r"\.partial: dump to it, or wait"):
            verify(run / "step_1")


def test_what_is_no_store_to_verify(tmp_path: Path, run: Path) -> None:
    with pytest.raises(LocationError):
        verify(tmp_path / "nothing")
    with pytest.raises(FormatError, match="found a part of a section"):
        verify(run / "step_0/rank_1/report/b")
    with pytest.raises(ValueError, match="jobs?"):
        verify(run, jobs=0)


def test_progress_ends_with_all(run: Path) -> None:
    told: list[tuple[float, int]] = []
    found = verify(run, progress=lambda *done: told.append(done))
    assert told == sorted(told)
    assert told[-1] == (1, found.counts.bytes)


def test_a_section_that_is_dumped_again_meanwhile_is_read_anew(run: Path) -> None:
    section = run / "step_0/rank_1/params"
    once = iter([True])

    def again(*_: float) -> None:
        if next(once, False):
            write(run, {"c": np.ones(3)}, "params", step=0, rank=1)

    assert verify(section, progress=again) == Verification(
        str(section), verify(section).counts, steps=(0,)
    )


def test_large_arrays_in_threads(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((600, 1000), dtype=np.float32)
    run = tmp_path / "run.zarr"
    write(run, {"big": values}, storage=Storage(chunk_bytes=2**18))
    chunks = sorted((run / "report/big/forward.0").glob("c.*"))
    assert len(chunks) > 8
    for path in chunks[3], chunks[7]:
        with path.open("r+b") as file:
            file.seek(1000)
            file.write(b"\xff\xff")
    found = verify(run, jobs=3)
    assert {Path(damage.file) for damage in found.damages} == {chunks[3], chunks[7]}
    assert found.counts.chunks == len(chunks) - 2


def test_the_command(run: Path, tmp_path: Path) -> None:
    def invoke(*arguments: str | Path) -> tuple[int, str, str]:
        result = CliRunner().invoke(group, ["verify", *map(str, arguments)])
        return result.exit_code, result.stdout, result.stderr

    whole = f"INTACT: {run}, checked 2 sections of step 0, 10 arrays, 12 chunks (1012 bytes)\n"
    assert invoke(run) == (0, whole, "")
    assert invoke(run, "-q") == (0, "", "")
    intact = Path(shutil.copytree(run, tmp_path / "intact"))
    (gone,) = run.glob("step_0/rank_1/report/=1B*/forward.0/c.0")
    gone.unlink()
    code, out, _ = invoke(run, intact)
    assert code == 1
    first, second, third = out.splitlines()
    assert first.startswith(
        f"DAMAGED array {gone.parent.parent.name}/forward.0 chunk (0,) of {run}"
    )
    assert str(gone) in first
    assert second.startswith(
        f"DAMAGED: 1 in {run}, intact beside are 1 section of step 0, 9 arrays, 11 chunks"
    )
    assert third.startswith("INTACT")
    code, out, _ = invoke(run, "--json", "-")
    document = json.loads(out)
    assert (code, document["intact"], document["damages"][0]["chunk"]) == (1, False, [0])
    code, out, _ = invoke(run, intact, "--json", tmp_path / "out.json", "-q")
    assert [part["intact"] for part in json.loads((tmp_path / "out.json").read_text())] == [
        False,
        True,
    ]
    assert out == ""
    code, out, err = invoke(run, tmp_path / "typo.zarr", intact)
    assert code == 1  # what is told of others counts, wherever a name is mistyped
    assert [line.split()[0] for line in out.splitlines()] == ["DAMAGED", "DAMAGED:", "INTACT:"]
    assert err.startswith(f"padiff verify: expected a padiff store at {tmp_path}/typo.zarr")
    assert invoke(intact, tmp_path / "typo.zarr")[0] == 2
    code, out, err = invoke(tmp_path / "nothing")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"padiff verify: expected .*\n", err)
    assert invoke(run, "--json", "")[0] == 2
    assert invoke()[0] == 2
