"""The table of a comparison says what its JSON document says, in columns of one type each."""

import subprocess
import sys
from dataclasses import replace
from math import inf, isnan, nan
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray

from padiff.comparing.comparison import Comparison, Unmatched
from padiff.comparing.engine import compare
from padiff.errors import UsageError
from tests.stores import Layer, write_dump


def array(dtype: str, values: Any) -> NDArray[Any]:
    return np.array(values, dtype)


OUTPUTS: dict[str, tuple[Any, Any]] = {
    "same": (array("float32", [1, 2]), array("float32", [1, 2])),
    "near": (array("float32", [[1, 2], [3, 4]]), array("float32", [[1, 2], [3, 5]])),
    "shape": (np.ones((2, 3)), np.ones((3, 2))),
    "nan": (array("float64", [1, nan, 0]), array("float64", [1, 0, 0])),
    "inf": (array("float64", [inf, 1]), array("float64", [2, 1])),
    "nothing finite": (array("float64", [inf]), array("float64", [inf])),
    "complex": (array("complex64", [1 + 2j, 3]), array("complex64", [1 - 2j, 3])),
    "whole": (array("int64", [2**40, 7]), array("int64", [2**40 + 1, 7])),
    "bool": (np.array([True, False]), np.array([False, False])),
    "empty": (np.ones((0, 4)), np.ones((0, 4))),
}


def network(side: int, *more: Layer) -> Layer:
    layers = [Layer(f"l{n}", "Layer", outs[side]) for n, outs in enumerate(OUTPUTS.values())]
    return Layer(
        "", "Net", array("float32", [side]), {"x": array("float32", [3])}, children=[*layers, *more]
    )


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    base, raw = (tmp_path_factory.mktemp("stores") / name for name in ("base.zarr", "raw.zarr"))
    write_dump(base, network(0), step=3)
    one_more = Layer("more", "Tanh", {"0": np.ones((2, 5)), "1": np.ones(2)})
    write_dump(raw, network(1, one_more), step=3)
    weight, bias = (array("float32", [values]) for values in ([1, 2], [3]))
    for location, weights in ((base, {"w": weight, "b": bias}), (raw, {"w": weight})):
        write_dump(location, Layer("", "Net", weights=weights), section="weights")
    return compare(base, raw)


def cells_of(record: dict[str, Any]) -> dict[str, Any]:
    """What a row of a record must hold, by column."""
    cells = {}
    for key, value in record.items():
        for name, inner in value.items() if isinstance(value, dict) else [("", value)]:
            cells[f"{key}_{name}" if name else key] = inner
        if key in ("base_value", "raw_value"):
            parts = value if isinstance(value, list) else [value, None]
            cells[key], cells[f"{key}_imag"] = parts
    return cells


def assert_same_cell(found: Any, expected: Any) -> None:
    if expected is None:
        assert found is None or pandas.isna(found)
    elif isinstance(expected, list):
        assert found == tuple(expected)
    elif expected == "NaN":
        assert isnan(found)
    elif expected in ("Infinity", "-Infinity") and isinstance(found, float):
        assert found == float(expected)
    else:
        assert found == expected


def test_a_row_is_a_record_of_the_document(comparison: Comparison) -> None:
    frame = comparison.to_frame()
    records = comparison.to_json()["records"]
    assert len(frame) == len(records) + len(comparison.unmatched) > len(OUTPUTS)
    for (_, row), record in zip(frame.iterrows(), records, strict=False):
        expected = cells_of(record) | {"kind": None}
        assert list(row.index) == list(expected)
        for column, value in expected.items():
            assert_same_cell(row[column], value)


def test_what_has_no_partner_comes_last(comparison: Comparison) -> None:
    """A layer of raw, a tensor of base, and a value of raw that was not stored."""
    lost = Unmatched("raw", "unrecorded", "report", 3, None, "l0", "Layer", 2, "forward", "1")
    lone = replace(lost, side="base", kind="tensor", shape=(2, 5))
    items = (*comparison.unmatched, replace(lost, reason="sparse"), lone)
    frame = replace(comparison, unmatched=items).to_frame()
    assert list(frame[frame.status == "unmatched"].index) == list(range(len(frame)))[-3:]
    for (_, row), item in zip(frame[-3:].iterrows(), items, strict=True):
        own = {key: item.to_json()[key] for key in ("route", "class", "call", "tensor", "shape")}
        expected = dict.fromkeys(frame.columns) | {
            **{key: item.to_json()[key] for key in ("step", "section", "phase", "kind")},
            **{f"{item.side}_{key}": value for key, value in own.items()},
            "status": "unmatched",
            "note": item.reason,
            "size": 10 if item == lone else None,
            "by_statistics": False,
        }
        for column, value in expected.items():
            assert_same_cell(row[column], value)


def test_the_records_have_all_that_a_cell_can_be(comparison: Comparison) -> None:
    frame = comparison.to_frame()
    assert set(frame.status) == {"match", "mismatch", "shape", "nonfinite", "missing", "unmatched"}
    assert set(frame.step.dropna()) == {3}
    assert frame["rank"].isna().all()
    assert frame.groupby("base_shape").size()[(2, 2)] == 1
    held: dict[str, set[Any]] = {
        "base_value_imag": {2.0},
        "base_value": {inf, 2.0**40, 1.0},
        "required_atol": {inf},
        "base_tensor": {"0", "x", "w", "b"},
    }
    for column, cells in held.items():
        assert cells <= set(frame[column])
    for column in ("step", "max_abs", "mismatched", "base_value", "raw_tensor", "worst_index"):
        assert frame[column].isna().sum() not in (0, len(frame)), column


@pytest.mark.parametrize("count", [0, 1, None])
def test_columns_have_the_same_types_whatever_the_records(
    comparison: Comparison, count: int | None
) -> None:
    records, unmatched = comparison.records[:count], comparison.unmatched[:count]
    frame = replace(comparison, records=records, unmatched=unmatched).to_frame()
    assert len(frame) == len(records) + len(unmatched)
    found: dict[str, set[str]] = {}
    for column, dtype in frame.dtypes.items():
        found.setdefault(str(dtype), set()).add(str(column).removeprefix("base_"))
    numbers = {"max_abs", "mean_abs", "max_rel", "rel_l2", "cosine", "required_atol"}
    values = {"value", "value_imag", "raw_value", "raw_value_imag"}
    counts = {"step", "rank", "call", "raw_call", "mismatched", "nonfinite", "agreeing"}
    names = {"route", "class", "tensor", "dtype", "device"}
    others = {"section", "phase", "status", "note", "buffer", "kind"}
    assert found == {
        "float64": numbers | values,
        "Int64": counts | {"order", "size"},
        "string": names | {f"raw_{name}" for name in names} | others,
        "object": {"shape", "raw_shape", "worst_index"},
        "bool": {"by_statistics"},
    }


def test_pandas_is_asked_for_in_a_sentence(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"expected pandas to be there.* pip install 'pandas>="):
        comparison.to_frame()


def test_who_asks_for_no_table_and_no_plot_pays_for_none(
    comparison: Comparison,
) -> None:
    program = """
import sys, padiff
comparison = padiff.compare(*sys.argv[1:])
comparison.to_json()
assert comparison._repr_html_()
assert not {"pandas", "matplotlib"} & set(sys.modules)
assert len(comparison.to_frame())
assert "pandas" in sys.modules
"""
    command = [sys.executable, "-c", program, comparison.base.location, comparison.raw.location]
    subprocess.run(command, check=True)
