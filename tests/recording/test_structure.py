"""Where tensors are found in what layers take and give; NumPy arrays stand for tensors."""

import io
from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from padiff.recording.structure import find_in_arguments, find_in_result

A, B, C = (np.full(1, n) for n in range(3))
Point = namedtuple("Point", ["x", "y"])


@dataclass
class Output:
    logits: Any
    past: Any = None
    extra: list[Any] = field(default_factory=list)


@dataclass
class Model(OrderedDict[str, Any]):
    """Both a mapping and a dataclass, as large language models return."""

    logits: Any = None


class Color(Enum):
    RED = 1


class Address:
    """Its text is its address, another in every run."""


def never(value: object) -> bool:
    return False


def places(result: object) -> dict[str, Any]:
    found = find_in_result(result, never)
    assert found.refused == []
    return dict(found.tensors)


def refused(result: object) -> dict[str, str]:
    return dict(find_in_result(result, never).refused)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (A, {"0": A}),
        ((A,), {"0": A}),
        ([A, B], {"0": A, "1": B}),
        ((A, None, 3, "text", 2.5, True, np.float32(1)), {"0": A}),
        ((A, (B, [C])), {"0": A, "1.0": B, "1.1.0": C}),
        (Point(A, B), {"0": A, "1": B}),
        ({"logits": A, "aux": {"x": B}}, {"logits": A, "aux.x": B}),
        (UserDict(y=A), {"y": A}),
        (Output(A, (B, None), [C]), {"logits": A, "past.0": B, "extra.0": C}),
        (None, {}),
        ({}, {}),
        ({1: A, "1": B, None: C}, {"1": A, "1~1": B, "None": C}),
        ({"a.b": A, "a": {"b": B}}, {"a.b": A, "a.b~1": B}),
        ({Color.RED: A}, {"Color.RED": A}),
        ({Address(): A, "x": B}, {"Address": A, "x": B}),
        ((A, A), {"0": A, "1": A}),
        (Output, {}),
        (SimpleNamespace(name="config", size=3), {}),
        ({"a", "b"}, {}),
    ],
    ids=lambda value: type(value).__name__,  # the same in every process
)
def test_each_tensor_has_its_place(result: object, expected: dict[str, Any]) -> None:
    found = places(result)
    assert list(found) == list(expected)
    assert all(found[place] is expected[place] for place in expected)


def test_what_is_a_mapping_and_a_dataclass_is_a_mapping() -> None:
    output = Model()
    output["logits"] = A
    output["hidden"] = B
    assert list(places(output)) == ["logits", "hidden"]


def test_arguments_by_position_and_name() -> None:
    found = find_in_arguments((A, (B, None)), {"mask": C, "more": {"x": A}, "n": 1}, never)
    assert [place for place, _ in found.tensors] == ["0", "1.0", "mask", "more.x"]


def test_arguments_that_would_share_a_place() -> None:
    found = find_in_arguments((A,), {"0": B}, never)
    assert [place for place, _ in found.tensors] == ["0", "0~1"]


def test_a_set_of_tensors_has_no_order() -> None:
    members = frozenset([Hashable()])
    reason = {"tensors": "a frozenset has no order and is no container that padiff looks into"}
    assert dict(find_in_result({"tensors": members}, is_hashable).refused) == reason


class Hashable:
    pass


def is_hashable(value: object) -> bool:
    return isinstance(value, Hashable)


def test_an_object_that_hides_a_tensor_is_named() -> None:
    cache = SimpleNamespace(layers=[{"keys": A}])
    assert refused((A, cache)) == {"1": "a SimpleNamespace is no container that padiff looks into"}


def test_a_container_that_contains_itself() -> None:
    loop: list[Any] = [A]
    loop.append(loop)
    found = find_in_result(loop, never)
    assert [place for place, _ in found.tensors] == ["0", "1.0"]
    assert dict(found.refused) == {"1.1": "a list contains itself"}


def test_a_very_deep_container() -> None:
    deep: Any = A
    for _ in range(5000):
        deep = [deep]
    (reason,) = refused(deep).values()
    assert reason == "it lies more than 32 containers deep"


def test_one_container_at_two_places_is_entered_twice() -> None:
    pair = (A, B)
    assert list(places({"x": pair, "y": pair})) == ["x.0", "x.1", "y.0", "y.1"]


def test_what_can_be_gone_through_but_once_is_told_and_left_alone() -> None:
    generator, mapped = (value for value in (A, B)), map(str, [A])
    found = refused((generator, {"m": mapped}))
    assert found == {
        "0": "a generator can be gone through but once",
        "1.m": "a map can be gone through but once",
    }
    assert list(generator) == [A, B]
    assert len(list(mapped)) == 1
    assert refused(iter([A])) == {"0": "a list_iterator can be gone through but once"}


def test_a_file_holds_no_tensors(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a line")
    with path.open() as text, path.open("rb") as data, path.open("rb", buffering=0) as raw:
        assert refused((A, text, {"data": data}, raw, io.StringIO("b"), io.BytesIO(b"c"))) == {}
        assert (text.read(), data.read()) == ("a line", b"a line")


@pytest.mark.parametrize("value", [deque([A]), {"x": A}.values()])
def test_other_collections_are_told(value: object) -> None:
    assert "is no container that padiff looks into" in refused(value)["0"]
