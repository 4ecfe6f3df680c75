"""What ports are known to differ in, named where the recorded facts make it the likely cause."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from padiff.comparing.comparison import Comparison, Record
from padiff.dtypes import dtype_named
from padiff.matching.classes import depends_on_mode, spelling
from padiff.matching.settings import differing, momenta_agree, rate, settings
from padiff.matching.tensors import buffer_name
from padiff.render.findings import find_node, lacking
from padiff.render.lone import called_alone
from padiff.render.words import clean, stage, tensor_name
from padiff.tree import Node

__all__ = ["traps"]

_ROUNDINGS = 20  # in eps: what rounding and the work of one layer make of an input
_DROPPING = ("gru", "lstm", "rnn")  # as of dropout, their mode counts where they drop something
_OF_TRAINING = ("p", "dropout")  # settings without a meaning in evaluation mode
_STATISTICS = ("running_mean", "running_var")
# By how the names of classes begin: what a GPU may compute in TF32, and the setting that allows it.
_IN_TF32 = {
    "linear": ("matrix products", "TF32 in matmul"),
    "bilinear": ("matrix products", "TF32 in matmul"),
    "multiheadattention": ("matrix products", "TF32 in matmul"),
    "conv": ("convolutions", "TF32 in cuDNN"),
}
_TF32 = (1e-4, 1e-2)  # the relative errors that its 10 bits make


@dataclass(frozen=True, slots=True)
class _Place:
    """The first divergence, with its layer on both sides."""

    comparison: Comparison
    first: Record
    nodes: tuple[Node, Node]

    @property
    def is_output(self) -> bool:
        """Whether it is in what a layer returned."""
        return self.first.section == "report" and self.first.phase == "forward"

    def records(self) -> Iterator[Record]:
        """Those of the same step and rank."""
        when = self.first.step, self.first.rank
        return (record for record in self.comparison.records if (record.step, record.rank) == when)

    def of_layer(self) -> Iterator[Record]:
        """Those of the layer itself, in any section."""
        own = self.first.base.route, self.first.base.call
        return (record for record in self.records() if (record.base.route, record.base.call) == own)

    @property
    def inputs_agree(self) -> bool:
        """Whether the layer's inputs were recorded, and none of them differs."""
        given = [record for record in self.of_layer() if record.phase == "input"]
        return bool(given) and not any(record.diverged for record in given)

    def suspects(self, side: Literal[0, 1]) -> list[Node]:
        """The layer on one side, and those inside it whose output is not known to agree."""
        agreed = {
            (where.route, where.call)
            for record in self.records()
            if record.phase == "forward" and not record.diverged
            for where in [(record.base, record.raw)[side]]
        }
        top = self.nodes[side]
        return [n for n in top.walk() if n is top or (n.route, n.call) not in agreed]


def traps(comparison: Comparison, first: Record) -> list[str]:
    """Likely causes of the first divergence, a sentence each; none where no fact speaks for one."""
    base, raw = (find_node(comparison, first, side) for side in (0, 1))
    if first.status == "missing" or base is None or raw is None:
        return []
    place = _Place(comparison, first, (base, raw))
    known: Sequence[Callable[[_Place], Iterator[str]]] = (
        _mode,
        _dropout,
        _momentum,
        _settings,
        _cut_off,
        _precision,
        _device,
        _tf32,
        _called_alone,
    )
    return [sentence for trap in known for sentence in trap(place)]


def _mode(place: _Place) -> Iterator[str]:
    """Training mode on one side, evaluation mode on the other."""
    if stage(place.first) not in ("Forward stage", "Buffers"):
        return
    suspects = [[n for n in place.suspects(side) if _is_modal(n)] for side in (0, 1)]
    itself = [[node] for node in place.nodes]
    around = [_around(place, side) for side in (0, 1)]
    choices = [] if place.first.phase == "input" else [("it", itself), ("what is in it", suspects)]
    if (place.is_output and not place.inputs_agree) or place.first.phase == "input":
        choices.append(("the code around it", around))
    for what, (ours, theirs) in choices:
        if not all(any(map(_is_modal, nodes)) for nodes in (ours, theirs)):
            continue
        modes = [{node.training for node in nodes} for nodes in (ours, theirs)]
        if modes in ([{True}, {False}], [{False}, {True}]):
            names = ("training", "evaluation")
            first, second = names if modes[0] == {True} else names[::-1]
            yield (
                f"base ran {what} in {first} mode, raw in {second} mode: call eval() or train() on "
                "both."
            )
            return


def _is_modal(node: Node) -> bool:
    kind = spelling(node.name)
    if kind in _DROPPING or "dropout" in kind:
        return rate(node) > 0
    return depends_on_mode(node.name)


def _around(place: _Place, side: Literal[0, 1]) -> list[Node]:
    """The layer whose code called this one."""
    own = place.nodes[side]
    nodes = place.comparison.first_trees[side].walk()
    return [node for node in nodes if any(child is own for child in node.children)]


def _dropout(place: _Place) -> Iterator[str]:
    """Both sides drop elements at random."""
    if place.is_output and all(
        any(node.training and rate(node) > 0 for node in place.suspects(side)) for side in (0, 1)
    ):
        yield (
            "Dropout is active: random numbers differ between runs; call eval(), or set its rate "
            "to 0."
        )


def _momentum(place: _Place) -> Iterator[str]:
    """A batch norm's momentum: of torch the share of the new value, of paddle that of the old."""
    first = place.first
    kept = first.buffer is not None and buffer_name(first.base.tensor or "") in _STATISTICS
    buffers_seen = any(record.buffer for record in place.of_layer())
    in_use = place.is_output and not buffers_seen and not any(n.training for n in place.nodes)
    found = [settings(node).get("momentum") for node in place.nodes]
    if not (kept or in_use) or found[0] is None or found[1] is None:
        return
    (_, ours, a), (_, theirs, b) = found[0], found[1]
    if not (isinstance(a, float) and isinstance(b, float)):
        return
    frameworks = place.comparison.base.framework, place.comparison.raw.framework
    said = f"momentum is {clean(ours, 40)} in base and {clean(theirs, 40)} in raw"
    if momenta_agree(a, b, frameworks):
        return
    if frameworks[0] == frameworks[1]:
        yield f"{said}."
    else:
        yield f"{said}, where it should be {1 - a:g}: paddle's momentum is 1 less torch's."


def _settings(place: _Place) -> Iterator[str]:
    """Settings that both layers print, with other values."""
    first = place.first
    in_work = first.section == "report" and first.phase != "input"
    laid_out = stage(first) == "Weights" and first.status == "shape"
    if not (in_work or laid_out or stage(first) == "Gradients"):
        return
    trained = any(node.training is not False for node in place.nodes)
    for name, ours, theirs in differing(*place.nodes, len(first.base.shape or ())):
        if trained or name not in _OF_TRAINING:
            yield f"{clean(name, 40)} is {clean(ours, 40)} in base and {clean(theirs, 40)} in raw."


def _cut_off(place: _Place) -> Iterator[str]:
    """Parameters without a gradient on one side: something stops it on the way to them."""
    if stage(place.first) not in ("Backward stage", "Gradients"):
        return
    lost = [r for r in place.records() if r.status == "missing" and stage(r) == "Gradients"]
    for name, other in (("raw", "base"), ("base", "raw")):
        found = [record for record in lost if lacking(record)[0] == name]
        if found:
            layer = clean(found[0].either.route or "the model itself", 60)
            more = f" and {len(found) - 1} more" if found[1:] else ""
            yield (
                f"{name} has no {tensor_name(found[0])} of {layer}{more}, {other} has: something "
                "stops it on the way there, such as detach() or stop_gradient."
            )


def _precision(place: _Place) -> Iterator[str]:
    """Element types that differ, where rounding to the coarser is all the difference there is."""
    for record in (place.first, *_taken(place)):
        ours, theirs = record.base.dtype, record.raw.dtype
        if ours is None or theirs is None or ours == theirs:
            continue
        coarse = max(ours, theirs, key=_eps)
        if _is_rounding(place.first, _eps(coarse)):
            what = tensor_name(record)
            yield (
                f"Its {what} is {ours} in base and {theirs} in raw: the difference is no more than "
                f"rounding to {coarse} makes."
            )
            return


def _taken(place: _Place) -> list[Record]:
    """What the layer works with: its inputs and parameters."""
    return [
        record
        for record in place.of_layer()
        if record.phase == "input" or (record.section != "report" and record.phase is None)
    ]


def _device(place: _Place) -> Iterator[str]:
    """Kinds of device that differ, where rounding is all the difference there is."""
    first = place.first
    kinds = [_kind_of_device(side.device or "") for side in (first.base, first.raw)]
    eps = max(_eps(side.dtype) if side.dtype else 0.0 for side in (first.base, first.raw))
    if kinds[0] != kinds[1] and _is_rounding(first, eps):
        yield (
            f"base ran it on {clean(kinds[0], 20)}, raw on {clean(kinds[1], 20)}: the difference "
            "is no more than rounding in another order makes."
        )


def _kind_of_device(device: str) -> str:
    kind = device.partition(":")[0].casefold()
    return "gpu" if kind == "cuda" else kind


def _tf32(place: _Place) -> Iterator[str]:
    """TF32 on one side alone, where the difference is of its size."""
    first = place.first
    off = first.figures.rel_l2 if first.figures else None
    kinds = {spelling(node.name) for node in place.nodes}
    known = [fact for begin, fact in _IN_TF32.items() if all(k.startswith(begin) for k in kinds)]
    alike = first.base.dtype == first.raw.dtype == "float32"
    if not (place.is_output and alike and known and off and _TF32[0] <= off <= _TF32[1]):
        return
    what, setting = known[0]
    sides = (first.base, place.comparison.base), (first.raw, place.comparison.raw)
    # on another device than a GPU nothing is computed in it
    allowed = [
        _kind_of_device(side.device or "") == "gpu" and source.environment.get(setting)
        for side, source in sides
    ]
    if allowed in ([True, False], [False, True]):
        one, other = ("base", "raw") if allowed[0] else ("raw", "base")
        yield f"{one} may use TF32 in {what}, {other} may not: it makes errors of this size."


def _eps(dtype: str) -> float:
    return dtype_named(dtype).eps


def _is_rounding(record: Record, eps: float) -> bool:
    found = record.figures
    return found is not None and found.rel_l2 is not None and found.rel_l2 < _ROUNDINGS * eps


def _called_alone(place: _Place) -> Iterator[str]:
    """Layers of one side only, on the way to what differs."""
    if stage(place.first) != "Forward stage":
        return
    for side, name, other in ((0, "base", "raw"), (1, "raw", "base")):
        for where, nodes in called_alone(place.comparison, place.first, place.nodes[side], side):
            if where == "before" and place.inputs_agree:
                continue
            named = ", ".join(f"{_label(node)} ({clean(node.name, 40)})" for node in nodes[:3])
            more = ", ..." if len(nodes) > 3 else ""
            lacks = "no such layer" if len(nodes) == 1 else "no such layers"
            yield f"{name} calls {named}{more} {where} it, {other} has {lacks}."


def _label(node: Node) -> str:
    call = f" (call {node.call})" if node.call else ""
    return f"{clean(node.route, 60)}{call}"
