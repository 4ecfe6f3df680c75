"""Gradients that are rounding noise, and weights that differ because an optimizer scaled it up.

The gradient of the bias of an attention's keys, or of a bias before a batch norm, is zero but for
rounding, which differs between two frameworks by its whole size. Adam makes whole steps of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import sqrt

from padiff.comparing.comparison import Record, Side
from padiff.dtypes import dtype_named

__all__ = ["Gradients", "explained_by_noise", "same_parameter"]

_ALIGNED = 0.99  # a cosine: a gradient that is scaled, or whose sign is flipped, is no noise
_AGREEING = 0.1  # of its size: by how much a gradient may differ by which others are measured


class Gradients:
    """The parameters' gradients among the records of one step, and which may be rounding noise.

    Noise has another direction on each side, and is small on both: its largest element is at most
    `sqrt(eps)` of the largest of the gradients around it that agree, so that in orders of magnitude
    it is nearer to their rounding than to them. Around it are those of the same layer, or of the
    innermost layer above it with any.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._own = {_key(record): record for record in records if _is_gradient(record)}
        self._sizes: dict[tuple[int | None, str], float] = {}  # of a layer and all inside it
        for record in self._own.values():
            found = record.figures
            if found is not None and found.rel_l2 is not None and found.rel_l2 < _AGREEING:
                for route in _upwards(record.base):
                    largest = max(self._sizes.get((record.rank, route), 0), _largest(record.base))
                    self._sizes[record.rank, route] = largest

    def __bool__(self) -> bool:
        return bool(self._own)

    def apart(self, record: Record) -> float:
        """By how much of its size the gradient of a record's parameter differs: its `rel_l2`."""
        own = self._own.get(_key(record))
        return 0.0 if own is None or own.figures is None else own.figures.rel_l2 or 0.0

    def are_noise(self, record: Record) -> bool:
        """Whether the gradient of a record's parameter may be nothing but rounding."""
        own = self._own.get(_key(record))
        found = None if own is None else own.figures
        if own is None or found is None or found.cosine is None or found.nonfinite:
            return False
        if abs(found.cosine) > _ALIGNED:
            return False
        around = (self._sizes.get((own.rank, route)) for route in _upwards(own.base))
        size = next((size for size in around if size is not None), 0.0)
        eps = max(dtype_named(side.dtype).eps for side in (own.base, own.raw))
        return max(map(_largest, (own.base, own.raw))) <= sqrt(eps) * size


def explained_by_noise(records: Sequence[Record], before: Sequence[Record]) -> set[int]:
    """The `order` of each of a step's records that diverged, and may be rounding noise alone.

    These are gradients that are noise, `weights` that an optimizer made of such, and `params` that
    it made of those of the step `before`.
    """
    now, then = Gradients(records), Gradients(before)
    return {
        record.order
        for record in records
        if record.diverged
        and record.section != "report"
        and (then if _is_given(record) else now).are_noise(record)
    }


def same_parameter(a: Record, b: Record) -> bool:
    """Whether two records are of one parameter, or of its gradient, in any step."""
    return _key(a) == _key(b)


def _key(record: Record) -> tuple[object, ...]:
    base, raw = record.base, record.raw
    return record.rank, base.route, base.tensor, raw.route, raw.tensor


def _is_gradient(record: Record) -> bool:
    return record.section != "report" and record.phase == "backward"


def _is_given(record: Record) -> bool:
    """Whether it is a parameter as it was when the step began."""
    return record.section == "params" and record.phase is None


def _largest(side: Side) -> float:
    stats = side.stats
    if stats is None or stats.min is None or stats.max is None:
        return 0.0
    return max(abs(stats.min), abs(stats.max))


def _upwards(side: Side) -> Iterator[str]:
    """The route, and those of all layers around it."""
    route = side.route or ""
    yield route
    while route:
        route = route.rpartition(".")[0]
        yield route
