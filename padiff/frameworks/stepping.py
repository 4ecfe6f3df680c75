"""Being told of an optimizer's steps, also where the framework has no hooks for them."""

import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from padiff.frameworks.interception import Args, Kwargs

__all__ = ["BeforeStep", "Closure", "StepHooks", "tell"]

Closure = Callable[..., Any]

# Takes the optimizer that is about to step, and the closure by which it is to compute the loss, if
# it was given one; returns the closure that it gets in its place.
BeforeStep = Callable[[Any, Closure | None], Closure | None]


def tell(call: BeforeStep, optimizer: Any, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """Tell of a step that was asked for with these arguments; returns those it is to have."""
    if callable(kwargs.get("closure")):
        return args, {**kwargs, "closure": call(optimizer, kwargs["closure"])}
    if args and callable(args[0]):
        return (call(optimizer, args[0]), *args[1:]), kwargs
    call(optimizer, None)
    return args, kwargs


class StepHooks:
    """Calls who wants to be told before any optimizer of a class runs one of some methods.

    The methods are wrapped, in the class and in all derived from it, for as long as there is
    anybody to tell.
    """

    def __init__(self, base: type, methods: Sequence[str]) -> None:
        self._base = base
        self._methods = methods
        self._calls: dict[int, BeforeStep] = {}
        self._numbers = itertools.count()
        self._wrapped: list[tuple[type, str, Callable[..., Any], Callable[..., Any]]] = []
        self._changing = threading.Lock()

    def add(self, call: BeforeStep) -> Callable[[], None]:
        """Have `call` told from now on; returns the remover."""
        number = next(self._numbers)
        with self._changing:
            self._calls[number] = call
            if not self._wrapped:
                self._put_on()

        def remove() -> None:
            with self._changing:
                self._calls.pop(number, None)
                if not self._calls:
                    self._take_off()

        return remove

    def _put_on(self) -> None:
        for owner in {self._base, *_derived(self._base)}:
            for name in self._methods:
                method = vars(owner).get(name)
                if callable(method):
                    wrapper = self._wrapper(method)
                    self._wrapped.append((owner, name, method, wrapper))
                    setattr(owner, name, wrapper)

    def _take_off(self) -> None:
        while self._wrapped:
            owner, name, method, wrapper = self._wrapped.pop()
            if vars(owner).get(name) is wrapper:  # what somebody put over it stays, and passes on
                setattr(owner, name, method)

    def _wrapper(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def told(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            for call in list(self._calls.values()):
                args, kwargs = tell(call, optimizer, args, kwargs)
            return method(optimizer, *args, **kwargs)

        return told


def _derived(base: type) -> Iterator[type]:
    below: list[type] = base.__subclasses__()
    for derived in below:
        yield derived
        yield from _derived(derived)
