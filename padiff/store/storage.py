"""How a dump is put down: which backend, in what chunks, through which codecs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from padiff.errors import UsageError
from padiff.store.chunks import CHUNK_BYTES

__all__ = ["DEFAULT", "MOST_DECODED", "Compression", "Format", "Storage"]

Format = Literal["zarr", "hdf5"]
Compression = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]


MOST_DECODED = 2**30  # bytes of a chunk that is not raw


@dataclass(frozen=True, slots=True)
class Storage:
    """What the one who dumps may choose; the defaults write raw chunks, which can be mapped.

    `format` is that of the location's suffix where it is None. `compression` names codecs of the
    format: for Zarr those of its registry (`"zstd"`, `{"name": "gzip", "configuration": {"level":
    5}}`, or several in order), for HDF5 a filter (`"gzip"`, `"lzf"`, `{"id": 32015, "options":
    [3]}`). `chunk_bytes` is the most that a chunk holds, and `shard_bytes` the most that is put
    into one file or object, of Zarr alone. With `durable` all is on the disk itself, not only with
    the system, before it becomes visible.

    Raises UsageError for what no store can be made with.
    """

    format: Format | None = None
    compression: Compression | None = None
    chunk_bytes: int = CHUNK_BYTES
    shard_bytes: int | None = None
    durable: bool = True

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in get_args(Format):
            known = " or ".join(get_args(Format))
            raise UsageError(f"expected the format {known}, got {self.format!r}")
        for name in ("chunk_bytes", "shard_bytes"):
            size = getattr(self, name)
            if size is None and name == "shard_bytes":
                continue
            if type(size) is not int or size < 1:
                raise UsageError(f"expected {name} to be a number of bytes from 1, got {size!r}")
        if self.compression is not None and self.chunk_bytes > MOST_DECODED:
            raise UsageError(
                f"expected compressed chunks of at most {MOST_DECODED} bytes, got chunk_bytes "
                f"{self.chunk_bytes}: each is decoded whole"
            )
        if self.shard_bytes is not None and self.shard_bytes < self.chunk_bytes:
            raise UsageError(
                f"expected shard_bytes of at least a chunk ({self.chunk_bytes} bytes), "
                f"got {self.shard_bytes}: a shard holds whole chunks"
            )


DEFAULT = Storage()
