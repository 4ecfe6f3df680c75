"""What any tool wrote becomes any format that is written, bit for bit, and its library reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, load_model, save_model

import padiff
from padiff.errors import UsageError
from tests.foreign.formats import FORMATS, arrays
from tests.stores import Layer, write_dump

DESTINATIONS = (".zarr", ".zarr.zip", ".h5", ".safetensors", ".npz")
destinations = pytest.mark.parametrize("suffix", DESTINATIONS)


def state() -> dict[str, torch.Tensor]:
    """Tensors of several types and shapes; what all of the libraries can write."""
    generator = torch.Generator().manual_seed(0)
    return {
        "embed.weight": torch.randn(11, 9, generator=generator),
        "blocks.0.weight": torch.randn(6, 8, generator=generator),
        "blocks.1.weight": torch.randn(8, 12, generator=generator),
        "blocks.0.running_mean": torch.randn(6, generator=generator),
        "head.weight": torch.randn(5, 8, generator=generator).to(torch.bfloat16),
        "scale": torch.tensor(0.5, dtype=torch.float64),
        "table": torch.arange(6, dtype=torch.float16).reshape(1, 2, 3),
        "mask": torch.tensor([True, False, True]),
    }


STATE = state()


def held_in(location: Path) -> dict[str, NDArray[Any]]:
    """All weights at a location by name, read through padiff."""
    return {
        f"{layer.node.route}.{place}".lstrip("."): np.asarray(array)
        for layer in padiff.open_dump(location).weights
        for place, array in {**layer.weight, **layer.buffer}.items()
    }


def same(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert (found[name].shape, found[name].dtype) == (values.shape, values.dtype), name
        assert found[name].tobytes() == values.tobytes(), name


def with_bfloat16(held: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What NumPy loaded, with the type that it does not write the name of."""
    return {
        name: values.view(ml_dtypes.bfloat16) if values.dtype.kind == "V" else values
        for name, values in held.items()
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What each library wrote of the state."""
    made = {}
    for name, write in FORMATS.items():
        made[name] = write(tmp_path_factory.mktemp(name), STATE)
    return made


@destinations
@pytest.mark.parametrize("name", FORMATS)
def test_any_source_to_any_destination(
    name: str, suffix: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    destination = tmp_path / f"made{suffix}"
    conversion = padiff.convert(sources[name], destination)
    expected = arrays(STATE)
    same(held_in(destination), expected)
    assert (conversion.sections, conversion.arrays) == (1, len(expected))
    assert conversion.bytes == sum(values.nbytes for values in expected.values())
    assert [each.name for each in tmp_path.iterdir()] == [destination.name]
    if suffix == ".npz":
        with np.load(destination) as file:
            same(with_bfloat16(file), expected)
    elif suffix == ".safetensors":
        same(arrays(load_file(destination)), expected)
    else:
        assert padiff.verify(destination).intact
        records = [t for layer in padiff.open_dump(destination).weights for t in layer.node.tensors]
        (measured,) = (record.stats for record in records if record.place == "table")
        assert measured is not None
        assert measured.max == 5
        assert all(record.stats is not None for record in records)


ELEMENTS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "bfloat16"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
)
SHAPES = ((), (0,), (3, 0, 2), (7,), (5, 3), (2, 3, 4))


MISSING = {
    ".npz": [name for name in ELEMENTS if name.startswith("float8")],
    ".safetensors": ["complex128"],
}


def weights(elements: str) -> dict[str, NDArray[Any]]:
    dtype = np.dtype(getattr(ml_dtypes, elements, elements))
    held = {}
    for shape in SHAPES:
        bits = np.arange(np.prod(shape, dtype=int) * dtype.itemsize, dtype=np.uint8) * 37 % 251
        values = (bits % 2).view(dtype) if elements == "bool" else bits.view(dtype)
        held["x".join(map(str, shape)) or "scalar"] = values.reshape(shape)
    return held


def store_of(location: Path, *elements: str) -> Path:
    layers = [Layer(name, "Layer", weights=weights(name)) for name in elements]
    return write_dump(location, Layer("", "Net", children=layers), section="weights")


@destinations
def test_every_element_type_and_shape(suffix: str, tmp_path: Path) -> None:
    names = [name for name in ELEMENTS if name not in MISSING.get(suffix, ())]
    expected = {f"{each}.{key}": held for each in names for key, held in weights(each).items()}
    destination = tmp_path / f"made{suffix}"
    padiff.convert(store_of(tmp_path / "base.zarr", *names), destination)
    same(held_in(destination), expected)
    again = tmp_path / "again.zarr"
    padiff.convert(destination, again, chunk_bytes=16)
    same(held_in(again), expected)


@pytest.mark.parametrize(
    ("suffix", "elements"), [(suffix, name) for suffix in MISSING for name in MISSING[suffix]]
)
def test_what_a_format_has_no_type_for_is_refused_first(
    suffix: str, elements: str, tmp_path: Path
) -> None:
    source = store_of(tmp_path / "base.zarr", "float32", elements)
    with pytest.raises(UsageError, match=rf"has a type for, found {elements} in '{elements}\.scal"):
        padiff.convert(source, tmp_path / f"made{suffix}")
    assert [each.name for each in tmp_path.iterdir()] == ["base.zarr"]


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(5, 4)
        self.head = torch.nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight


def test_a_tied_parameter_is_written_once_and_read_by_both_names(tmp_path: Path) -> None:
    model = Tied()
    source, made = tmp_path / "run.zarr", tmp_path / "made.safetensors"
    padiff.create_model(model).dump_weights(source)
    assert padiff.convert(source, made).tied == ("head.weight",)
    assert list(load_file(made)) == ["embed.weight"]
    fresh = Tied()
    missing, unexpected = load_model(fresh, made)
    assert (list(missing), list(unexpected)) == ([], [])
    assert torch.equal(fresh.head.weight, model.embed.weight)
    comparison = padiff.compare(source, made, mode="strict", atol=0, rtol=0)
    assert comparison.aligned
    assert (comparison.totals.compared, comparison.unmatched) == (2, ())
    save_model(model, str(tmp_path / "theirs.safetensors"), {"format": "pt"})
    assert len(held_in(tmp_path / "theirs.safetensors")) == 2
    padiff.convert(source, tmp_path / "made.npz")
    with np.load(tmp_path / "made.npz") as file:
        assert set(file) == {"embed.weight", "head.weight"}


@pytest.mark.parametrize(("framework", "told"), [("torch", "pt"), ("paddle", "pd")])
def test_the_framework_is_kept(framework: str, told: str, tmp_path: Path) -> None:
    layer = Layer("", "Net", weights={"w": np.zeros((3, 2), np.float32)})
    source = write_dump(tmp_path / "run.zarr", layer, section="weights", framework=framework)
    made = tmp_path / "made.safetensors"
    padiff.convert(source, made)
    data = made.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["__metadata__"] == {"format": told}
    assert padiff.open_dump(made).weights.header.framework == framework


def test_the_library_of_safetensors_wrote_the_same_bytes(tmp_path: Path) -> None:
    """But for the order of the header, which is that of the layers."""
    held: dict[str, NDArray[Any]] = {
        "b": np.arange(3, dtype=np.int8),
        "a": np.arange(4, dtype=np.float64),
        "c": np.ones((2, 2), np.float32),
    }
    save_arrays(held, tmp_path / "theirs.safetensors")
    source = write_dump(tmp_path / "run.zarr", Layer("", "N", weights=held), section="weights")
    padiff.convert(source, tmp_path / "ours.safetensors")
    found = []
    for name in ("theirs", "ours"):
        data = (tmp_path / f"{name}.safetensors").read_bytes()
        begin = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:begin])
        header.pop("__metadata__", None)
        found.append((header, data[begin:]))
        assert begin % 8 == 0
    assert found[0] == found[1]


def test_the_names_of_what_a_report_holds(tmp_path: Path) -> None:
    y = np.arange(4, dtype=np.float32)
    layers = [Layer("fc", "Linear", out=y, back=y), Layer("fc", "Linear", out=y, call=1)]
    model = Layer("", "Net", inputs=y, out={"logits": y}, children=layers)
    source = write_dump(tmp_path / "run.zarr", model, step=3)
    padiff.convert(source / "step_3", tmp_path / "made.npz")  # which has nothing else
    with np.load(tmp_path / "made.npz") as file:
        assert set(file) == {
            *("input.0", "forward.logits", "fc.forward.0", "fc.backward.0", "fc~1.forward.0"),
        }
    layer = Layer("fc", "Linear", weights={"w": y}, grads={"w": y})
    write_dump(source, Layer("", "Net", children=[layer]), section="params", step=3)
    padiff.convert(source / "step_3", tmp_path / "weights.npz")
    padiff.convert(source / "step_3", tmp_path / "params.npz", section="params")
    padiff.convert(source / "step_3", tmp_path / "grads.npz", section="grads")
    for name, names in (
        ("weights", {"fc.w"}),
        ("params", {"fc.w", "fc.w.grad"}),
        ("grads", {"fc.w"}),
    ):
        with np.load(tmp_path / f"{name}.npz") as file:
            assert set(file) == names
