"""Damaged and hostile files of other tools: one sentence or a right reading, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import padiff
from benchmarks.fuzz import peak
from padiff.errors import PadiffError
from padiff.store.chunks import blocks
from padiff.store.section import Section
from tests.foreign.attacks import ATTACKS
from tests.foreign.attacks.pickles import pickle_file, pickles_that_run, torch_file
from tests.foreign.formats import FORMATS

SECONDS = 5  # of the processor, whatever else the machine does
MEMORY = 300 * 2**20
STATE = {
    "blocks.0.weight": torch.arange(63.0).reshape(9, 7),
    "blocks.1.weight": torch.arange(150.0).reshape(30, 5),
    "blocks.2.weight": torch.arange(96.0).reshape(8, 12),
    "bias": torch.ones(4, dtype=torch.bfloat16),
    "scale": torch.tensor(0.5, dtype=torch.float64),
}
# What is no harm: an odd file that says what it holds.
READ = {
    *("npy_fortran_of_nothing", "npy_python_2", "zarr_chunk_is_directory"),
    "torch tensor: elements that are several",
    "safetensors: one for another without end",
    "zarr shard: as it should be",
    *("hdf5: resized", "hdf5: many links"),
    *(f"torch tensor: huge strides of {name}" for name in ("one", "nothing")),
    "torch tensor: a huge offset of nothing",
    *(f"safetensors: {name}" for name in ("half a character", "control characters", "a path")),
    *(f"safetensors: {name}" for name in ("dots", "metadata that is a list")),
    *(f"npz: {name}" for name in ("a path", "an absolute path")),
    "distributed: nothing",
    *(f"hdf5: {name}" for name in ("cyclic", "numbers of 12 bits", "control characters", "dots")),
    *("zarr 2: many digits", "zarr 3: many digits", "zarr 2: no filters"),
}
DAMAGES = 6
# Runs each as whoever trusts it does.
UNPICKLE = """
import contextlib, pickle, sys
for name in sys.argv[1:]:
    with contextlib.suppress(Exception):
        pickle.load(open(name, "rb"))
"""
# The library's files are walked in a process of its own, which takes a while.
FEWER = {"hdf5": 2, "hdf5_packed": 2}
DAMAGED = [name for name in FORMATS if name in FEWER or not name.startswith("hdf5")]
SUFFIXES = (".txt", ".npz", ".safetensors", ".pt", ".h5", ".zarr", ".zarr.zip")


def read_all(section: Section) -> None:
    for layer in section:
        for array in {**layer.weight, **layer.buffer}.values():
            for selection in blocks(array.shape, array.chunk_shape, 2**22):
                array.read(selection)


def attempt(location: Path) -> str:
    """Read all of a location; what padiff says of it, empty where that is nothing.

    Fails for what no file may cause.
    """
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5")
    before, start = peak() if forget.exists() else 0, time.process_time()
    said = ""
    try:
        read_all(padiff.open_dump(location).weights)
    except PadiffError as error:
        said = str(error)
        assert said.startswith("expected ")
        assert said.isprintable()
    assert time.process_time() - start < SECONDS
    assert not forget.exists() or peak() - before < MEMORY
    return said


def untouched(root: Path) -> Callable[[], list[str]]:
    """Tells which of the files outside were read since; on any mount but noatime."""
    for name in ("outside", "outside.npy", "outside.h5", "outside.safetensors"):
        if not (root / name).exists():
            shutil.copy(__file__, root / name)
    files = [file for file in root.rglob("*") if "outside" in str(file.relative_to(root))]
    for file in files:
        os.utime(file, (1, 2))
    return lambda: [str(file) for file in files if file.is_file() and file.stat().st_atime != 1]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    location = ATTACKS[name](tmp_path)
    touched = untouched(tmp_path)
    said = attempt(location)
    assert bool(said) == (name not in READ), said
    assert touched() == []


def damage(file: Path, random: Random) -> None:
    """A few bits, a part of the bytes, or the end of a file are no longer what they were."""
    data = bytearray(file.read_bytes())
    reach = min(len(data), random.choice([64, 512, 2**20]))
    kind = random.choice(["cut", "bit", "bit", "bytes", "zeros", "more", "moved"])
    at = random.randrange(reach) if reach else 0
    if kind == "cut":
        del data[at:]
    elif kind == "bit" and data:
        data[at] ^= 1 << random.randrange(8)
    elif kind == "bytes" and data:
        for _ in range(8):
            data[random.randrange(reach)] = random.randrange(256)
    elif kind == "zeros":
        data[at : at + random.randrange(64)] = bytes(5)
    elif kind == "more":
        data += random.randbytes(10)
    else:
        data[at : at + 20] = data[-at - 20 :][:20]
    file.write_bytes(data)


@pytest.mark.parametrize("name", DAMAGED)
def test_no_damage_makes_more_than_one_sentence(name: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    within = FORMATS[name](made, STATE).relative_to(made)
    intact = shutil.copytree(made, tmp_path / "intact")
    assert attempt(made / within) == ""
    random = Random(name)
    for _ in range(FEWER.get(name, DAMAGES)):
        shutil.rmtree(made)
        shutil.copytree(intact, made)
        damage(random.choice(sorted(file for file in made.rglob("*") if file.is_file())), random)
        attempt(made / within)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    """At any length: the elements that are missing lie at the end of it."""
    location = FORMATS[name](tmp_path, STATE)
    file = next(each for each in (location, *location.parents) if each.exists())
    if file.is_dir() or file.name.endswith(".json"):
        kinds = ("*.safetensors", "*.bin", "*.distcp", "*.npy", "*1*")
        found = (each for kind in kinds for each in sorted(file.parent.rglob(kind)))
        file = next(each for each in found if each.is_file() and "json" not in each.name)
    data = file.read_bytes()
    shares = range(0, 16, 15 if name in FEWER else 4)
    for length in [len(data) * share // 16 for share in shares] + [len(data) - 1]:
        file.write_bytes(data[:length])
        assert attempt(location), length


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_cut_short_once_it_is_open_is_refused(name: str, tmp_path: Path) -> None:
    """As when it is written anew meanwhile; what is mapped is another matter."""
    location = FORMATS[name](tmp_path, STATE)
    weights = padiff.open_dump(location).weights
    for file in [each for each in tmp_path.rglob("*") if each.is_file()]:
        os.truncate(file, 1)
    with pytest.raises(PadiffError, match="^expected [^\\n]*$"):
        read_all(weights)


@pytest.mark.parametrize("name", DAMAGED)
def test_something_else_in_its_place_is_refused(name: str, tmp_path: Path) -> None:
    location = FORMATS[name](tmp_path, STATE)
    file = next(each for each in (location, *location.parents) if each.exists())
    file.rename(tmp_path / "there")
    file.mkdir()
    assert attempt(location)
    file.rmdir()
    file.touch()
    assert attempt(location)
    file.write_text("nothing of the kind\n" * 50)
    assert attempt(location)
    file.unlink()
    os.mkfifo(file)  # for which nobody waits
    assert attempt(location)
    file.unlink()
    file.symlink_to("/dev/zero")
    assert attempt(location)
    file.unlink()
    for suffix in SUFFIXES[: FEWER.get(name)]:
        other = (tmp_path / "there").rename(tmp_path / f"other{suffix}")
        attempt(other)
        other.rename(tmp_path / "there")


def test_no_pickle_runs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickles = pickles_that_run(marker)
    for number, (name, data) in enumerate(pickles.items()):
        place = tmp_path / str(number)
        for folder in ("zip", "checkpoint"):
            (place / folder).mkdir(parents=True)
        (place / "checkpoint/.metadata").write_bytes(data)
        legacy = FORMATS["torch_legacy"](place, STATE)
        whole = legacy.read_bytes()
        start = whole.index(b"\x80\x02", whole.index(b"little_endian"))  # of the state dict
        legacy.write_bytes(whole[:start] + data + whole[start:])
        file = pickle_file(place, data)
        for location in (file, torch_file(place / "zip", data), legacy, place / "checkpoint"):
            assert attempt(location), (name, location)
    assert not list(tmp_path.glob("marker*"))
    files = [tmp_path / str(number) / "model.pdparams" for number in range(len(pickles))]
    subprocess.run([sys.executable, "-c", UNPICKLE, *files], check=True)
    found = {file.name.removeprefix("marker.") for file in tmp_path.glob("marker*")}
    assert found == pickles.keys(), "what does no harm shows nothing"


def test_a_pickle_of_numpy_runs_nothing(tmp_path: Path) -> None:
    """An array of objects holds a pickle of its own."""
    made = pickles_that_run(tmp_path / "marker")["os.system.4"]
    held = np.empty(1, object)
    np.save(tmp_path / "a.npy", held, allow_pickle=True)
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[: data.index(b"\n") + 1] + made)
    assert "Python objects" in attempt(tmp_path / "a.npy")
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert list(tmp_path.glob("marker*"))


@pytest.mark.parametrize("indexed", [False, True])
def test_what_is_there_may_be_large(indexed: bool, tmp_path: Path) -> None:
    size = 2**37
    tensor = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    header = json.dumps({"layer.weight": tensor}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, 8 + len(header) + size)  # a hole, of which nothing is on the disk
    if indexed:
        index = tmp_path / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"layer.weight": file.name}}))
        file = index
    layer = padiff.open_dump(file).weights["layer"]
    assert np.array_equal(layer.weight["weight"][-2:], [0, 0])


CUT_SHORT = """
import os
import click
import padiff
from padiff.cli.commands import group, main
@group.command
@click.argument("file")
def cut(file):
    part = padiff.open_dump(file).weights["layer"].weight["weight"][:1000]
    os.truncate(file, 100)
    part.sum()
main()
"""


def test_a_file_that_is_cut_short_while_it_is_read_is_one_line(tmp_path: Path) -> None:
    """As by who saves the next checkpoint to the same path."""
    file = tmp_path / "model.safetensors"
    save_file({"layer.weight": torch.ones(1000, 1000)}, file)
    command = [sys.executable, "-c", CUT_SHORT, "cut", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("padiff: expected what is read to stay as it is, found a file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name", ["paddle pickle: a name of newlines", "safetensors: past the end", "npz_bomb"]
)
def test_the_command_fails_in_one_line(name: str, tmp_path: Path) -> None:
    location = ATTACKS[name](tmp_path)
    command = [Path(sys.executable).with_name("padiff-check"), location, location]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("padiff-check: expected ")
