"""The settings of a layer as its framework printed them, in one spelling for both frameworks."""

from collections.abc import Iterator, Mapping
from typing import TypeGuard

from padiff.matching.classes import spelling
from padiff.tree import Node

__all__ = ["Differing", "Value", "changed", "differing", "momenta_agree", "rate", "settings"]

Value = float | str | bool | tuple["Value", ...] | None
Differing = tuple[str, str, str]  # the name that base prints, and what each side prints

_SYNONYMS = {"eps": "epsilon", "dim": "axis", "min_val": "min", "max_val": "max"}

# What some print without a name.
_POSITIONAL = {
    "embedding": ("num_embeddings", "embedding_dim"),
    "groupnorm": ("num_groups", "num_channels"),
    "hardshrink": ("threshold",),
    "localresponsenorm": ("size",),
    "softshrink": ("threshold",),
}

# What both frameworks leave out where it is so; of dropout torch knows no other mode.
_CONVOLUTION: Mapping[str, Value] = {
    "dilation": 1.0,
    "groups": 1.0,
    "output_padding": 0.0,
    "padding": 0.0,
    "padding_mode": "zeros",
    "stride": 1.0,
}
_RECURRENT: Mapping[str, Value] = {"dropout": 0.0, "num_layers": 1.0}
_DROPOUT: Mapping[str, Value] = {"mode": "upscale_in_train"}
_EMBEDDING: Mapping[str, Value] = {"padding_idx": None}
_UNSET = ("padding_idx",)  # of which None is a value like another, and no way to say a default
_DEFAULTS: Mapping[str, Mapping[str, Value]] = {
    **{f"conv{n}d{kind}": _CONVOLUTION for n in "123" for kind in ("", "transpose")},
    **dict.fromkeys(("gru", "lstm", "rnn"), _RECURRENT),
    "dropout": _DROPOUT,
    "embedding": _EMBEDDING,
}

# What changes no number, or is said in another way in each framework; `momentum` is told apart.
_NOT_COMPARED = frozenset(
    {
        *("data_format", "device", "dtype", "init", "inplace", "momentum", "name", "return_mask"),
        *("scale_grad_by_freq", "sparse", "track_running_stats", "training"),
    }
)
_OF_THE_CALL = ("name", "training")  # and not of the layer
_SAME_SHARE = 1e-9  # 1 - 0.9 is no more than nearly 0.1
_NAMES = {"true": True, "false": False, "none": None}
_LONGEST = 2000  # characters: of a text that some program wrote


def settings(node: Node) -> dict[str, tuple[str, str, Value]]:
    """By name, in one spelling, the name and the text that the framework printed, and the value."""
    kind = spelling(node.name)
    unnamed = iter(_POSITIONAL.get(kind, ()))
    found: dict[str, tuple[str, str, Value]] = {}
    for part in _printed(node):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals:
            name, text = next(unnamed, ""), name
        if name:
            found[_SYNONYMS.get(name, name)] = name, text, _value(text)
    for name, value in _DEFAULTS.get(kind, {}).items():
        found.setdefault(name, (name, _text(value), value))
    rows, padding = (found.get(name) for name in ("num_embeddings", "padding_idx"))
    if rows and padding and _is_from_the_end(padding[2]) and isinstance(rows[2], float):
        found["padding_idx"] = (*padding[:2], float(padding[2]) + rows[2])
    return found


def _is_from_the_end(value: Value) -> TypeGuard[float]:
    return isinstance(value, float) and value < 0


def differing(base: Node, raw: Node, axes: int) -> Iterator[Differing]:
    """The settings that both layers of one class have, and differ in, as printed.

    `axes` is the number of axes of what they return, by which an axis counted from the end is
    known. Values that do not compare, such as the name of a padding and a number, are passed over.
    """
    if spelling(base.name) != spelling(raw.name):
        return
    ours, theirs = settings(base), settings(raw)
    for name in ours.keys() & theirs.keys() - _NOT_COMPARED:
        left, right = (_plain(name, side[name][2], axes) for side in (ours, theirs))
        if (_comparable(left, right) or name in _UNSET) and left != right:
            yield ours[name][0], ours[name][1], theirs[name][1]


def changed(
    base: Node, raw: Node, frameworks: tuple[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    """The settings in which two layers of one class differ, as printed; None where one has none.

    Of one framework it is all that is printed, of two what is known to mean the same.
    """
    if spelling(base.name) != spelling(raw.name):
        return
    if frameworks[0] != frameworks[1]:
        yield from differing(base, raw, max((len(t.shape) for t in base.tensors), default=0))
        ours, theirs = (settings(node).get("momentum") for node in (base, raw))
        if ours and theirs and not momenta_agree(ours[2], theirs[2], frameworks):
            yield ours[0], ours[1], theirs[1]
    elif base.repr != raw.repr:
        left, right = (_as_printed(node) for node in (base, raw))
        for name in [*left, *(name for name in right if name not in left)]:
            a, b = left.get(name), right.get(name)
            if name not in _OF_THE_CALL and (a is None or b is None or _value(a) != _value(b)):
                yield name, a, b


def momenta_agree(base: Value, raw: Value, frameworks: tuple[str, str]) -> bool:
    """Whether two momenta say the same: torch's is the share of the new value, paddle's of the old.

    Of what is no number, and of other frameworks, nothing is known.
    """
    if not (isinstance(base, float) and isinstance(raw, float)):
        return True
    if set(frameworks) == {"torch", "paddle"}:
        return abs(1 - base - raw) <= _SAME_SHARE
    return frameworks[0] != frameworks[1] or base == raw


def rate(node: Node) -> float:
    """How much a layer drops, in training mode, as far as it prints that; 0 where it does not."""
    kind, found = spelling(node.name), settings(node)
    layers = found.get("num_layers", ("", "", 1.0))[2]
    if kind in ("gru", "lstm", "rnn") and layers == 1:
        return 0.0  # it drops between layers
    value = found.get("p" if "dropout" in kind else "dropout", ("", "", 0.0))[2]
    return value if isinstance(value, float) else 0.0


def _printed(node: Node) -> list[str]:
    """What stands between the brackets, a part for each setting."""
    return _split(node.repr[:_LONGEST].partition("(")[2].rpartition(")")[0])


def _as_printed(node: Node) -> dict[str, str]:
    """All of it by the names that are printed; what has none by its place."""
    found = {}
    for place, part in enumerate(_printed(node)):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if equals:
            found[name] = text
        else:
            found[f"argument {place}"] = name
    return found


def _split(text: str) -> list[str]:
    """At the commas that stand in no bracket."""
    parts, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and not depth:
            parts.append(text[begin:at])
            begin = at + 1
    return [part for part in (*parts, text[begin:]) if part.strip()]


def _value(text: str, depth: int = 0) -> Value:
    """What a text says: of equal ones, whatever is not plain is its text."""
    if len(text) > 1 and text[0] + text[-1] in ("()", "[]") and depth < 4:
        return tuple(_value(part.strip(), depth + 1) for part in _split(text[1:-1]))
    if text.casefold() in _NAMES:
        return _NAMES[text.casefold()]
    try:
        return float(text)
    except ValueError:
        return text.strip("'\"").casefold()


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(name: str, value: Value, axes: int) -> Value:
    """One value for what the frameworks say in several ways."""
    if name == "approximate" and isinstance(value, bool):
        return "tanh" if value else "none"
    if name == "axis" and _is_from_the_end(value):
        return value + axes
    while isinstance(value, tuple) and value and all(part == value[0] for part in value):
        value = value[0]  # the same along every axis
    return value


def _comparable(a: Value, b: Value) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b)
    if isinstance(a, tuple) or isinstance(b, tuple):
        # the same along every axis on one side, and not on the other
        return all(isinstance(part, float) for side in (a, b) for part in _parts(side))
    return type(a) is type(b)


def _parts(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else (value,)
