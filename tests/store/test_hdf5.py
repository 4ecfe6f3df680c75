"""What is true of HDF5 alone: where files lie, who reads them, and damage that is told in time."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import padiff
from padiff.errors import (
    CorruptError,
    FormatError,
    LocationError,
    OccupiedError,
    PadiffError,
    UsageError,
    VersionError,
)
from padiff.store.reader import open_dump, open_dumps
from padiff.store.storage import Storage
from padiff.store.verify import verify
from padiff.store.writer import DumpWriter, claim_store
from tests.store.sections import write
from tests.store.test_round_trip import CORE, EXTENDED, SHAPES, same_bits, values_of
from tests.stores import Layer, write_dump
from tests.tools import need

ARRAY = "report/layer/forward.0"
ONE = {"layer": np.arange(6.0)}


def files(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def tool(*command: str | Path) -> str:
    """What a command line tool of HDF5 prints; it may be missing, but not where CI runs."""
    need(str(command[0]))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("location", "options", "expected"),
    [
        ("x.h5", {}, ["x.h5"]),
        ("x.hdf5", {}, ["x.hdf5"]),
        ("x.h5", {"step": 9}, ["x.h5/padiff.json", "x.h5/step_9.h5"]),
        ("x.h5", {"step": 9, "rank": 0}, ["x.h5/padiff.json", "x.h5/step_9/rank_0.h5"]),
        ("run", {"storage": Storage("hdf5")}, ["run/dump.h5", "run/padiff.json"]),
        ("run", {"storage": Storage("hdf5"), "step": 9}, ["run/padiff.json", "run/step_9.h5"]),
    ],
    ids=str,
)
def test_where_dumps_lie(
    tmp_path: Path, location: str, options: dict[str, Any], expected: list[str]
) -> None:
    write(tmp_path / location, ONE, **options)
    assert files(tmp_path) == expected
    (file,) = (name for name in expected if not name.endswith(".json"))
    for name in {location, file}:
        assert open_dump(tmp_path / name).sections == ("report",)


def test_a_location_at_any_level(tmp_path: Path) -> None:
    for step, rank in ((2, None), (10, 1), (10, 0)):
        write(tmp_path / "run.h5", ONE, step=step, rank=rank)
    assert list(open_dumps(tmp_path / "run.h5").dumps) == [(2, None), (10, 0), (10, 1)]
    assert list(open_dumps(tmp_path / "run.h5/step_10").dumps) == [(None, 0), (None, 1)]
    for name in ("step_10/rank_1", "step_10/rank_1.h5"):
        dump = open_dump(tmp_path / "run.h5" / name)
        assert (dump.step, dump.rank) == (10, 1)
    for name in ("step_2", "step_2.h5"):
        assert open_dump(tmp_path / "run.h5" / name).step == 2
    (tmp_path / "run.h5/padiff.json").unlink()  # as where only files were copied
    assert list(open_dumps(tmp_path / "run.h5").dumps) == [(2, None), (10, 0), (10, 1)]
    assert open_dump(tmp_path / "run.h5/step_10/rank_1.h5").step == 10
    with pytest.raises(LocationError):
        open_dump(tmp_path / "run.h5/step_3.h5")


def test_files_and_directories_in_each_others_place(tmp_path: Path) -> None:
    write(tmp_path / "file.h5", ONE)
    write(tmp_path / "directory.h5", ONE, step=0)
    (tmp_path / "foreign.h5").write_text("mine")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    for name, step, words in (
        ("file.h5", 3, "a file where a directory is needed"),
        ("foreign.h5", None, "a file that is no dump"),
        ("other.h5", None, "a file that is no dump"),
    ):
        with pytest.raises(OccupiedError, match=words):
            DumpWriter(tmp_path / name, "report", step=step)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_other_sections_of_a_file_are_kept(tmp_path: Path) -> None:
    big = {"layer": np.arange(2**22 + 5, dtype=np.float32), "empty": np.zeros((0, 3))}
    for section in ("report", "weights", "report", "grads"):
        write(tmp_path / "x.h5", big, section)  # type: ignore[arg-type]
    dump = open_dump(tmp_path / "x.h5")
    assert dump.sections == ("report", "weights", "grads")
    for name in dump.sections:
        values = np.asarray(dump.section(name)["layer"].forward[0])
        np.testing.assert_array_equal(values, big["layer"])
    assert padiff.verify(tmp_path / "x.h5").intact
    assert files(tmp_path) == ["x.h5"]


@pytest.mark.parametrize(
    "storage", [Storage(), Storage(compression="gzip"), Storage(chunk_bytes=8)]
)
def test_h5py_reads_all_types_and_shapes(tmp_path: Path, storage: Storage) -> None:
    arrays = {
        f"{dtype}.{i}": values_of(dtype, shape)
        for dtype in CORE + EXTENDED
        for i, shape in enumerate(SHAPES)
    }
    write(tmp_path / "x.h5", arrays, storage=storage)
    report = open_dump(tmp_path / "x.h5").report
    with h5py.File(tmp_path / "x.h5", locking=False) as file:
        for route, values in arrays.items():
            assert same_bits(np.asarray(report[route].forward[0]), values)
            found = file[f"report/{route}/forward.0"]
            assert found.shape == values.shape
            if values.dtype.name in CORE:
                assert same_bits(found[...], values)
    assert padiff.verify(tmp_path / "x.h5").intact


def test_chunk_digests_are_those_of_zarr(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "a": np.arange(2**22 + 5.0),
        "b": np.ones((3, 5), np.float16),
    }
    for name in ("x.h5", "x.zarr"):
        write(tmp_path / name, arrays)
    for route in arrays:
        hdf5, zarr = (open_dump(tmp_path / name).report[route] for name in ("x.h5", "x.zarr"))
        assert hdf5.node.tensors[0].chunks == zarr.node.tensors[0].chunks
        assert hdf5.node.tensors[0].stats == zarr.node.tensors[0].stats


def test_one_side_in_each_format(tmp_path: Path) -> None:
    out = np.arange(12, dtype=np.float32).reshape(3, 4)
    wrong = out.copy()
    wrong[1, 2] += 1
    write_dump(tmp_path / "base.zarr", Layer("", "Net", out=out, inputs=out))
    write_dump(tmp_path / "same.h5", Layer("", "Net", out=out, inputs=out))
    write_dump(tmp_path / "wrong.h5", Layer("", "Net", out=wrong, inputs=out))
    same = padiff.compare(tmp_path / "base.zarr", tmp_path / "same.h5")
    assert same.aligned
    assert same.totals.identical == same.totals.compared == 2
    found = padiff.compare(tmp_path / "wrong.h5", tmp_path / "base.zarr").first_divergence
    assert found is not None
    assert found.base.tensor == "0"


def test_h5dump_prints_what_hdf5_has_no_word_for(tmp_path: Path) -> None:
    import ml_dtypes

    numbers = [0.5, -2.0, 1.75, 0.0]
    arrays: dict[str, NDArray[Any]] = {
        name: np.array(numbers, getattr(ml_dtypes, name)) for name in EXTENDED
    }
    write(tmp_path / "x.h5", arrays)
    for name in EXTENDED:
        printed = tool("h5dump", "-y", "-d", f"/report/{name}/forward.0", tmp_path / "x.h5")
        assert "0.5, -2, 1.75, 0" in printed


def test_h5diff_and_h5ls_read_it(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write(tmp_path / name, {"layer": np.arange(2**22 + 5, dtype=np.float32)})
    assert "forward.0" in tool("h5ls", "-r", tmp_path / "a.h5")
    tool("h5diff", tmp_path / "a.h5", tmp_path / "b.h5", "/report/layer/forward.0")


@pytest.fixture
def dumped(tmp_path: Path) -> Path:
    write(tmp_path / "x.h5", ONE | {"other": np.arange(70000.0)})
    return tmp_path / "x.h5"


def open_all(location: Path) -> None:
    for layer in open_dump(location).report:
        for tensor in layer.forward.values():
            np.asarray(tensor)


def test_a_flipped_bit_anywhere_is_found(dumped: Path) -> None:
    """In what is no tensor before HDF5 looks at the file; in tensors by their digests."""
    data = bytearray(dumped.read_bytes())
    rng = np.random.default_rng(0)
    places = [*range(96), *range(len(data) - 160, len(data)), *rng.integers(0, len(data), 40)]
    for place in places:
        flipped = data.copy()
        flipped[place] ^= 1 << (place % 8)
        dumped.write_bytes(flipped)
        with suppress(FormatError):
            assert not padiff.verify(dumped).intact, place


@pytest.mark.parametrize("size", [0, 4, 20, 47, 100, 2000, -1, -30, -1000])
def test_a_file_that_was_cut_short(dumped: Path, size: int) -> None:
    data = dumped.read_bytes()
    dumped.write_bytes(data[:size])
    with pytest.raises(FormatError) as error:
        open_dump(dumped)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("expected")
    if size > 4:
        assert isinstance(error.value, CorruptError)


def test_what_other_tools_wrote_is_looked_at_first(dumped: Path) -> None:
    with h5py.File(dumped, "r+") as file:
        file["report"].attrs["note"] = "mine"
    assert not dumped.read_bytes().endswith(b"padiff1\n")
    open_all(dumped)
    data = bytearray(dumped.read_bytes())
    place = data.index(b"OHDR")
    data[place : place + 64] = b"\xff" * 64
    dumped.write_bytes(data)
    with pytest.raises(CorruptError, match="does not come through"):
        open_dump(dumped)


def test_repacked_by_another_tool(dumped: Path) -> None:
    repacked = dumped.with_name("repacked.h5")
    tool("h5repack", dumped, repacked)
    open_all(repacked)
    assert padiff.verify(repacked).intact


def test_links_lead_out_of_no_file(dumped: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere.h5", ONE)
    for link in (
        h5py.SoftLink("/report/other/forward.0"),
        h5py.ExternalLink("elsewhere.h5", f"/{ARRAY}"),
    ):
        with h5py.File(dumped, "r+") as file:
            del file[ARRAY]
            file[ARRAY] = link
        with pytest.raises(CorruptError, match="expected an array"):
            open_all(dumped)


def test_what_is_no_dump(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("x")  # and not one array
    (tmp_path / "text.h5").write_text("hello")
    os.mkfifo(tmp_path / "pipe.h5")
    for name, words in (("other.h5", "has none"), ("text.h5", "none"), ("pipe.h5", "pipe.h5")):
        with pytest.raises(PadiffError, match=words):
            open_dump(tmp_path / name)


def test_a_newer_format(dumped: Path) -> None:
    with h5py.File(dumped, "r+") as file:
        file.attrs["padiff"] = '{"format":2}'
    for use in (open_dump, lambda place: DumpWriter(place, "report")):
        with pytest.raises(VersionError, match="install a newer padiff"):
            use(dumped)


def test_a_tree_of_20_megabytes(tmp_path: Path) -> None:
    from padiff.store.writer import write_section
    from padiff.tree import LayerTree, Node
    from tests.store.sections import header_of

    nodes = tuple(Node("Layer", f"l{n}", 0, n, repr="x" * 1000) for n in range(20_000))
    with write_section(tmp_path / "x.h5", "report") as writer:
        writer.finish(header_of(LayerTree(nodes)))
    assert len(open_dump(tmp_path / "x.h5").report) == 20_000


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        (Storage(compression="zstd"), "gzip"),
        (Storage(compression={"id": 60000}), "60000"),
        (Storage(compression=["gzip", "lzf"]), "one filter"),
        (Storage(shard_bytes=2**30), "shard_bytes"),
        (Storage(chunk_bytes=2**32), "chunk_bytes"),
    ],
    ids=str,
)
def test_what_hdf5_cannot_do(tmp_path: Path, storage: Storage, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write(tmp_path / "x.h5", ONE, storage=storage)
    assert files(tmp_path) == []


def test_claims(tmp_path: Path) -> None:
    (tmp_path / "Net_1").mkdir()
    (tmp_path / "Net_1/notes.txt").write_text("mine")
    names = [
        claim_store(tmp_path, "Net", framework="torch", run=run, backend="hdf5").name
        for run in ("a", "b", "a")
    ]
    assert names == ["Net", "Net_2", "Net"]
    write(tmp_path / "Net", ONE, step=0)
    assert files(tmp_path / "Net") == ["padiff.json", "step_0.h5"]


def test_no_link_below_a_root_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside.h5", {"layer": np.ones(3)}, step=0)
    for name in ("step_0.h5", "padiff.json"):
        run = tmp_path / f"{name}-run.h5"
        write(run, {"layer": np.ones(3)}, step=0)
        (run / name).unlink()
        (run / name).symlink_to(tmp_path / "outside.h5" / name)
        for use in (open_dump, lambda run: write(run, {"layer": np.zeros(3)}, step=0)):
            with pytest.raises(CorruptError, match=f"{name} to lie in its store, found a link"):
                use(run)
    assert open_dump(tmp_path / "outside.h5").report["layer"].forward[0][0] == 1


def test_a_link_that_is_typed_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "run.h5", {"layer": np.ones(3)}, step=7)
    (tmp_path / "latest.h5").symlink_to("run.h5/step_7.h5")
    (tmp_path / "root").symlink_to("run.h5")
    for typed in ("latest.h5", "root", "root/step_7", "root/step_7.h5"):
        assert open_dump(tmp_path / typed).report["layer"].forward[0][0] == 1


def test_a_directory_may_hold_a_dump_of_no_step_beside_those_of_steps(tmp_path: Path) -> None:
    for section in ("report", "weights"):
        write(tmp_path / "run", {"layer": np.ones(3)}, section, storage=Storage("hdf5"))
        write(tmp_path / "run", {"layer": np.ones(3)}, section, step=4)
    assert files(tmp_path / "run") == ["dump.h5", "padiff.json", "step_4.h5"]
    found = open_dumps(tmp_path / "run").dumps
    assert {key: dump.sections for key, dump in found.items()} == {
        (None, None): ("report", "weights"),
        (4, None): ("report", "weights"),
    }
    assert found[None, None].report["layer"].forward[0][0] == 1
    assert verify(tmp_path / "run").counts.sections == 4
    data = bytearray((tmp_path / "run/dump.h5").read_bytes())
    data[100] ^= 1
    (tmp_path / "run/dump.h5").write_bytes(data)
    assert not verify(tmp_path / "run").intact


def test_stores_of_two_formats_do_not_mix(tmp_path: Path) -> None:
    """Whoever reads the one would not find what is in the other."""
    write(tmp_path / "a", {"layer": np.ones(3)}, storage=Storage("zarr"))
    write(tmp_path / "b.h5", {"layer": np.ones(3)}, step=0)
    for location, form, found in (
        ("a", "hdf5", "Zarr"),
        ("a/step_1", "hdf5", "Zarr"),
        ("b.h5/step_1", "zarr", "HDF5"),
    ):
        storage = Storage(form)  # type: ignore[arg-type]
        with pytest.raises(OccupiedError, match=f"found one of {found}: choose another place"):
            write(tmp_path / location, {"layer": np.ones(3)}, storage=storage)
    with pytest.raises(UsageError, match="a URL takes Zarr"):
        write("memory://run.h5", {"layer": np.ones(3)})
