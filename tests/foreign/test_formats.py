"""Every format is read as its own library wrote it, beside a padiff store of the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import padiff
from padiff.errors import FormatError, LocationError
from padiff.render.terminal import render
from tests.foreign.formats import FORMATS, arrays


class Net(torch.nn.Module):
    """Layers of several kinds, with parameters and buffers of several types and shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(11, 8)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 8)) for _ in range(2)
        )
        self.norm = torch.nn.BatchNorm1d(8)
        self.head = torch.nn.Linear(8, 5, bias=False, dtype=torch.bfloat16)
        self.register_buffer("scale", torch.tensor(0.5, dtype=torch.float64))
        self.register_buffer("table", torch.arange(6, dtype=torch.float16).reshape(1, 2, 3))
        self.register_buffer("mask", torch.tensor([True, False, True]))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.fixture(scope="module")
def store(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base.zarr"
    padiff.create_model(net).dump_weights(path)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_weights_are_aligned(name: str, net: Net, store: Path, tmp_path: Path) -> None:
    location = FORMATS[name](tmp_path, net.state_dict())
    for pair in ((store, location), (location, store), (location, location)):
        comparison = padiff.compare(*pair, mode="strict", atol=0, rtol=0, digests=False)
        assert comparison.aligned, comparison.first_divergence
        totals = comparison.totals
        assert (totals.compared, totals.identical) == (len(net.state_dict()),) * 2
        assert not comparison.unmatched


@pytest.mark.parametrize("name", FORMATS)
def test_a_changed_element_is_found_at_its_name(
    name: str, net: Net, store: Path, tmp_path: Path
) -> None:
    state = {key: value.clone() for key, value in net.state_dict().items()}
    state["blocks.1.0.weight"][3, 5] += 0.25
    location = FORMATS[name](tmp_path, state)
    comparison = padiff.compare(store, location, mode="strict")
    found = comparison.first_divergence
    assert found is not None
    assert (found.raw.route, found.raw.tensor) == ("blocks.1.0", "weight")
    assert found.figures is not None
    assert found.figures.worst_index == (3, 5)
    assert found.figures.max_abs == pytest.approx(0.25)
    assert comparison.totals.diverged == 1


@pytest.mark.parametrize("name", FORMATS)
def test_every_array_is_what_was_written(name: str, net: Net, tmp_path: Path) -> None:
    weights = padiff.open_dump(FORMATS[name](tmp_path, net.state_dict())).weights
    assert weights.header.foreign
    found = {
        f"{layer.node.route}.{place}".lstrip("."): array
        for layer in weights
        for place, array in {**layer.weight, **layer.buffer}.items()
    }
    expected = arrays(net.state_dict())
    assert found.keys() == expected.keys()
    for key, array in found.items():
        assert (array.shape, array.dtype) == (expected[key].shape, expected[key].dtype), key
        assert np.asarray(array).tobytes() == expected[key].tobytes(), key
        if array.ndim:
            assert array[-1:].tobytes() == expected[key][-1:].tobytes(), key


def test_other_names_and_shapes_are_told_with_their_cure(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(3, 4)
    files: dict[str, dict[str, Any]] = {
        "base": {"a.w": values, "a.b": values},
        "other": {"b.w": values, "a.b": values},
        "turned": {"a.w": values.T, "a.b": values},
    }
    for name, held in files.items():
        np.savez(tmp_path / f"{name}.npz", **held)
    for raw in ("other", "turned"):
        text = render(padiff.compare(tmp_path / "base.npz", tmp_path / f"{raw}.npz"))
        assert text.startswith("NOT ALIGNED")
        advice = "padiff suggest-map finds out which tensor is which"
        assert advice in " ".join(text.split())
        names = tmp_path / "names.csv"  # which has been found out, and is of no help here
        names.write_text("base,raw\na.b,a.b\n")
        comparison = padiff.compare(tmp_path / "base.npz", tmp_path / f"{raw}.npz", name_map=names)
        text = " ".join(render(comparison).split())
        assert advice not in text
        assert "The table given to --map has no row for it that fits: look at it there." in text


def test_there_are_no_digests_to_verify(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", a=np.arange(3))
    with pytest.raises(FormatError, match="no digests: make a store of it with padiff convert"):
        padiff.verify(tmp_path / "weights.npz")


def test_a_part_of_a_file_is_named_behind_it(net: Net, store: Path, tmp_path: Path) -> None:
    torch.save({"model": {"ema": net.state_dict()}, "epoch": 1}, tmp_path / "all.pt")
    assert padiff.compare(store, tmp_path / "all.pt/model/ema").aligned
    assert padiff.compare(store, tmp_path / "all.pt", rename=[r"^model\.ema\.="]).aligned
    with pytest.raises(LocationError, match="expected arrays called modle.... in .*it has model"):
        padiff.open_dump(tmp_path / "all.pt/modle")
