"""Single step: every layer of raw computes on what base recorded, so that no error travels."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff.matching.tensors import match_tensors
from padiff.matching.trees import match_trees
from padiff.recording.boundary import Replay, Watch
from padiff.running.side import Side
from padiff.store.reader import Section
from padiff.tree import LayerTree, Node, Phase, TensorRecord

__all__ = ["replay_of"]

Key = tuple[str, int, Phase, str]  # route, call, phase and place on the side of raw

# What a boundary is given going back has the place of what it gave.
_GOING_BACK: dict[Phase, Phase] = {"input": "backward", "forward": "grad_output"}


def replay_of(base: Side, raw: Side, step: int) -> Replay:
    """What stands between the layers of raw, so that they compute on what base did in a step.

    Runs raw's model once as it is, to see which layers it calls; what that changes is put back.
    """
    report = base.dumped(step).report
    maps = base.selection.layer_map, raw.selection.layer_map
    watch = Watch(raw.framework)
    matching = match_trees(report.tree, _outline(raw, watch), *maps)
    return Replay(raw.framework, _Recorded(report, matching.pairs), watch.writers.found)


def _outline(side: Side, watch: Watch) -> LayerTree:
    """The calls that a side's model makes."""
    restore = side.keep_state()
    try:
        side.forward(watch)
        return LayerTree(tuple(root.outline() for root in side.recording.roots))
    finally:
        side.recording.clear()
        restore()


class _Recorded:
    """The arrays of base's report by where they belong on the side of raw."""

    def __init__(self, report: Section, pairs: Iterable[tuple[Node, Node]]) -> None:
        self._report = report
        self._records: dict[Key, TensorRecord] = {}
        for base, raw in pairs:
            self._add(base, raw)

    def _add(self, base: Node, raw: Node) -> None:
        known = {(record.phase, record.place): record for record in base.tensors}
        for phase, back in _GOING_BACK.items():
            ours, theirs = ([t for t in node.tensors if t.phase == phase] for node in (base, raw))
            for a, b in match_tensors(ours, theirs).pairs:
                self._records[raw.route, raw.call, phase, b.place] = a
                if (back, a.place) in known:
                    self._records[raw.route, raw.call, back, b.place] = known[back, a.place]

    def __call__(self, route: str, call: int, phase: Phase, place: str) -> NDArray[Any] | None:
        record = self._records.get((route, call, phase, place))
        return None if record is None else np.asarray(self._report.array(record))
