"""Sections made of plain arrays, for tests of the store itself."""

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from padiff.store.address import Location
from padiff.store.format import SectionHeader, SectionName, array_path
from padiff.store.section_writer import Stored, record_of
from padiff.store.storage import DEFAULT, Storage
from padiff.store.writer import write_section
from padiff.tree import LayerTree, Node, TensorRecord

Arrays = Mapping[str, NDArray[Any]]


def output_of(stored: Stored, order: int) -> TensorRecord:
    return record_of(stored, phase="forward", place="0", device="cpu", order=order)


def header_of(tree: LayerTree, section: SectionName = "report") -> SectionHeader:
    return SectionHeader(section, "Net", "torch", "2.13.0", (), tree, "2026-01-01T00:00:00+00:00")


def write(
    location: Location,
    arrays: Arrays,
    section: SectionName = "report",
    *,
    step: int | None = None,
    rank: int | None = None,
    storage: Storage = DEFAULT,
    before_end: Callable[[], object] = lambda: None,
) -> None:
    """One section in which the layer of each name returned that array.

    `before_end` is called when all is written, and not yet visible.
    """
    with write_section(location, section, step=step, rank=rank, storage=storage) as writer:
        layers = []
        for order, (route, values) in enumerate(arrays.items()):
            stored = writer.add(array_path(route, 0, "forward.0"), values)
            layers.append(Node("Layer", route, 0, order, tensors=(output_of(stored, order),)))
        root = Node("Net", "", 0, len(layers), children=tuple(layers))
        writer.finish(header_of(LayerTree((root,)), section))
        before_end()
