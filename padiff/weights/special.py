"""What users say of layers whose weights no rule can carry over: the registry of special inits."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from padiff.errors import UsageError
from padiff.layouts import layout_of

__all__ = ["SpecialInit", "add_special_init", "is_special", "special_init"]

SpecialInit = Callable[[Any, Any], object]

_FRAMEWORKS = ("torch", "paddle")

_BUILT_IN = ("BatchNorm", "GRU", "LSTM", "MultiheadAttention", "RNN")

_registered: dict[tuple[str, str, str, str], SpecialInit] = {}


def add_special_init(
    base_framework: str, base_name: str, raw_framework: str, raw_name: str, func: SpecialInit
) -> None:
    """Have `func(base_layer, raw_layer)` set the weights where these two classes are a pair.

    `base_framework` and `raw_framework` are `torch` or `paddle`, `base_name` and `raw_name` the
    names of the classes, such as `MyAttention`.
    `func` initialises `raw_layer` wholly, with the layers inside it: `assign_weight` copies nothing
    more there. It goes before what padiff knows of the classes; a later one of the same four names
    replaces it.

    Raises ValueError for another framework, a name that is none, or a `func` that cannot be called.
    """
    for side, framework in (("base", base_framework), ("raw", raw_framework)):
        if framework not in _FRAMEWORKS:
            raise UsageError(f"expected {side}_framework to be torch or paddle, got {framework!r}")
    for side, name in (("base", base_name), ("raw", raw_name)):
        if not isinstance(name, str) or not name:
            raise UsageError(f"expected {side}_name to be the name of a class, got {name!r}")
    if not callable(func):
        raise UsageError(f"expected a function of base's and raw's layer, got {func!r}")
    _registered[base_framework, base_name, raw_framework, raw_name] = func


def special_init(
    base_framework: str, base_name: str, raw_framework: str, raw_name: str
) -> SpecialInit | None:
    """What was registered last for these classes of these frameworks."""
    return _registered.get((base_framework, base_name, raw_framework, raw_name))


def is_special(side: Literal["base", "raw"], framework: str, names: Iterable[str]) -> bool:
    """Whether a layer, by the classes it is of, is one that layer maps are made for.

    Such are those with a special init on that side, and those that need none any more: padiff
    knows how either framework makes them, of other layers or other tensors.
    """
    at = 0 if side == "base" else 2
    if any(pair[at : at + 2] == (framework, name) for name in names for pair in _registered):
        return True
    layout = layout_of(framework, names)
    return layout is not None and layout.kind in _BUILT_IN
