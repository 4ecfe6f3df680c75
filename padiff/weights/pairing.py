"""Which weights of two layers belong together, if it is known how the elements of both lie."""

from collections.abc import Sequence
from dataclasses import dataclass

from padiff.matching.tensors import match_tensors
from padiff.weights.inventory import Described, Weight, record_of_weight

__all__ = ["Pairing", "pair_weights"]

Pairs = list[tuple[Weight, Weight]]


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """The weights of two layers by pairs; what is in none has no partner.

    `doubt` says why it is not known how they go together, if it is not.
    """

    pairs: tuple[tuple[Weight, Weight], ...]
    doubt: str = ""


def pair_weights(base: Described, raw: Described, *, one_framework: bool) -> Pairing:
    """Pair by the names of the common form where the table has both layers in one row.

    Layers that are the user's on both sides go by the names that the user gave, or by shapes and
    order where these differ. Of a layer that the table knows and one that it does not, an axis may
    be another though it is of the same length: they go together where there is but one axis.
    """
    if base.kind == raw.kind and base.laid_out and raw.laid_out:
        names = {weight.name: weight for weight in raw.known}
        known = [(weight, names[weight.name]) for weight in base.known if weight.name in names]
        return Pairing((*known, *_by_name(base.own, raw.own)))
    if (base.kind or raw.kind) and not (one_framework and base.kind == raw.kind):
        weights = (*base.weights, *raw.weights)
        if any(weight.shape is None or len(weight.shape) > 1 for weight in weights):
            return Pairing((), _doubt(base, raw))
    return Pairing(tuple(_by_name(base.weights, raw.weights)))


def _doubt(base: Described, raw: Described) -> str:
    if base.laid_out and raw.laid_out:
        return f"base's layer lays out its weights as {base.kind}, raw's as {raw.kind}"
    if not base.laid_out and not raw.laid_out:
        return "padiff does not know how these layers lay out their weights"
    known, other = ("base", "raw") if base.laid_out else ("raw", "base")
    return f"padiff knows how {known}'s layer lays out its weights, and not how {other}'s does"


def _by_name(base: Sequence[Weight], raw: Sequence[Weight]) -> Pairs:
    """Parameters with parameters, buffers with buffers, then either with the other of its name."""
    pairs = _matched([w for w in base if w.parameter], [w for w in raw if w.parameter])
    buffers = _matched([w for w in base if not w.parameter], [w for w in raw if not w.parameter])
    # one that is left on both sides need not be the same: nothing says that buffers have partners
    pairs += [
        (a, b) for a, b in buffers if a.name.casefold() == b.name.casefold() or a.shape == b.shape
    ]
    taken = {id(weight) for pair in pairs for weight in pair}
    names = {weight.name: weight for weight in raw if id(weight) not in taken}
    return pairs + [(w, names[w.name]) for w in base if id(w) not in taken and w.name in names]


def _matched(base: Sequence[Weight], raw: Sequence[Weight]) -> Pairs:
    ours, theirs = ([record_of_weight(weight) for weight in side] for side in (base, raw))
    left = {id(record): weight for record, weight in zip(ours, base, strict=True)}
    right = {id(record): weight for record, weight in zip(theirs, raw, strict=True)}
    return [(left[id(a)], right[id(b)]) for a, b in match_tensors(ours, theirs).pairs]
