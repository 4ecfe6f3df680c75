"""How a dataset lies in its file: what its writer chooses, and its reader finds."""

from dataclasses import dataclass
from functools import lru_cache

from h5py import h5d, h5p

from padiff.dtypes import DType
from padiff.errors import FormatError
from padiff.jsonio import dumps
from padiff.store.chunks import chunk_shape_for
from padiff.store.format import digest
from padiff.store.hdf5.types import element_of

__all__ = ["Layout", "layout_of", "metadata_digest"]

Filters = tuple[tuple[int, tuple[int, ...]], ...]  # the number of each, and its options


@dataclass(frozen=True, slots=True)
class Layout:
    """What a dataset says. `chunks` is None where it lies in one piece."""

    shape: tuple[int, ...]
    element: DType
    chunks: tuple[int, ...] | None
    filters: Filters = ()

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Of what lies in one piece by the rule of the format."""
        return self.chunks or chunk_shape_for(self.shape, self.element.itemsize)


def layout_of(dataset: h5d.DatasetID) -> Layout:
    """FormatError, without the place, when a dataset is none that holds a tensor."""
    element = element_of(dataset.get_type())
    plist = dataset.get_create_plist()
    kind = plist.get_layout()
    if kind == h5d.VIRTUAL or plist.get_external_count():
        raise FormatError("expected a dataset whose elements lie in its own file, found another")
    chunks = plist.get_chunk() if kind == h5d.CHUNKED else None
    return Layout(dataset.shape, element, chunks, _filters(plist))


def _filters(plist: h5p.PropDCID) -> Filters:
    found = (plist.get_filter(number) for number in range(plist.get_nfilters()))
    return tuple((each[0], tuple(each[2])) for each in found)


@lru_cache(4096)  # the layers of a model, and those of its twin, have few of them
def metadata_digest(layout: Layout) -> str:
    """The digest of a dataset's metadata, as JSON text."""
    values = {
        "shape": layout.shape,
        "dtype": layout.element.name,
        "chunks": layout.chunks,
        "filters": layout.filters,
    }
    return digest(dumps(values).encode())
