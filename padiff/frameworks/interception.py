"""Seeing a layer's calls from outside: what its caller gave and got, user hooks included.

A hook would stand among the user's hooks, and its mere presence makes some layers leave their
fused path. A wrapper in an attribute of the instance, where the framework itself looks for the
function to call, does neither.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["Interception", "Observer", "intercept"]

# Two threads may record one model at once; each puts on and takes off its own wrappers.
_CHANGING = threading.Lock()


class Observer(Protocol):
    """Who is told of calls. None of the three may raise."""

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object | None:
        """A call starts; returns a token for its end, or None when this call is not followed."""

    def end(self, token: Any, result: object) -> None:
        """The call of this token returned `result`."""

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
        token = self.observer.begin(args, kwargs) if self.active else None
        if token is None:
            return self.inner(*args, **kwargs)
        try:
            result = self.inner(*args, **kwargs)
        except BaseException as error:
            self.observer.fail(token, error)
            raise
        self.observer.end(token, result)
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> object:
        # A layer copied while it runs: the copy must run itself, not the layer it was made from.
        return getattr(type(self.layer), self.attribute).__get__(memo[id(self.layer)])

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


def intercept(
    layer: Any, attribute: str, default: Callable[..., Any], observer: Observer
) -> Interception:
    """Put a wrapper into the instance's `attribute`, over what is there or else over `default`."""
    with _CHANGING:
        wrapper = Interception(layer, attribute, default, observer)
        vars(layer)[attribute] = wrapper
    return wrapper
