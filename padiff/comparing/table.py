"""The records of a comparison as a table of pandas, which only who asks for one needs."""

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any

from padiff.errors import UsageError
from padiff.jsonio import Json

if TYPE_CHECKING:
    import pandas

__all__ = ["frame_of"]

_SIDE = {
    "route": "string",
    "class": "string",
    "call": "Int64",
    "tensor": "string",
    "shape": "object",
    "dtype": "string",
    "device": "string",
}
_ERRORS = ("max_abs", "mean_abs", "max_rel", "rel_l2", "cosine")
_VALUES = ("base_value", "raw_value")

# In the order of the JSON document, where `base_route` is the key `route` of `base`. What a record
# may lack has a type of pandas that has room for that. `kind` is that of what has no partner.
_COLUMNS = {
    "step": "Int64",
    "rank": "Int64",
    "section": "string",
    "phase": "string",
    "order": "Int64",
    "status": "string",
    **{f"{side}_{key}": dtype for side in ("base", "raw") for key, dtype in _SIDE.items()},
    "size": "Int64",
    "mismatched": "Int64",
    "nonfinite": "Int64",
    "agreeing": "Int64",
    **dict.fromkeys(_ERRORS, "float64"),
    "worst_index": "object",
    **{f"{value}{part}": "float64" for value in _VALUES for part in ("", "_imag")},
    "required_atol": "float64",
    "note": "string",
    "buffer": "string",
    "by_statistics": "bool",
    "kind": "string",
}


def frame_of(records: Iterable[Json], unmatched: Iterable[Json]) -> "pandas.DataFrame":
    """A row for each record, then one for all that has no partner, from their documents.

    UsageError where pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise UsageError(
            "expected pandas to be there, for a table: pip install 'pandas>=2.2', or take to_json()"
        ) from None
    rows = [*map(_flat, records), *map(_flat, map(_as_record, unmatched))]
    columns = {
        name: pandas.Series([row.get(name) for row in rows], dtype=dtype)
        for name, dtype in _COLUMNS.items()
    }
    return pandas.DataFrame(columns)


def _flat(document: Json) -> dict[str, Any]:
    """The cells of a record; lists become tuples, which a table can group by."""
    row: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            row |= {f"{key}_{name}": _cell(inner) for name, inner in value.items()}
        elif key in _VALUES and isinstance(value, list):  # a complex number
            row[key], row[f"{key}_imag"] = map(float, value)
        elif _COLUMNS[key] == "float64" and value is not None:
            row[key] = float(value)  # numbers that JSON lacks are names
        else:
            row[key] = _cell(value)
    return row


def _as_record(document: Json) -> Json:
    """What has no partner as a record would have it: the other side empty, and no figures."""
    own = {key: document[key] for key in ("route", "class", "call", "tensor", "shape")}
    return {
        **{key: document[key] for key in ("step", "rank", "section", "phase", "kind")},
        "status": "unmatched",
        document["side"]: own,
        "size": None if own["shape"] is None else prod(own["shape"]),
        "note": document["reason"],
        "by_statistics": False,
    }


def _cell(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
