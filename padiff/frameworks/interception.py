"""Seeing a layer's calls from outside: what its caller gave and got, user hooks included.

A hook would stand among the user's hooks, and its mere presence makes some layers leave their
fused path. A wrapper in an attribute of the instance, where the framework itself looks for the
function to call, does neither.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

__all__ = ["Args", "Around", "Interception", "Kwargs", "Observer", "intercept", "observed"]

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

# Makes a call in the place of whoever made it: what runs the layer, and what it is to be given.
Around = Callable[[Callable[..., Any], Args, Kwargs], Any]

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


def observed(observer: Observer) -> Around:
    """What makes calls as they are, and tells an observer of them."""

    def around(run: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        begun = observer.begin(args, kwargs)
        if begun is None:
            return run(*args, **kwargs)
        token, args, kwargs = begun
        try:
            result = run(*args, **kwargs)
        except BaseException as error:
            observer.fail(token, error)
            raise
        return observer.end(token, result)

    return around


class Interception:
    """A wrapper around the function that runs a layer."""

    __slots__ = ("active", "around", "attribute", "inner", "layer", "previous", "simulated")

    def __init__(
        self,
        layer: Any,
        attribute: str,
        default: Callable[..., Any],
        around: Around,
        simulated: Callable[[], bool],
    ) -> None:
        self.active = True
        self.around = around
        self.attribute = attribute
        self.layer = layer
        self.simulated = simulated
        self.previous: Callable[..., Any] | None = vars(layer).get(attribute)
        self.inner: Callable[..., Any] = self.previous or default

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.active or self.simulated():
            return self.inner(*args, **kwargs)
        return self.around(self.inner, args, kwargs)

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
            if not isinstance(top, Interception):
                for name in _bare_in(held):
                    del held[name]


class _Bare:
    """In the place of a method that copies a watched layer: the copy gets nothing of ours.

    It must run itself, not the layer that it was made from.
    """

    __slots__ = ("attribute", "hooks", "layer", "method")

    def __init__(
        self, layer: Any, method: str, attribute: str, hooks: Mapping[str, object]
    ) -> None:
        self.layer = layer
        self.method = method
        self.attribute = attribute
        self.hooks = hooks

    def __call__(self) -> object:
        held = vars(self.layer)
        ours = {name: held[name] for name in (*_bare_in(held), self.attribute, *self.hooks)}
        below = ours[self.attribute]
        while isinstance(below, Interception):
            below = below.previous
        try:  # without anything of ours for as long as it is asked
            for name in (*_bare_in(held), self.attribute):
                del held[name]
            if below is not None:
                held[self.attribute] = below
            for name, hook in self.hooks.items():
                kept = ((key, other) for key, other in held[name].items() if other is not hook)
                held[name] = type(held[name])(kept)
            read: Callable[[Any], object] = getattr(type(self.layer), self.method)
            state = read(self.layer)
            return dict(vars(self.layer)) if state is held else state
        finally:
            held.update(ours)


def _bare_in(held: Mapping[str, object]) -> list[str]:
    return [name for name, value in held.items() if isinstance(value, _Bare)]


def intercept(
    layer: Any,
    attribute: str,
    default: Callable[..., Any],
    around: Around,
    *,
    hooks: Mapping[str, object] = MappingProxyType({}),
    copying: Sequence[str] = (),
    simulated: Callable[[], bool] = bool,
) -> Interception:
    """Put a wrapper into the instance's `attribute`, over what is there or else over `default`.

    `hooks` are those that the caller adds besides, by the attribute that holds them. `copying` are
    methods of the framework that copy the layer's attributes, as pickling does. `simulated` tells
    that a compiler only reads the code, and is to see the call as it is.
    """
    with _CHANGING:
        wrapper = Interception(layer, attribute, default, around, simulated)
        vars(layer)[attribute] = wrapper
        for method in (_STATE, *copying):
            vars(layer).setdefault(method, _Bare(layer, method, attribute, hooks))
    return wrapper
