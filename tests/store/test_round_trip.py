"""Write then read is the identity, in our reader and in two that others wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from padiff.comparing.engine import compare
from padiff.dtypes import dtype_named
from padiff.store.address import Location, below
from padiff.store.format import digest
from padiff.store.reader import open_dump
from padiff.store.storage import Storage
from padiff.store.verify import verify
from padiff.store.writer import write_section
from tests.store.backends import LOCAL, Backend, everything, on
from tests.store.sections import write

CORE = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
EXTENDED = ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
SHAPES = [(), (0,), (3, 0, 2), (1,), (7,), (4, 5), (2, 3, 4, 5)]


def values_of(dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """All bit patterns are fair, NaNs with payloads and negative zeros among them."""
    element = dtype_named(dtype)
    rng = np.random.default_rng(len(shape))
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    size = int(np.prod(shape)) * element.itemsize
    return np.frombuffer(rng.bytes(size), element.numpy).reshape(shape)


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes())


@on(*LOCAL)  # each array takes some requests behind a URL: test_media.py has all types once
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_dtype_and_shape(run: Location, shape: tuple[int, ...]) -> None:
    arrays = {dtype: values_of(dtype, shape) for dtype in CORE + EXTENDED}
    write(run, arrays)
    report = open_dump(run).report
    for dtype, values in arrays.items():
        array = report[dtype].forward[0]
        assert (array.shape, array.dtype) == (values.shape, values.dtype)
        assert same_bits(np.asarray(array), values)
    assert verify(run).intact


@pytest.mark.parametrize("dtype", CORE)
def test_zarr_python_reads_it(tmp_path: Path, dtype: str) -> None:
    arrays = {f"layer{len(shape)}.{i}": values_of(dtype, shape) for i, shape in enumerate(SHAPES)}
    write(tmp_path / "run.zarr", arrays)
    group = zarr.open_group(tmp_path / "run.zarr" / "report", mode="r")
    for route, values in arrays.items():
        array = group[f"{route}/forward.0"]
        assert isinstance(array, zarr.Array)
        assert same_bits(np.asarray(array[...]), values)


@pytest.mark.parametrize("dtype", [*EXTENDED, "float32", "bool", "complex64"])
def test_tensorstore_reads_it(tmp_path: Path, dtype: str) -> None:
    values = values_of(dtype, (4, 5))
    write(tmp_path / "run.zarr", {"layer": values})
    path = tmp_path / "run.zarr/report/layer/forward.0"
    array = tensorstore.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}, open=True
    ).result()
    assert array.dtype.name == dtype
    assert same_bits(np.asarray(array.read().result()), values)


def odd_strides() -> dict[str, NDArray[Any]]:
    base = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    return {
        "transposed": base.T,
        "negative": base[::-1, :, ::-2],
        "broadcast": np.broadcast_to(np.float32(3), (3, 4)),
        "fortran": np.asfortranarray(base[0]),
        "big_endian": base.astype(">f4"),
        "0-d view": base[1, 2, 3:4].reshape(()),
    }


def test_any_strides(run: Location) -> None:
    write(run, odd_strides())
    report = open_dump(run).report
    for name, values in odd_strides().items():
        np.testing.assert_array_equal(np.asarray(report[name].forward[0]), values, name)


@on("zarr", "hdf5")  # the others put the same chunks elsewhere, and slower
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_chunking_and_any_slice(
    tmp_path_factory: pytest.TempPathFactory, backend: Backend, data: st.DataObject
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=3)))
    values = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    location = backend.at(tmp_path_factory.mktemp("store"))
    limit = data.draw(st.integers(4, 80))
    write(location, {"layer": values}, storage=Storage(chunk_bytes=limit))
    array = open_dump(location).report["layer"].forward[0]
    np.testing.assert_array_equal(np.asarray(array), values)
    index: list[Any] = []
    for length in shape[: data.draw(st.integers(0, len(shape)))]:
        if length and data.draw(st.booleans()):
            index.append(data.draw(st.integers(-length, length - 1)))
        else:
            bound = st.none() | st.integers(-9, 9)
            step = data.draw(st.none() | st.sampled_from([-3, -1, 1, 2]))
            index.append(slice(data.draw(bound), data.draw(bound), step))
    np.testing.assert_array_equal(array[tuple(index)], values[tuple(index)])


def test_indexing_that_numpy_refuses(run: Location) -> None:
    write(run, {"layer": np.zeros((2, 3))})
    array = open_dump(run).report["layer"].forward[0]
    for key in (2, (0, 3), (0, 0, 0), (..., ...), "x", 1.5):
        with pytest.raises(IndexError):
            array[key]
    np.testing.assert_array_equal(array[..., 0], np.zeros(2))


def test_digests_are_of_the_bytes_on_disk(tmp_path: Path) -> None:
    values = np.arange(2**22 + 5, dtype=np.float64)  # three chunks, the last one padded
    write(tmp_path / "run.zarr", {"layer": values})
    report = open_dump(tmp_path / "run.zarr").report
    (record,) = report["layer"].node.tensors
    array = report.stored(record)
    path = tmp_path / "run.zarr/report" / record.array
    chunks = sorted(path.glob("c.*"))
    assert len(chunks) == 3
    assert record.chunks == tuple(digest(chunk.read_bytes()) for chunk in chunks)
    assert record.chunks == tuple(digest(array.chunk_bytes((i,))) for i in range(3))
    assert record.metadata == digest((path / "zarr.json").read_bytes()) == array.metadata_digest()


def test_opening_and_walking_read_no_chunk(tmp_path: Path) -> None:
    write(tmp_path / "run.zarr", {"layer": np.arange(6.0)})
    (tmp_path / "run.zarr/report/layer/forward.0/c.0").unlink()
    report = open_dump(tmp_path / "run.zarr").report
    array = report["layer"].forward["0"]
    assert (array.shape, array.ndim, array.size, array.nbytes, len(array)) == ((6,), 1, 6, 48, 6)
    assert "6" in repr(array)
    with pytest.raises(ValueError, match="expected the chunk .* to be readable"):
        np.asarray(array)


def test_values_are_not_kept_after_add(run: Location) -> None:
    """What an optimizer changes in place later must not reach the store."""
    values = np.ones(5)
    with write_section(run, "weights") as writer:
        stored = writer.add("layer/weight", values)
        values[:] = 2
        assert stored.stats.mean == 1


@on(*LOCAL)  # where directories are renamed
def test_a_store_may_be_moved(tmp_path: Path, backend: Backend) -> None:
    write(backend.at(tmp_path / "here"), {"layer": np.arange(3.0)}, step=1)
    assert not [name for name, data in everything(tmp_path).items() if bytes(tmp_path) in data]
    (tmp_path / "here").rename(tmp_path / "there")
    back = open_dump(below(backend.at(tmp_path / "there"), "step_1")).report["layer"].forward[0]
    np.testing.assert_array_equal(np.asarray(back), np.arange(3.0))


def test_comparing_with_a_store_of_another_kind(run: Location, tmp_path: Path) -> None:
    values = np.arange(60.0).reshape(3, 4, 5)
    write(run, {"layer": values})
    other = tmp_path / "other.zarr"
    for change, identical in ((1, 0), (0, 1)):
        write(other, {"layer": values + change})
        for pair in ((run, other), (other, run)):
            totals = compare(*pair).totals
            assert (totals.compared, totals.identical) == (1, identical)
