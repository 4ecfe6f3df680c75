"""Buffers: whether the forward pass changed them, and by how much two frameworks do so apart."""

from collections import defaultdict
from functools import cached_property
from math import prod

from padiff.comparing.comparison import BufferKind
from padiff.comparing.partners import tells_of
from padiff.matching.tensors import buffer_name
from padiff.store.reader import Dump, Section
from padiff.tree import Node, TensorRecord

__all__ = ["Buffers"]

# Whether a framework puts the unbiased variance of a batch, over n - 1, into a batch norm's running
# variance: both normalise by the biased one, over n. With the same momentum the running variances
# of a port without any fault are so apart by up to 1 / (n - 1) of their size, after any number of
# steps. That is no fault, and nothing that a port could mend. The running means hold no convention:
# a wrong momentum shows in them as well, and in variances that are further apart than this.
_UNBIASED = {"torch": True, "paddle": False}
_FEWEST = 2  # values that have a variance: where it is not known of how many, most is explained


class Buffers:
    """What two sections of parameters, and the reports of their runs, tell of buffers."""

    def __init__(self, dumps: tuple[Dump, Dump], sections: tuple[Section, Section]) -> None:
        self._dumps, self._sections = dumps, sections
        known = [_UNBIASED.get(section.header.framework) for section in sections]
        self._conventions_differ = None not in known and known[0] != known[1]

    def of(
        self,
        nodes: tuple[Node | None, Node | None],
        tensors: tuple[TensorRecord | None, TensorRecord | None],
    ) -> tuple[BufferKind | None, float]:
        """Whether a pair of buffers is as the forward found it, or left it; None for what is none.

        And the share of its size by which raw's may be the larger, as the conventions of two
        frameworks are (less than 0: the smaller); 0 for all but running variances that a forward
        pass has changed.
        """
        base, raw = tensors
        if base is None or raw is None or not (base.buffer and raw.buffer):
            return None, 0.0
        layers = [(side, node) for side, node in enumerate(nodes) if node is not None]
        if not any(self._trained(side, node) for side, node in layers):
            return "given", 0.0
        variances = all(buffer_name(tensor.place) == "running_var" for tensor in (base, raw))
        if not (self._conventions_differ and variances and len(base.shape) == 1):
            return "updated", 0.0
        values = [
            prod(tensor.shape) // max(1, base.shape[0])
            for side, node in layers
            for call in self._calls[side][node.route]
            for tensor in call.tensors
            if tensor.phase == "forward"
        ]
        share = 1 / (max(_FEWEST, min(values, default=_FEWEST)) - 1)
        return "updated", share if _UNBIASED[self._sections[1].header.framework] else -share

    def _trained(self, side: int, node: Node) -> bool:
        """Whether a recorded call was in training mode; without any, whether the layer is now."""
        calls = self._calls[side][node.route]
        return any(call.training for call in calls) if calls else bool(node.training)

    @cached_property
    def _calls(self) -> tuple[dict[str, list[Node]], dict[str, list[Node]]]:
        found: tuple[dict[str, list[Node]], dict[str, list[Node]]] = (
            defaultdict(list),
            defaultdict(list),
        )
        for calls, dump, section in zip(found, self._dumps, self._sections, strict=True):
            for node in dump.report.tree.walk() if tells_of(dump, section) else ():
                calls[node.route].append(node)
        return found
