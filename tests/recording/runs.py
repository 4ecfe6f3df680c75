"""Running a twin with and without padiff, for the tests that compare the two."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padiff import ProxyModel, create_model, open_dump
from padiff.store.reader import Section
from padiff.tree import Node
from tests.zoo import SIDES, Twin

__all__ = ["Recorded", "each_tensor", "parents", "record"]


@dataclass(frozen=True)
class Recorded:
    """A twin that was run and recorded, and the report read back."""

    proxy: ProxyModel
    args: list[Any]
    kwargs: dict[str, Any]
    result: Any
    report: Section


def record(
    twin: Twin, framework: str, where: Path, *, inputs: bool = False, backward: bool = True
) -> Recorded:
    """Run a twin in training mode, forward and backward, and dump its report.

    Random numbers start at seed 3.
    """
    side = SIDES[framework]
    proxy = create_model(twin.build(framework), inputs=inputs)
    args, kwargs = twin.inputs(framework)
    side.seed(3)
    result = proxy(*args, **kwargs)
    if backward:
        proxy.backward(side.loss(result))
    proxy.dump_report(where)
    return Recorded(proxy, args, kwargs, result, open_dump(where).report)


def each_tensor(report: Section, phase: str) -> Iterator[tuple[str, int, str, NDArray[Any]]]:
    """Route, call, place and values of every tensor of a phase."""
    for node in report.tree.walk():
        for tensor in node.tensors:
            if tensor.phase == phase:
                yield node.route, node.call, tensor.place, np.asarray(report.array(tensor))


def parents(report: Section) -> Iterator[tuple[Node, Node]]:
    """Every node but the roots, with the node above it."""
    for node in report.tree.walk():
        for child in node.children:
            yield node, child
