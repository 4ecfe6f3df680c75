"""Which creation properties the datasets of a dump get."""

from collections.abc import Collection, Mapping
from math import prod
from operator import contains
from typing import Any

from h5py import h5d, h5p, h5z

from padiff.errors import UsageError
from padiff.store.chunks import CHUNK_BYTES
from padiff.store.storage import Compression, Storage

__all__ = ["check_storage", "chunked_properties", "contiguous_properties", "is_contiguous"]

_NAMES = {"gzip": h5z.FILTER_DEFLATE, "lzf": h5z.FILTER_LZF, "szip": h5z.FILTER_SZIP}
_DEFAULTS = {"gzip": (4,), "lzf": (), "szip": (h5z.SZIP_NN_OPTION_MASK, 8)}
# The values of each option. Of szip: how it codes, and how many elements to a block.
_OPTIONS: dict[int, tuple[Collection[int], ...]] = {
    h5z.FILTER_DEFLATE: (range(10),),
    h5z.FILTER_LZF: (),
    h5z.FILTER_SZIP: ((h5z.SZIP_NN_OPTION_MASK, h5z.SZIP_EC_OPTION_MASK), range(2, 33, 2)),
}
_FEWEST = 64  # elements of a chunk; of fewer there is nothing to gain, and some filters refuse
_LONGEST_CHUNK = 2**32 - 1  # bytes; HDF5 knows no longer one


def is_contiguous(storage: Storage, shape: tuple[int, ...]) -> bool:
    """Whether a tensor lies in one piece: by default, and where there is nothing to cut."""
    plain = storage.compression is None and storage.chunk_bytes == CHUNK_BYTES
    return plain or 0 in shape or not shape


def check_storage(storage: Storage) -> None:
    """UsageError for what HDF5 cannot do."""
    if storage.shard_bytes is not None:
        raise UsageError("expected no shard_bytes for HDF5, which keeps a dump in one file")
    if storage.chunk_bytes > _LONGEST_CHUNK:
        raise UsageError(
            f"expected chunk_bytes of at most {_LONGEST_CHUNK} for HDF5, got {storage.chunk_bytes}"
        )
    if storage.compression is not None:
        _filter(storage.compression)


def contiguous_properties() -> h5p.PropDCID:
    """Of datasets whose place is settled when they are made, and that HDF5 never writes to."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.CONTIGUOUS)
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    return properties


def chunked_properties(storage: Storage, chunk_shape: tuple[int, ...]) -> h5p.PropDCID:
    """Of datasets that go through HDF5, chunk by chunk."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk(chunk_shape)
    properties.set_obj_track_times(False)
    if storage.compression is not None:
        number, options = _filter(storage.compression)
        if prod(chunk_shape) >= _FEWEST:
            # some filters refuse chunks that they cannot make smaller: these are left as they are
            properties.set_filter(number, h5z.FLAG_OPTIONAL, options)
    return properties


def _filter(compression: Compression) -> tuple[int, tuple[int, ...]]:
    """The number and the options of the filter that was asked for."""
    asked: Mapping[str, Any]
    if isinstance(compression, str):
        asked = {"name": compression}
    elif isinstance(compression, Mapping):
        asked = compression
    else:
        raise UsageError(f"expected one filter for HDF5, got {compression!r:.80}")
    if unknown := sorted(map(str, asked.keys() - {"name", "id", "options"})):
        raise UsageError(
            f"expected a filter of HDF5 to have a name or an id, and options, got {unknown[0]!r} "
            "besides"
        )
    name = asked.get("name", asked.get("id"))
    number = _NAMES.get(name, -1) if isinstance(name, str) else name
    options = asked.get("options", _DEFAULTS.get(name, ()))
    known = type(number) is int and 0 < number < 2**16 and h5z.filter_avail(number)
    if not known or not h5z.get_filter_info(number) & h5z.FILTER_CONFIG_ENCODE_ENABLED:
        held = [each for each, found in _NAMES.items() if h5z.filter_avail(found)]
        raise UsageError(
            f"expected a filter that HDF5 has here ({', '.join(held)}, or the number of one "
            f"that is registered), got {name!r:.40}: install and import what brings it, "
            "such as hdf5plugin"
        )
    if not isinstance(options, list | tuple) or any(type(each) is not int for each in options):
        raise UsageError(f"expected the options of a filter to be whole numbers, got {options!r}")
    takes = _OPTIONS.get(number)
    if takes is not None and (len(options) != len(takes) or not all(map(contains, takes, options))):
        # HDF5 itself would take them, and bring the process down when it comes to write
        raise UsageError(
            f"expected options that the filter {name!r} takes, got {list(options)}: leave them out "
            "for the defaults, or give gzip a level from 0 to 9"
        )
    return number, tuple(options)
