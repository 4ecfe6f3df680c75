"""Suggest which tensor of base is which of raw, as a table for a person to edit."""

from collections.abc import Callable, Iterator

from padiff.errors import UsageError
from padiff.naming.found import Found
from padiff.naming.search import search
from padiff.naming.table import NamedPair
from padiff.naming.values import Tensor
from padiff.store.address import Location
from padiff.store.format import SectionName
from padiff.store.reader import Dump, Section, open_dump
from padiff.tree import Node, TensorRecord

__all__ = ["suggest_map"]

_READING = 0.6  # of the time, where all pairs are told by values
_SECTIONS: tuple[SectionName, ...] = ("weights", "params")


def suggest_map(
    base: Location, raw: Location, *, progress: Callable[[float], None] | None = None
) -> list[NamedPair]:
    """The tensors of two state dicts, `base` and `raw`, by pairs, for a person to look through.

        rows = padiff.suggest_map("torch.safetensors", "paddle.pdparams")
        Path("names.csv").write_text(padiff.table_text(rows))

    Of weights that are equal on both sides the values tell the pair, and how the elements lie:
    such a pair is `certain`, but for values that others may have too, as small biases and masks.
    Where they differ, as after training, shapes, names and order make a pair `likely`, or a
    `guess`. What has no partner is a row with one name. All elements are read.
    Of dumps that hold statistics alone no pair is more than `likely`. `progress` is called with
    how much is done, from 0 to 1.

    Raises what `open_dump` does, and UsageError where a side has no weights.
    """
    sides = [_section(open_dump(base)), _section(open_dump(raw))]
    total, done = sum(map(_count, sides)), 0

    def measured() -> None:
        nonlocal done
        done += 1
        tell(_READING * done / total)

    def searched(progress: float) -> None:
        tell(_READING + (1 - _READING) * progress)

    tell = progress or (lambda _: None)
    ours, theirs = (list(_tensors(section, measured)) for section in sides)
    frameworks = sides[0].header.framework, sides[1].header.framework
    differ = "" not in frameworks and len(set(frameworks)) > 1
    return search(Found(ours, theirs, differ=differ, progress=searched))


def _section(dump: Dump) -> Section:
    if any(name in dump.sections for name in _SECTIONS):
        return dump.section("weights")
    held = ", ".join(dump.sections) or "nothing"
    raise UsageError(f"expected weights or params in {dump.location}, found {held}")


def _count(section: Section) -> int:
    return sum(len(node.tensors) for node in section.tree.walk())


def _tensors(section: Section, tell: Callable[[], None]) -> Iterator[Tensor]:
    order = 0
    for node in section.tree.walk():
        for record in node.tensors:
            yield _tensor(section, node, record, order)
            order += 1
            tell()


def _tensor(section: Section, node: Node, record: TensorRecord, order: int) -> Tensor:
    name = f"{node.route}.{record.place}" if node.route else record.place
    stats = section.stats(record)
    return Tensor(
        name,
        order,
        record.shape,
        record.dtype,
        record.buffer,
        stats,
        None if section.header.tensors else lambda: section.array(record),
    )
