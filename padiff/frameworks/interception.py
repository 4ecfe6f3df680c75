"""Seeing a layer's calls from outside: what its caller gave and got, user hooks included.

A hook would stand among the user's hooks, and its mere presence makes some layers leave their
fused path. A wrapper in an attribute of the instance, where the framework itself looks for the
function to call, does neither.
"""

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

__all__ = ["Args", "Interception", "Kwargs", "Observer", "intercept"]

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

# Two threads may record one model at once; each puts on and takes off its own wrappers.
_CHANGING = threading.Lock()
_STATE = "__getstate__"  # copying and pickling ask the instance for it


class Observer(Protocol):
    """Who is told of calls. None of the three may raise."""

    def begin(self, args: Args, kwargs: Kwargs) -> tuple[Any, Args, Kwargs] | None:
        """A call starts; None when it is not followed, else a token for its end.

        With the token come the arguments to call the layer with.
        """

    def end(self, token: Any, result: object) -> object:
        """The call of this token returned `result`; returns what its caller is to have."""

    def fail(self, token: Any, error: BaseException) -> None:
        """The call of this token raised `error`, which goes on to the caller."""


class Interception:
    """One observer's wrapper around the function that runs a layer."""

    __slots__ = ("active", "attribute", "inner", "layer", "observer", "previous")

    def __init__(
        self, layer: Any, attribute: str, default: Callable[..., Any], observer: Observer
    ) -> None:
        self.active = True
        self.attribute = attribute
        self.layer = layer
        self.observer = observer
        self.previous: Callable[..., Any] | None = vars(layer).get(attribute)
        self.inner: Callable[..., Any] = self.previous or default

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        begun = self.observer.begin(args, kwargs) if self.active else None
        if begun is None:
            return self.inner(*args, **kwargs)
        token, args, kwargs = begun
        try:
            result = self.inner(*args, **kwargs)
        except BaseException as error:
            self.observer.fail(token, error)
            raise
        return self.observer.end(token, result)

    def remove(self) -> None:
        """Take this wrapper off, whatever was put over it meanwhile; twice is fine."""
        self.active = False
        held = vars(self.layer)
        with _CHANGING:
            top = held.get(self.attribute)
            # what lies below another's wrapper passes calls on, and goes when that goes
            while isinstance(top, Interception) and not top.active:
                top = top.previous
                if top is None:
                    del held[self.attribute]
                else:
                    held[self.attribute] = top
            if not isinstance(top, Interception) and isinstance(held.get(_STATE), _State):
                del held[_STATE]


class _State:
    """In the place of a watched layer's `__getstate__`: copies and pickles get nothing of ours.

    They must run themselves, not the layer that they were made from.
    """

    __slots__ = ("attribute", "hooks", "layer")

    def __init__(self, layer: Any, attribute: str, hooks: Mapping[str, object]) -> None:
        self.layer = layer
        self.attribute = attribute
        self.hooks = hooks

    def __call__(self) -> object:
        held = vars(self.layer)
        ours = {name: held[name] for name in (_STATE, self.attribute, *self.hooks)}
        below = ours[self.attribute]
        while isinstance(below, Interception):
            below = below.previous
        try:  # without anything of ours for as long as it is asked
            del held[_STATE], held[self.attribute]
            if below is not None:
                held[self.attribute] = below
            for name, hook in self.hooks.items():
                kept = ((key, other) for key, other in held[name].items() if other is not hook)
                held[name] = type(held[name])(kept)
            read: Callable[[Any], object] = getattr(type(self.layer), _STATE)
            state = read(self.layer)
            return dict(vars(self.layer)) if state is held else state
        finally:
            held.update(ours)


def intercept(
    layer: Any,
    attribute: str,
    default: Callable[..., Any],
    observer: Observer,
    *,
    hooks: Mapping[str, object] = MappingProxyType({}),
) -> Interception:
    """Put a wrapper into the instance's `attribute`, over what is there or else over `default`.

    `hooks` are those that the caller adds besides, by the attribute that holds them.
    """
    with _CHANGING:
        wrapper = Interception(layer, attribute, default, observer)
        vars(layer)[attribute] = wrapper
        vars(layer).setdefault(_STATE, _State(layer, attribute, hooks))
    return wrapper
