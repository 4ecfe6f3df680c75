"""The calls of a report of the old PaDiff as a layer tree."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from padiff.store.foreign.padiff_json.arrays import Arrays, without_model
from padiff.store.foreign.padiff_json.documents import Call, LayerMap, Report, Tensor
from padiff.store.format import array_path
from padiff.tree import Frame, LayerTree, Node, Phase, TensorRecord

__all__ = ["layer_map_of", "report_tree"]

_FRAME = re.compile(r"^File (.+): (\d{1,9})    (.*)\n(.*)$", re.MULTILINE)
_FRAMES = 8  # as many as padiff keeps
_OWN = "utils/utils.py"  # of the old PaDiff, where each stack ends


def layer_map_of(report: Report) -> tuple[str, ...]:
    """The routes in its layer map, which the oldest versions did not write."""
    mapped = report.layer_map.route if isinstance(report.layer_map, LayerMap) else ()
    return tuple(without_model(route, _model_of(report)) for route in mapped)


def report_tree(
    report: Report, arrays: Arrays, reprs: Mapping[str, str] = MappingProxyType({})
) -> LayerTree:
    """The calls with their tensors; raises what making the arrays does, FormatError if too deep.

    A report does not say what its layers print of themselves: these are the `reprs`, by route.
    """
    building = _Building(report, arrays, reprs)
    return LayerTree(tuple(building.node(call, "", 0) for call in report.calls))


def _model_of(report: Report) -> str:
    """The name that routes begin with."""
    return next((call.route for call in report.calls if call.route), report.model_name)


class _Building:
    """Makes nodes of calls, in the order in which they began.

    What is written of the order of events tells of the forward pass alone. It follows from the
    tree, as does that of the backward pass: the input of what began last has its gradient first.
    """

    def __init__(self, report: Report, arrays: Arrays, reprs: Mapping[str, str]) -> None:
        self._report, self._arrays, self._reprs = report, arrays, reprs
        self._model = _model_of(report)
        self._mapped = frozenset(layer_map_of(report))
        self._calls: Counter[str] = Counter()
        self._orders = itertools.count()
        self._last = 2 * sum(map(_count, report.calls))

    def node(self, call: Call, above: str, depth: int) -> Node:
        """A call below one of the layer `above`."""
        self._arrays.check_depth(depth)
        route = without_model(call.route, self._model)
        if call.type == "api":  # a function has no route
            route = f"{above}.{call.name}".lstrip(".")
        number = self._calls[route]
        self._calls[route] += 1
        begin = next(self._orders)
        inputs = [] if route or number else self._inputs(begin)
        children = tuple(self.node(child, route, depth + 1) for child in call.children)
        end = next(self._orders)
        outputs = [
            self._record(route, number, "forward", str(at), tensor, end)
            for at, tensor in enumerate(call.fwd_outputs)
        ]
        gradients = [
            self._record(route, number, "backward", place, tensor, 2 * self._last - begin)
            for place, tensor in zip(
                _places_of_gradients(call, len(inputs)), call.bwd_grads, strict=True
            )
        ]
        return Node(
            name=call.name.rpartition(".")[2] if call.type == "api" else call.name,
            route=route,
            call=number,
            order=begin,
            type="in map" if route in self._mapped and call.type == "net" else call.type,
            repr="" if call.type == "api" else self._reprs.get(route, ""),
            stack=_frames(call.stack, self._report.framework),
            children=children,
            tensors=(*inputs, *outputs, *gradients),
        )

    def _inputs(self, order: int) -> list[TensorRecord]:
        """What the model was given, which lies beside the report as far as it is tensors."""
        directory = self._report.first_input_dir
        names = (f"{directory}/input_{at}" for at in range(self._report.first_input_count))
        return [
            self._record("", 0, "input", str(at), f"{name}.npy", order)
            for at, name in enumerate(names)
            if not self._arrays.has(f"{name}.json")
        ]

    def _record(
        self, route: str, call: int, phase: Phase, place: str, tensor: str | Tensor, order: int
    ) -> TensorRecord:
        array = array_path(route, call, f"{phase}.{place}")
        return self._arrays.record(array, tensor, phase, place, order)


def _places_of_gradients(call: Call, inputs: int) -> list[str]:
    """Names for the gradients of inputs, of which it is known in what order these were, no more.

    Were they numbered, those of other inputs could be taken for them.
    """
    count = len(call.bwd_grads)
    return [str(at) if count in (1, inputs) else f"grad {at}" for at in range(count)]


def _count(call: Call) -> int:
    count, left = 0, [call]
    while left:
        count += 1
        left += left.pop().children
    return count


def _frames(stack: str, framework: str) -> tuple[Frame, ...]:
    """The user's lines, innermost last, of a text that has the innermost first."""
    found = [Frame(file, int(line), name, code) for file, line, name, code in _FRAME.findall(stack)]
    own = found[0].file.removesuffix(_OWN) if found and found[0].file.endswith(_OWN) else "\0"
    users = [
        frame
        for frame in found
        if not frame.file.startswith(own) and f"-packages/{framework}/" not in frame.file
    ]
    return tuple(reversed(users[:_FRAMES]))
