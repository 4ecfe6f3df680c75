"""A padiff store that is damaged, or not finished, is never taken for another tool's arrays."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

import padiff
from padiff.errors import PadiffError
from tests.stores import Layer, write_dump

Y = np.arange(12, dtype=np.float32).reshape(3, 4)


def write(location: Path, **options: Any) -> Path:
    layer = Layer("fc", "Linear", out=Y, back=Y, weights={"weight": Y})
    model = Layer("", "Net", inputs=Y, out=Y, children=[layer])
    write_dump(location, model, **options)
    return write_dump(location, model, section="params", **options)


def without(*documents: str) -> Callable[[Path], None]:
    def damage(store: Path) -> None:
        for document in documents:
            (store / document / "zarr.json").unlink()

    return damage


def stripped(store: Path) -> None:
    document = store / "zarr.json"
    values = json.loads(document.read_text())
    document.write_text(json.dumps(values | {"attributes": {}}))


def begun(store: Path) -> None:
    """As a writer that was killed leaves it, copied without what was finished."""
    (store / "step_0/params").rename(store / "step_0/.params.0123.partial")
    without("", "step_0")(store)
    shutil.rmtree(store / "step_0/report")


@pytest.mark.parametrize(
    "damage",
    [
        *(without(""), without("", "step_0"), without("", "step_0", "step_0/params")),
        *(without("", "step_0", "step_0/params", "step_0/report"), stripped, begun),
    ],
)
@pytest.mark.parametrize("place", ["", "step_0", "step_0/params", "step_0/params/fc", ".."])
def test_zarr(tmp_path: Path, damage: Callable[[Path], None], place: str) -> None:
    store = write(tmp_path / "above/run.zarr", step=0)
    damage(store)
    with pytest.raises(PadiffError) as error:
        padiff.open_dump(store / place)
    assert "\n" not in str(error.value)


def test_the_directory_above_an_intact_store(tmp_path: Path) -> None:
    write(tmp_path / "above/run.zarr", step=0)
    with pytest.raises(PadiffError, match="name the directory that was dumped to"):
        padiff.open_dump(tmp_path / "above")


@pytest.mark.parametrize("lost", [{"zarr.json"}, {"zarr.json", "params/zarr.json"}])
def test_an_archive(tmp_path: Path, lost: set[str]) -> None:
    whole = write(tmp_path / "whole.zarr.zip")
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "run.zarr.zip", "w") as made:
        for name in source.namelist():
            if name not in lost:
                made.writestr(name, source.read(name))
    with pytest.raises(PadiffError, match="padiff store"):
        padiff.open_dump(tmp_path / "run.zarr.zip")


@pytest.mark.parametrize("sections", [False, True], ids=["root", "root and sections"])
def test_hdf5(tmp_path: Path, sections: bool) -> None:
    store = write(tmp_path / "run.h5")
    with h5py.File(store, "r+") as file:
        del file.attrs["padiff"]
        for group in file.values() if sections else ():
            del group.attrs["padiff"]
    with pytest.raises(PadiffError, match="without the attribute 'padiff'|changed"):
        padiff.open_dump(store)


@pytest.mark.parametrize("group", ["params", "report", "weights", "step_1/grads"])
@pytest.mark.parametrize("kind", ["zarr 2", "zarr 3", "without its group", "hdf5"])
def test_words_of_ours_may_be_in_files_of_others(tmp_path: Path, group: str, kind: str) -> None:
    """As in what Flax saves, with the names of a state dict."""
    name = f"{group}/fc1.weight"
    if kind == "hdf5":
        with h5py.File(tmp_path / "net.h5", "w") as file:
            file[name] = Y
        check(tmp_path / "net.h5")
        return
    made = zarr.open_group(tmp_path / "net", mode="w", zarr_format=2 if kind == "zarr 2" else 3)
    made.create_array(name, data=Y)
    if kind == "without its group":
        (tmp_path / "net/zarr.json").unlink()
    check(tmp_path / "net")
    check(tmp_path / "net" / group)


def check(location: Path) -> None:
    weights = padiff.open_dump(location).weights
    (found,) = (node for node in weights.tree.walk() if node.tensors)
    assert np.array_equal(weights[found.route].weight["weight"], Y)
