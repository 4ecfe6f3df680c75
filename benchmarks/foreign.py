"""Comparing files of other tools beside stores of the same weights: `python -m benchmarks.foreign`.

Each is compared with a copy of itself, which no digest tells: every element is read.
"""

import argparse
import gc
import shutil
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch.distributed.checkpoint.state_dict_saver import save as save_distributed

import padiff
from benchmarks.compare import peak, process
from benchmarks.large import ROUNDS, TENSOR, bare, remove
from benchmarks.measure import Candidate, Target, judge, medians, scratch, show
from padiff.store.format import SectionHeader, array_path
from padiff.store.section_writer import record_of
from padiff.store.storage import Storage
from padiff.store.writer import write_section
from padiff.tree import LayerTree, Node

__all__ = ["main"]

SIDE = 4096
State = dict[str, NDArray[np.float32]]


def weights(size: int) -> State:
    """Weights of `size` bytes in all, which share no memory: many tools would write that once."""
    random = np.random.default_rng(0)
    base = random.standard_normal((TENSOR // 4 // SIDE, SIDE), dtype=np.float32)
    return {f"layer{number}.weight": base.copy() for number in range(max(1, size // TENSOR))}


def write_store(path: Path, state: State) -> None:
    with write_section(path, "weights", storage=Storage(durable=False)) as writer:
        nodes = []
        for order, (name, values) in enumerate(state.items(), start=1):
            route, _, place = name.rpartition(".")
            stored = writer.add(array_path(route, 0, place), values)
            record = record_of(stored, phase=None, place=place, device="cpu", order=order)
            nodes.append(Node("Layer", route, 0, order, tensors=(record,)))
        tree = LayerTree((Node("Model", "", 0, 0, children=tuple(nodes)),))
        now = "2026-01-01T00:00:00Z"
        writer.finish(SectionHeader("weights", "Model", "torch", "0", (), tree, now))


def write_npy(path: Path, state: State) -> None:
    path.mkdir()
    for name, values in state.items():
        np.save(path / f"{name}.npy", values)


def tensors(state: State) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in state.items()}


def write_distributed(path: Path, state: State) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is but one process
        save_distributed(tensors(state), checkpoint_id=path)


def write_paddle(path: Path, state: State) -> None:
    import paddle  # which takes seconds

    paddle.save(state, str(path))


def write_hdf5(path: Path, state: State, *, chunks: bool | tuple[int, int] | None = None) -> None:
    with h5py.File(path, "w") as file:
        for name, values in state.items():
            file.create_dataset(name, data=values, chunks=chunks)


def write_zarr(path: Path, state: State, *, version: int) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == 2 else 3)
    for name, values in state.items():
        made = group.create_array(name, shape=values.shape, dtype=values.dtype, compressors=None)
        made[...] = values


FORMATS: dict[str, tuple[str, Callable[[Path, State], object]]] = {
    "safetensors": ("model.safetensors", lambda path, state: save_file(state, path)),
    "npz": ("model.npz", lambda path, state: np.savez(path, **state)),  # type: ignore[arg-type]
    "npy": ("model", write_npy),
    "torch": ("model.pt", lambda path, state: torch.save(tensors(state), path)),
    "distributed": ("checkpoint", write_distributed),
    "paddle": ("model.pdparams", write_paddle),
    "hdf5": ("model.h5", write_hdf5),
    "hdf5-chunked": ("chunked.h5", partial(write_hdf5, chunks=(64, SIDE))),  # of 1 MiB
    "hdf5-small": ("small.h5", partial(write_hdf5, chunks=True)),  # of 64 KiB, as h5py makes them
    "zarr-2": ("model_2.zarr", partial(write_zarr, version=2)),
    "zarr-3": ("model_3.zarr", partial(write_zarr, version=3)),
}


def pair(root: Path, name: str, write: Callable[[Path, State], object], size: int) -> list[Path]:
    """What a tool writes, and its copy."""
    paths = [root / "base" / name, root / "copy" / name]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
    write(paths[0], weights(size))
    gc.collect()
    copy = shutil.copytree if paths[0].is_dir() else shutil.copy
    copy(paths[0], paths[1])
    return paths


def beside_stores(root: Path, kind: str, size: int, floor: float) -> list[Target]:
    """One format beside two stores, in the same run."""
    stores = pair(root, "store.zarr", write_store, size)
    files = pair(root, FORMATS[kind][0], FORMATS[kind][1], size)
    compare = partial(padiff.compare, mode="strict", digests=False)
    comparison = compare(*files)
    assert comparison.aligned
    assert comparison.totals.compared == max(1, size // TENSOR)
    alike = ("diff", "-r", "-q") if files[0].is_dir() else ("cmp",)
    seconds = medians(
        {
            "two stores": Candidate(partial(compare, *stores)),
            kind: Candidate(partial(compare, *files)),
            alike[0]: process(*alike, *files),
        },
        ROUNDS,
    )
    show(f"2 x {size / 2**30:g} GiB of float32, {kind}", seconds, "two stores")
    held = peak(*files) - floor
    remove(root)
    return [
        Target(f"{kind} / two stores", seconds[kind] / seconds["two stores"], 1.5, "times"),
        Target(f"{kind}: peak memory", held, 200, "MiB"),
    ]


def main() -> int:
    """Run all; 1 when a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=float, default=1, help="GiB of each side")
    parser.add_argument("--format", choices=[*FORMATS], action="append", help="only these")
    options = parser.parse_args()
    size = int(options.size * 2**30)
    targets = []
    with scratch(needed=5 * size) as root:
        floor = bare(root)
        remove(root)
        for kind in options.format or FORMATS:
            targets += beside_stores(root, kind, size, floor)
    return judge(targets)


if __name__ == "__main__":
    sys.exit(main())
