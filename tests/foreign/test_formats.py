"""Every format is read as its own library wrote it, beside a padiff store of the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

import padiff
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
