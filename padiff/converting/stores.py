"""Sections into a store of padiff's own: the same trees, the arrays in chunks of their own."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from msgspec.structs import replace as changed

from padiff.converting.source import Source, Tally, array_of, distinct
from padiff.store.base import WritableStore
from padiff.store.format import beside, own_path
from padiff.store.section import Section
from padiff.store.section_writer import SectionWriter, Stored
from padiff.store.storage import Storage
from padiff.store.writer import DumpWriter
from padiff.tree import LayerTree, Node, TensorRecord

__all__ = ["fill_store"]


def fill_store(
    store: WritableStore, top: str, source: Source, storage: Storage, tally: Tally
) -> None:
    """Write every dump of a source at and below the path `top` of a store.

    Raises CorruptError where an array is not what was written, WriteError where the file system
    refuses, and UsageError for a compression that the store does not have.
    """
    for dump, names in source.dumps.items():
        place = store, f"{top}/{dump}".strip("/")
        with DumpWriter(place, *names, storage=storage) as writer:
            for name in names:
                _copy(source.section(dump, name), writer.section(name), tally)


def _copy(section: Section, writer: SectionWriter, tally: Tally) -> None:
    """Write one section's arrays, then its header as it was, with the tree that tells of these."""
    header = section.header
    begun = {
        tensor.array: writer.begin(
            own_path(tensor.array), array_of(section, tensor, tally), tensor.dims
        )
        for tensor in distinct(section)
    }
    stored = {array: later() for array, later in begun.items()}
    tree = LayerTree(tuple(_node(root, stored) for root in header.tree.roots))
    created = header.created or datetime.now(UTC).isoformat(timespec="seconds")
    origin = header.converted or header.foreign
    writer.finish(replace(header, tree=tree, created=created, foreign=None, converted=origin))


def _node(node: Node, stored: Mapping[str, Stored]) -> Node:
    return changed(
        node,
        children=tuple(_node(child, stored) for child in node.children),
        tensors=tuple(_record(tensor, stored.get(tensor.array)) for tensor in node.tensors),
    )


def _record(tensor: TensorRecord, stored: Stored | None) -> TensorRecord:
    if stored is None:  # of which there are statistics alone
        return tensor
    return changed(
        tensor,
        array=stored.array,
        stats=stored.stats,
        chunks=stored.chunks,
        metadata=stored.metadata,
        tied=tensor.tied and beside(stored.array, tensor.tied),
    )
