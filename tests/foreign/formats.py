"""Weights in the files of other tools, each written by the tool itself."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import paddle
import tensorstore
import torch
import zarr
from huggingface_hub import save_torch_state_dict
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict_saver import save as save_distributed

State = Mapping[str, torch.Tensor]


def arrays(state: State) -> dict[str, NDArray[Any]]:
    """The same in NumPy, bfloat16 as the type that most libraries have for it."""
    found = {}
    for name, tensor in state.items():
        if tensor.dtype == torch.bfloat16:
            found[name] = tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
        else:
            found[name] = tensor.numpy()
    return found


def safetensors(path: Path, state: State) -> Path:
    save_file(dict(state), path / "model.safetensors", {"format": "pt"})
    return path / "model.safetensors"


def safetensors_sharded(path: Path, state: State) -> Path:
    (path / "model").mkdir()
    save_torch_state_dict(dict(state), path / "model", max_shard_size=400)
    assert len(list((path / "model").glob("*.safetensors"))) > 2
    return path / "model"


def safetensors_index(path: Path, state: State) -> Path:
    return safetensors_sharded(path, state) / "model.safetensors.index.json"


def safetensors_unindexed(path: Path, state: State) -> Path:
    (safetensors_sharded(path, state) / "model.safetensors.index.json").unlink()
    return path / "model"


def bin_sharded(path: Path, state: State) -> Path:
    (path / "model").mkdir()
    save_torch_state_dict(dict(state), path / "model", max_shard_size=400, safe_serialization=False)
    return path / "model"


def npz(path: Path, state: State) -> Path:
    np.savez(path / "weights.npz", **arrays(state))  # type: ignore[arg-type]  # names are names
    return path / "weights.npz"


def npz_packed(path: Path, state: State) -> Path:
    np.savez_compressed(path / "weights.npz", **arrays(state))  # type: ignore[arg-type]
    return path / "weights.npz"


def npy(path: Path, state: State) -> Path:
    for name, array in arrays(state).items():
        file = path / "weights" / f"{name.replace('.', '/')}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.asfortranarray(array) if array.ndim else array)
    return path / "weights"


def torch_zip(path: Path, state: State) -> Path:
    torch.save(dict(state), path / "model.pt")
    return path / "model.pt"


def torch_legacy(path: Path, state: State) -> Path:
    torch.save(dict(state), path / "model.bin", _use_new_zipfile_serialization=False)
    return path / "model.bin"


def torch_checkpoint(path: Path, state: State) -> Path:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    whole = {"epoch": 3, "model": dict(state), "optimizer": optimizer.state_dict()}
    torch.save(whole, path / "model.pth")
    return path / "model.pth/model"


def torch_views(path: Path, state: State) -> Path:
    """Tensors that share a storage, in it one after the other or with their axes turned."""
    views = {
        name: tensor.t().contiguous().t() if tensor.ndim == 2 else torch.stack([tensor] * 2)[1]
        for name, tensor in state.items()
    }
    torch.save(views, path / "model.pt")
    return path / "model.pt"


def torch_distributed(path: Path, state: State) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is but one process
        save_distributed(dict(state), checkpoint_id=path / "checkpoint")
    return path / "checkpoint"


def pdparams(path: Path, state: State) -> Path:
    held = {
        name: paddle.to_tensor(tensor.float().numpy()).astype(str(tensor.dtype)[6:])
        for name, tensor in state.items()
    }
    paddle.save(held, str(path / "model.pdparams"))
    return path / "model.pdparams"


def pdparams_of_arrays(path: Path, state: State) -> Path:
    """As it is of a state dict, whose tensors paddle makes arrays of."""
    held = {
        name: array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array
        for name, array in arrays(state).items()
    }
    paddle.save(held, str(path / "model.pdopt"))
    return path / "model.pdopt"


def hdf5(path: Path, state: State, **options: Any) -> Path:
    with h5py.File(path / "weights.h5", "w") as file:
        for name, array in arrays(state).items():
            place = name.replace(".", "/")
            file.create_dataset(place, data=array, **(options if array.size > 1 else {}))
    return path / "weights.h5"


def hdf5_chunked(path: Path, state: State) -> Path:
    return hdf5(path, state, chunks=True).rename(path / "weights.hdf")


def hdf5_packed(path: Path, state: State) -> Path:
    return hdf5(path, state, chunks=True, compression="gzip", shuffle=True)


def hdf5_swapped(path: Path, state: State) -> Path:
    with h5py.File(path / "weights.h5", "w", userblock_size=512) as file:
        for name, array in arrays(state).items():
            dtype = array.dtype.newbyteorder(">") if array.dtype.kind != "V" else array.dtype
            file.create_dataset(name, data=array.astype(dtype))
    return path / "weights.h5"


def zarr_python(path: Path, state: State, version: Any, **options: Any) -> Path:
    group = zarr.open_group(path / "weights.zarr", mode="w", zarr_format=version)
    for name, array in arrays(state).items():
        if array.dtype == ml_dtypes.bfloat16:  # which it does not know by itself
            tensorstore_array(path / "weights.zarr" / name.replace(".", "/"), array, version)
            continue
        held = array if array.ndim else array.reshape(())
        made = group.create_array(
            name.replace(".", "/"),
            shape=held.shape,
            dtype=held.dtype,
            chunks=tuple(max(1, -(-n // 2)) for n in held.shape),
            **(options if held.ndim == 2 else {}),
        )
        made[...] = held
    return path / "weights.zarr"


def zarr_2(path: Path, state: State) -> Path:
    return zarr_python(path, state, 2)


def zarr_2_fortran(path: Path, state: State) -> Path:
    return zarr_python(path, state, 2, order="F", compressors=None)


def zarr_3(path: Path, state: State) -> Path:
    return zarr_python(path, state, 3)


def zarr_3_raw(path: Path, state: State) -> Path:
    return zarr_python(path, state, 3, compressors=None)


def zarr_3_of_version_2_keys(path: Path, state: State) -> Path:
    keys = {"name": "v2", "separator": "."}
    return zarr_python(path, state, 3, chunk_key_encoding=keys, compressors=None)


def tensorstore_array(path: Path, array: NDArray[Any], version: int) -> None:
    kind = array.dtype.name if array.dtype.kind == "V" or version == 3 else array.dtype.str
    chunks = [max(1, -(-n // 2)) for n in array.shape]
    metadata: dict[str, Any] = {"shape": array.shape, "chunks": chunks, "dtype": kind}
    if version == 3:
        grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
        metadata = {"shape": array.shape, "data_type": kind, "chunk_grid": grid}
    spec = {
        "driver": "zarr3" if version == 3 else "zarr",
        "kvstore": {"driver": "file", "path": str(path)},
        "metadata": metadata,
    }
    store = tensorstore.open(spec, create=True).result()
    store.write(array).result()


def tensorstore_2(path: Path, state: State) -> Path:
    """Arrays without groups around them, as Megatron writes its checkpoints."""
    for name, array in arrays(state).items():
        tensorstore_array(path / "checkpoint" / name, array, 2)
    return path / "checkpoint"


def tensorstore_3(path: Path, state: State) -> Path:
    for name, array in arrays(state).items():
        tensorstore_array(path / "checkpoint" / name, array, 3)
    return path / "checkpoint"


FORMATS: dict[str, Callable[[Path, State], Path]] = {
    write.__name__: write
    for write in (
        *(safetensors, safetensors_sharded, safetensors_index, safetensors_unindexed),
        *(bin_sharded, npz, npz_packed, npy),
        *(torch_zip, torch_legacy, torch_checkpoint, torch_views, torch_distributed),
        *(pdparams, pdparams_of_arrays),
        *(hdf5, hdf5_chunked, hdf5_packed, hdf5_swapped),
        *(zarr_2, zarr_2_fortran, zarr_3, zarr_3_raw, zarr_3_of_version_2_keys),
        *(tensorstore_2, tensorstore_3),
    )
}
