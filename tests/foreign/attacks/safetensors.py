"""Headers of `.safetensors` and indices that lie."""

import json
from pathlib import Path
from typing import Any

from tests.foreign.attacks.registry import attack, several

__all__ = []


def safetensors(path: Path, header: Any, size: int = 8, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    lead = (len(text) if length is None else length).to_bytes(8, "little")
    (path / "model.safetensors").write_bytes(lead + text + bytes(size))
    return path / "model.safetensors"


def f32(shape: Any = (2,), offsets: Any = (0, 8), kind: Any = "F32") -> dict[str, Any]:
    return {"a": {"dtype": kind, "shape": shape, "data_offsets": offsets}}


several(
    "safetensors",
    {
        "past the end": f32((4,), (0, 16)),
        "less than there is": f32((1,), (0, 4)),
        "a hole": {**f32((1,), (0, 4)), "b": f32((0,), (8, 8))["a"]},
        "a hole at the start": f32((1,), (4, 8)),
        "over one another": {"a": f32()["a"], "b": f32()["a"]},
        "partly over one another": {**f32((1,), (0, 4)), "b": f32((1,), (2, 6))["a"]},
        "one in another": {**f32(), "b": f32((1,), (4, 8))["a"]},
        "one for another without end": {**f32(), "__metadata__": {"b": "c", "c": "b", "d": "d"}},
        "the wrong way": f32((2,), (8, 0)),
        "negative": f32((2,), (-8, 0)),
        "floats": f32((2.0,), (0.0, 8.0)),
        "texts": f32("2", "08"),
        "three offsets": f32((2,), (0, 8, 8)),
        "a negative shape": f32((-1, -2)),
        "a product that overflows": f32((2**32, 2**32, 2**32)),
        "a product that is right after it overflows": f32((2**63 - 1, 2**63 - 1, 2)),
        "nothing of much": f32((0, 2**62, 2**62), (0, 0)),
        "numbers of 5000 digits": b'{"a": {"dtype": "F32", "shape": ['
        + b"9" * 5000
        + b'], "data_offsets": [0, 8]}}',
        "no type": f32(kind=None),
        "an unknown type": f32(kind="F5\n\x1b[2J"),
        "65 axes": f32([1] * 65),
        "a list": [1],
        "a tensor that is a list": {"a": []},
        "metadata that is a list": {**f32(), "__metadata__": []},
        "no UTF-8": b'{"\xff\xfe": {}}',
        "half a character": b'{"\\ud800": ' + json.dumps(f32()["a"]).encode() + b"}",
        "control characters": {"a\n\x1b[2J.b\x00": f32()["a"]},
        "a path": {"../../../outside": f32()["a"]},
        "an empty name": {"": f32()["a"]},
        "dots": {"....": f32()["a"]},
        "300 parts": {".".join("a" * 300): f32()["a"]},
        "nested": b'{"a":' * 10**5 + b"1" + b"}" * 10**5,
        "a name twice": b'{"a": '
        + json.dumps(f32((1,), (0, 4))["a"]).encode()
        + b', "a": '
        + json.dumps(f32((1,), (4, 8))["a"]).encode()
        + b"}",
        "NaN": b'{"a": NaN}',
        "spaces": b"{" + b" " * 2**24 + b"}",
        "lists": b'{"a":[' + b"[]," * 3 * 10**5 + b"[]]}",
    },
    safetensors,
)
several(
    "safetensors length",
    {"2^64": 2**64 - 1, "2^63": 2**63, "100 MB": 10**8, "more than the file": 500, "0": 0, "1": 1},
    lambda path, length: safetensors(path, f32(), length=length),
)


@attack
def safetensors_header_of_100_megabytes(path: Path) -> Path:
    text = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}' + b" " * 99_999_000 + b"}"
    return safetensors(path, text)


def index(path: Path, shard: Any) -> Path:
    made = safetensors(path, f32())
    (path / "model").mkdir()
    made.rename(path / "model/model-1.safetensors")
    name = path / "model/model.safetensors.index.json"
    name.write_text(json.dumps({"weight_map": shard if isinstance(shard, dict) else {"a": shard}}))
    return name


several(
    "index",
    {
        "above": "../outside.safetensors",
        "absolute": "/etc/passwd",
        "itself": "model.safetensors.index.json",
        "the directory": ".",
        "two up": "..",
        "nothing": "",
        "none": "model-2.safetensors",
        "a number": 1,
        "a null byte": "model-1.safetensors\x00",
        "another tensor": {"b": "model-1.safetensors"},
        "empty": {},
        "backslashes": "..\\outside.safetensors",
    },
    index,
)
