"""A directory is one of arrays where it is made of them, not where some happen to lie below."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

import padiff
from padiff.errors import FormatError

VALUES = np.arange(6.0).reshape(2, 3)


def npy(path: Path) -> Path:
    for name in ("layer1/weight", "layer1/bias", "deep/layer2/weight"):
        file = path / f"{name}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, VALUES)
    return path


def zarr_without_groups(path: Path) -> Path:
    for name in ("layer1/weight", "layer1/bias", "deep/layer2/weight"):
        zarr.create_array(path / name, data=VALUES, zarr_format=2)
    for group in path.rglob(".zgroup"):
        group.unlink()
    return path


def names_in(path: Path) -> set[str]:
    weights = padiff.open_dump(path).weights
    return {f"{layer.node.route}.{place}" for layer in weights for place in layer.weight}


NAMES = {"layer1.weight", "layer1.bias", "deep.layer2.weight"}
made = pytest.mark.parametrize("make", [npy, zarr_without_groups])


@made
def test_a_tree_of_them_is_read(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """With notes and what is hidden beside them, which counts for nothing."""
    tree = make(tmp_path / "dump")
    (tree / "README.md").write_text("of step 9")
    (tree / "layer1/shapes.json").write_text("{}")
    (tree / ".DS_Store").write_bytes(b"\0")
    shutil.copytree(tree / "layer1", tree / "deep/.hidden")
    (tree / "deep/link").symlink_to(make(tmp_path / "outside"))
    assert names_in(tree) == NAMES


@made
@pytest.mark.parametrize("other", ["setup.py", "deep/module.py", "layer1/data.bin"])
def test_a_project_that_has_some_below_is_none(
    make: Callable[[Path], Path], other: str, tmp_path: Path
) -> None:
    tree = make(tmp_path / "project")
    (tree / other).write_text("import this")
    with pytest.raises(FormatError, match="found a directory without"):
        padiff.open_dump(tree)
    assert names_in(tree / "deep/layer2") == {".weight"}


@pytest.mark.parametrize("hidden", [".cache/weight.npy", "._weight.npy"])
def test_what_is_hidden_is_not_read(hidden: str, tmp_path: Path) -> None:
    (tmp_path / hidden).parent.mkdir(exist_ok=True)
    np.save(tmp_path / hidden, VALUES)
    with pytest.raises(FormatError, match="found a directory without"):
        padiff.open_dump(tmp_path)
    np.save(tmp_path / "weight.npy", VALUES)
    assert names_in(tmp_path) == {".weight"}


def test_what_lies_right_in_it_makes_it_one(tmp_path: Path) -> None:
    tree = npy(tmp_path / "dump")
    np.save(tree / "scale.npy", VALUES)
    (tree / "make.py").write_text("import numpy")
    assert names_in(tree) == NAMES | {".scale"}


def test_a_group_is_one_whatever_lies_beside_its_arrays(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "weights.zarr", mode="w")
    group.create_array("layer1/weight", data=VALUES)
    (tmp_path / "weights.zarr/make.py").write_text("import zarr")
    assert names_in(tmp_path / "weights.zarr") == {"layer1.weight"}
