"""What the kept stores hold: every element type, shape and key of a header that format 1 has.

Elements follow from a formula, so that no library's random numbers are part of what is expected.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from padiff.dtypes import dtype_named
from padiff.store.format import SectionHeader, SectionName, array_path
from padiff.store.section_writer import SectionWriter, record_of
from padiff.store.storage import DEFAULT, Storage
from padiff.store.writer import DumpWriter
from padiff.tree import Frame, LayerTree, Node, Phase, TensorRecord, Unrecorded

__all__ = ["DUMPS", "Kept", "kept_tensors", "values_of", "write_samples"]

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "bfloat16", "complex64", "complex128"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
)
SHAPES = {"scalar": (), "empty": (0, 2), "long": (700,)}
ROUTES = ("blocks.1.mlp.fc1", "ünïcode/and <html>", "..", "A" * 250)

# Each dump by its step and rank, and the sections it has.
DUMPS: dict[tuple[int | None, int | None], tuple[SectionName, ...]] = {
    (0, 0): ("report",),
    (0, 1): ("report",),
    (12, None): ("report", "params"),
    (13, None): ("weights", "grads"),
}


@dataclass(frozen=True)
class Kept:
    """One tensor of a kept section."""

    route: str
    call: int
    leaf: str
    phase: Phase | None
    place: str
    dtype: str
    shape: tuple[int, ...]
    seed: int
    dims: tuple[str, ...] | None = None
    buffer: bool = False

    @property
    def values(self) -> NDArray[Any]:
        return values_of(self.dtype, self.shape, self.seed)

    @property
    def array(self) -> str:
        return array_path(self.route, self.call, self.leaf)


def values_of(dtype: str, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    """Every bit pattern is fair, NaNs and infinities among them."""
    element = dtype_named(dtype)
    count = int(np.prod(shape)) * element.itemsize
    data = ((np.arange(count, dtype=np.int64) * 37 + 11 * seed + 5) % 251).astype(np.uint8)
    if dtype == "bool":
        return (data % 2).astype(np.bool_).reshape(shape)
    return np.frombuffer(data.tobytes(), element.numpy).reshape(shape)


def kept_tensors(section: SectionName, seed: int) -> Iterator[Kept]:
    """The tensors of one section, in the order in which they are written."""
    if section == "report":
        yield Kept("", 0, "input.x", "input", "x", "float32", (2, 3), seed)
        for number, dtype in enumerate(DTYPES):
            leaf = f"forward.{dtype}"
            yield Kept("", 0, leaf, "forward", dtype, dtype, (3, 4), seed + number)
        for name, shape in SHAPES.items():
            yield Kept("", 0, f"forward.{name}", "forward", name, "float32", shape, seed)
        for route in ROUTES:
            for call in (0, 1):
                parts: tuple[Phase, ...] = ("input", "forward", "backward")
                for part in parts:
                    leaf = f"{part}.0"
                    yield Kept(route, call, leaf, part, "0", "float32", (5,), seed + call)
        return
    leaves: list[tuple[str, Phase | None]] = [("{}", None)]
    if section == "params":
        leaves = [("{}.weight", None), ("{}.grad", "backward")]
    if section == "grads":
        leaves = [("{}", "backward")]
    for route in ROUTES:
        for leaf, phase in leaves:
            dims = ("out_features", "in_features")
            name = leaf.format("weight")
            yield Kept(route, 0, name, phase, "weight", "float32", (3, 2), seed, dims)
        if section != "grads":
            leaf = "running_mean.buffer" if section == "params" else "running_mean"
            yield Kept(route, 0, leaf, None, "running_mean", "float64", (3,), seed, buffer=True)


def write_samples(location: str | Path, storage: Storage = DEFAULT) -> None:
    """Write all dumps as this version does: the kept stores were made with this, once.

    `format_1.zarr` has chunks of 1 KiB; so has `format_1_sharded.zarr.zip`, in shards of 2 KiB
    through `zstd`, and `format_1_filtered.h5`, through `gzip`; `format_1.h5` is as by default.
    """
    for seed, ((step, rank), sections) in enumerate(DUMPS.items()):
        with DumpWriter(location, *sections, step=step, rank=rank, storage=storage) as dump:
            for section in sections:
                _write(dump.section(section), section, seed)


def _write(writer: SectionWriter, section: SectionName, seed: int) -> None:
    records: dict[tuple[str, int], list[TensorRecord]] = {}
    for order, kept in enumerate(kept_tensors(section, seed), 1):
        stored = writer.add(kept.array, kept.values, kept.dims)
        record = record_of(stored, phase=kept.phase, place=kept.place, device="cpu", order=order)
        if kept.buffer:
            record = replace(record, buffer=True)
        records.setdefault((kept.route, kept.call), []).append(record)
    root = records.pop(("", 0), [])
    layers = tuple(
        Node(
            "Layer",
            route,
            call,
            order,
            repr="Layer(in_features=2)",
            stack=(Frame("model.py", 12, "forward", "return self.fc(x)"),),
            tensors=tuple(tensors),
            training=True,
        )
        for order, ((route, call), tensors) in enumerate(records.items())
    )
    more: dict[str, Any] = {}
    if section == "report":
        more = {
            "unrecorded": (Unrecorded("forward", "cache", "it is no dense tensor"),),
            "awaits": {"x": True},
            "origins": {"x": ("x",)},
        }
    node = Node("Net", "", 0, 0, children=layers, tensors=tuple(root), training=False, **more)
    writer.finish(
        SectionHeader(
            section,
            "Net",
            "torch",
            "2.13.0",
            ("blocks.1.mlp.fc1",),
            LayerTree((node,)),
            "2026-11-26T00:00:00+00:00",
            run="a run",
            backward=True if section == "report" else None,
            updated=False if section == "params" else None,
        )
    )
