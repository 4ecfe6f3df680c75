"""Which tensors of two matched layers belong together; those without a partner are told too."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from padiff.tree import Node, TensorRecord

__all__ = ["TensorMatching", "buffer_name", "match_inputs", "match_tensors"]

# Buffers that the frameworks call by other names.
_BUFFERS = {"_mean": "running_mean", "_variance": "running_var"}


@dataclass(frozen=True, slots=True)
class TensorMatching:
    """Every tensor of a pair of nodes once, in a pair or alone."""

    pairs: tuple[tuple[TensorRecord, TensorRecord], ...]
    base_only: tuple[TensorRecord, ...]
    raw_only: tuple[TensorRecord, ...]


def buffer_name(place: str) -> str:
    """One name for a buffer, however either framework spells it."""
    return _BUFFERS.get(place, place)


def match_inputs(base: Node, raw: Node) -> dict[str, str]:
    """At which place of raw's call the input stands that base's has at a place, if that is known.

    Where inputs are not recorded, as of most layers, it is for those of one name alone.
    """
    ours, theirs = ([t for t in node.tensors if t.phase == "input"] for node in (base, raw))
    found = {a.place: b.place for a, b in match_tensors(ours, theirs).pairs}
    return found | {place: place for place in base.awaits or {} if place in (raw.awaits or {})}


def match_tensors(
    base: Sequence[TensorRecord],
    raw: Sequence[TensorRecord],
    inputs: Mapping[str, str] = MappingProxyType({}),
    *,
    in_order: bool = True,
) -> TensorMatching:
    """Pair the tensors of two matched nodes by phase and place.

    Then by a place that differs in case alone; then, where just as many are left of a phase on both
    sides and their shapes agree in turn, in order: a dict on one side may be a tuple on the other.
    That is left out where not `in_order`, as names are all there is to go by.
    The gradient of an input goes with that of its partner in `inputs`, and with no other; a buffer
    with one of its name, in either framework's spelling, and with no other.
    """
    if not inputs and list(map(_key, base)) == list(map(_key, raw)):
        return TensorMatching(tuple(zip(base, raw, strict=True)), (), ())
    partners = {id(r): inputs[r.place] for r in base if r.phase == "backward" and r.place in inputs}
    taken = {("backward", place) for place in inputs.values()}
    pairs = _by_key(base, raw, lambda r: (r.phase, partners.get(id(r), _name(r))))
    if len(pairs) == len(base) == len(raw):
        return TensorMatching(tuple(pairs), (), ())
    rows = {id(record): at for at, record in enumerate(base)}
    left, right = _rest(base, raw, pairs)
    pairs += _by_key(left, right, lambda record: (record.phase, record.place.casefold()))
    left, right = ([r for r in side if not r.buffer] for side in _rest(base, raw, pairs))
    for phase in {record.phase for record in left} if in_order else ():
        ours = [r for r in left if r.phase == phase and id(r) not in partners]
        theirs = [r for r in right if r.phase == phase and (phase, r.place) not in taken]
        alone = all(
            sum(r.phase == phase and not r.buffer for r in side) == 1 for side in (base, raw)
        )
        if len(ours) == len(theirs) and (
            alone or all(_layout(a) == _layout(b) for a, b in zip(ours, theirs, strict=True))
        ):
            pairs += zip(ours, theirs, strict=True)
    left, right = _rest(base, raw, pairs)
    pairs.sort(key=lambda pair: rows[id(pair[0])])
    return TensorMatching(tuple(pairs), tuple(left), tuple(right))


Pairs = list[tuple[TensorRecord, TensorRecord]]


def _key(record: TensorRecord) -> tuple[str | None, str]:
    return record.phase, record.place


def _name(record: TensorRecord) -> str:
    return buffer_name(record.place) if record.buffer else record.place


def _by_key(
    base: Sequence[TensorRecord],
    raw: Sequence[TensorRecord],
    key: Callable[[TensorRecord], tuple[str | None, str]],
) -> Pairs:
    found = {key(record): record for record in reversed(raw)}
    return [(record, found.pop(key(record))) for record in base if key(record) in found]


def _rest(
    base: Sequence[TensorRecord], raw: Sequence[TensorRecord], pairs: Pairs
) -> tuple[list[TensorRecord], list[TensorRecord]]:
    taken = {id(record) for pair in pairs for record in pair}
    return (
        [record for record in base if id(record) not in taken],
        [record for record in raw if id(record) not in taken],
    )


def _layout(record: TensorRecord) -> object:
    """The shape; by axis name where these are known, since the axes may be in another order."""
    if record.dims is None:
        return record.shape
    return dict(zip(record.dims, record.shape, strict=False))
