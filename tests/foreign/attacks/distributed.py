"""Metadata of `torch.distributed.checkpoint` that leads elsewhere."""

import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.foreign.attacks.registry import several

__all__ = []


def distributed(path: Path, change: Callable[[Any], Any]) -> Path:
    """A checkpoint of one tensor in two pieces, of which the metadata is then changed."""
    from torch.distributed.checkpoint.metadata import MetadataIndex
    from torch.distributed.checkpoint.state_dict_saver import save

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is but one process
        save({"a": torch.ones(4), "b": torch.ones(4)}, checkpoint_id=path / "checkpoint")
    file = path / "checkpoint/.metadata"
    metadata = pickle.loads(file.read_bytes())
    about = metadata.state_dict_metadata["a"]
    places = {index.fqn: place for index, place in metadata.storage_data.items()}
    first = about.chunks[0]
    two = [replace(first, offsets=torch.Size((at,))) for at in (0, 4)]
    metadata.state_dict_metadata["a"] = replace(about, size=torch.Size((8,)), chunks=two)
    metadata.storage_data = {
        MetadataIndex("a", torch.Size((0,))): places["a"],
        MetadataIndex("a", torch.Size((4,))): places["b"],
    }
    del metadata.state_dict_metadata["b"]
    change(metadata)
    file.write_bytes(pickle.dumps(metadata))
    return path / "checkpoint"


def moved(**changes: Any) -> Callable[[Any], None]:
    def change(metadata: Any) -> None:
        for index, place in metadata.storage_data.items():
            metadata.storage_data[index] = replace(place, **changes)

    return change


def shaped(**changes: Any) -> Callable[[Any], None]:
    def change(metadata: Any) -> None:
        about = metadata.state_dict_metadata["a"]
        metadata.state_dict_metadata["a"] = replace(about, **changes)

    return change


def pieces(*extents: tuple[Any, Any]) -> Callable[[Any], None]:
    from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

    return shaped(chunks=[ChunkStorageMetadata(*map(torch.Size, each)) for each in extents])


several(
    "distributed",
    {
        "nothing": lambda metadata: None,
        "above": moved(relative_path="../outside"),
        "absolute": moved(relative_path="/etc/passwd"),
        "two up": moved(relative_path=".."),
        "none": moved(relative_path="none"),
        "a null byte": moved(relative_path="a\0"),
        "its metadata": moved(relative_path=".metadata"),
        "a number": moved(relative_path=1),
        "a negative offset": moved(offset=-1),
        "a huge offset": moved(offset=2**62),
        "a negative length": moved(length=-1),
        "a huge length": moved(length=2**70),
        "no length": moved(length=0),
        "one twice": pieces(((0,), (4,)), ((0,), (4,))),
        "over one another": pieces(((0,), (4,)), ((2,), (4,))),
        "past the end": pieces(((0,), (4,)), ((6,), (4,))),
        "more axes": pieces(((0, 0), (4, 1)), ((4, 0), (4, 1))),
        "other sizes": pieces(((0,), (8,))),
        "no pieces": pieces(),
        "20000 pieces": pieces(*[((0,), (0,))] * 20_000, ((0,), (4,)), ((4,), (4,))),
        "a huge shape": shaped(size=torch.Size((2**62, 2**62))),
        "a shape that is a list": shaped(size=[8]),
        "no shape": shaped(size=None),
        "a name that is a number": lambda metadata: metadata.state_dict_metadata.update(
            {1: metadata.state_dict_metadata.pop("a")}
        ),
        "no storage": lambda metadata: metadata.storage_data.clear(),
        "storage that is a list": lambda metadata: setattr(metadata, "storage_data", []),
        "a dict": lambda metadata: setattr(metadata, "state_dict_metadata", None),
    },
    distributed,
)
