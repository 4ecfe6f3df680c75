"""The model that is recorded when it is called: `ProxyModel`."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any, Literal

from padiff.dump_root import get_dump_root_path
from padiff.errors import UsageError
from padiff.frameworks import framework_of
from padiff.frameworks.base import Layer, Tensor
from padiff.frameworks.interception import Args, Kwargs
from padiff.recording.failing import Failing, OnError
from padiff.recording.recording import Keeping, Recording
from padiff.recording.selection import Mode, Selection
from padiff.store.address import Location, below
from padiff.store.format import safe_name
from padiff.store.storage import DEFAULT, Storage
from padiff.store.writer import claim_store
from padiff.weights.special import is_special

__all__ = ["ProxyModel"]

_proxies = itertools.count()


class ProxyModel:
    """A model that is recorded when it is called. What is not defined here is the model's own.

    Where a method of the model returns the model, as in `create_model(net).eval()`, the proxy is
    returned.

    The report grows with each call until `clear_report` or `try_dump`. A call that raises leaves
    nothing in it. Nothing that the model computes changes, and outside of a call nothing of ours
    is on the model; tensors carry our hooks until all gradients of the call have come, or until
    the report is cleared or the proxy is gone.
    """

    def __init__(
        self,
        model: Any,
        name: str | None = None,
        *,
        inputs: bool = False,
        storage: Storage = DEFAULT,
        keeping: Keeping = Keeping(),  # noqa: B008  # it is frozen
        on_error: OnError = "raise",
        home: Location | None = None,
    ) -> None:
        self._framework = framework_of(model)
        self.model = model
        self.name = type(model).__name__ if name is None else name
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"expected a name of at least one character, got {name!r}")
        self._inputs = inputs
        self._storage = storage
        self._keeping = keeping
        self._failing = Failing(on_error)
        self._selection = Selection(self._framework, model)
        self._tries = 0
        self._per_step = 1
        self._passed_over = False  # a call since the last try_dump, as no dump was to come
        self._start_afresh(home)

    def _start_afresh(self, home: Location | None = None) -> None:
        """Begin to record; dumps that are given no place go to `home`, or below the dump root."""
        name = safe_name(self.name)
        self._recording = Recording(
            self.name,
            self._framework,
            self._selection,
            lambda: Path(get_dump_root_path()) / name if home is None else home,
            storage=self._storage,
            keeping=self._keeping,
        )
        self._run_name = f"{self.name} {next(_proxies)}"
        self._own_home = home
        self._homes: dict[str, Path] = {}

    @property
    def framework(self) -> str:
        """The name of the model's framework: `torch` or `paddle`."""
        return self._framework.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model, and record it unless `try_dump` would not dump this step."""
        with self._telling():  # before the model runs: what it returns must not be lost
            pass
        if (self._tries + 1) % self._per_step:
            self._passed_over = True
            return self.model(*args, **kwargs)
        return self._recording.call(args, kwargs, inputs=self._inputs)

    def _continue(self, run: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        """Record a call of the model that somebody else has made; `run` goes on with it."""
        with self._telling():
            pass
        return self._recording.call(args, kwargs, inputs=self._inputs, run=run)

    def backward(self, loss: Tensor, *, retain_graph: bool = False) -> None:
        """Run the backward pass from `loss`, as `loss.backward()` does.

        Several losses of one call may each have theirs; what they bring adds up. With
        `retain_graph` they may go through the same graph.
        """
        self._recording.backward(loss, retain_graph=retain_graph)

    def clear_report(self) -> None:
        """Forget everything recorded so far."""
        self._recording.clear()

    def try_dump(self, per_step: int = 1, dir_path: Location | None = None) -> Location | None:
        """Every `per_step`-th call dumps report and params as a step; each clears the report.

        `dir_path` is the store, `<name>` under the dump root by default. The step's number is that
        of the call, from 0: `step_9` for the tenth. Steps that will not be dumped are not recorded,
        from the second call on; where `per_step` changes, neither is the one that was passed over
        already. Returns where it wrote, or None where it did not.

        Call it after the backward and before the optimizer's step, which changes the parameters.
        Raises what `dump_report` does, and UsageError for a `per_step` that is no number from 1.
        """
        if type(per_step) is not int or per_step < 1:
            raise UsageError(f"expected per_step to be a whole number from 1, got {per_step!r}")
        self._per_step = per_step
        step = self._tries
        self._tries += 1
        written = None
        with self._telling():
            try:
                if self._tries % per_step == 0 and (not self._passed_over or self._recording.roots):
                    self._check_recorded()
                    with self._failing:
                        home = self._home(dir_path)
                        self._recording.dump_step(home, step=step)
                        written = below(home, f"step_{step}")
            finally:
                self._passed_over = False
                self.clear_report()
        return written

    def dump_report(self, dir_path: Location | None = None, *, step: int | None = None) -> None:
        """Write what was recorded to `dir_path`, replacing a report.

        With `step` it is `step_<step>` in there. `dir_path` is by default that of `try_dump`.
        Raises UsageError when nothing was recorded, OccupiedError when something else lies there,
        WriteError when the file system refuses.
        """
        self._check_recorded()
        with self._telling(), self._failing:
            self._recording.dump_report(self._home(dir_path), step=step)

    def dump_params(self, dir_path: Location | None = None, *, step: int | None = None) -> None:
        """Write parameters and gradients; see `dump_report` for the arguments and errors."""
        with self._telling(), self._failing:
            self._recording.dump_parameters("params", self._home(dir_path), step=step)

    def dump_weights(self, dir_path: Location | None = None, *, step: int | None = None) -> None:
        """Write parameters, such as an optimizer has just changed; see `dump_report`."""
        with self._telling(), self._failing:
            self._recording.dump_parameters("weights", self._home(dir_path), step=step)

    def dump_grads(self, dir_path: Location | None = None, *, step: int | None = None) -> None:
        """Write the gradients of the parameters; see `dump_report`."""
        with self._telling(), self._failing:
            self._recording.dump_parameters("grads", self._home(dir_path), step=step)

    def flush(self) -> None:
        """Wait until all dumps in the background are on the disk.

        Raises what one of them raised, if that was not told yet; the next call does so too.
        """
        self._recording.flush()
        with self._telling():
            pass

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Raise what an earlier dump raised in the background, once what is asked for is done.

        Where that raises, or is interrupted, the next call tells it.
        """
        error = self._recording.background_error
        yield
        if error is not None:
            with self._failing:
                self._recording.tell_background_error()

    def _check_recorded(self) -> None:
        if not self._recording.roots:
            raise UsageError(
                f"expected a recorded call of {self.name} to dump, found none: call the ProxyModel "
                "first, in a step that try_dump will dump"
            )

    def _home(self, dir_path: Location | None) -> Location:
        """Where dumps go: `dir_path`, or what is this proxy's own, as under the dump root."""
        if dir_path is not None:
            return dir_path
        if self._own_home is not None:
            return self._own_home
        root = str(Path(get_dump_root_path()).absolute())
        if root not in self._homes:
            self._homes[root] = claim_store(
                Path(root),
                self.name,
                framework=self.framework,
                run=self._run_name,
                backend=self._storage.format,
            )
        return self._homes[root]

    def update_black_list(self, layers: Layer | Iterable[Layer], mode: Mode = "all") -> None:
        """Record and dump `layers`, what lies below them, or both, no more.

        `mode` is `self` (the layers alone), `sublayers` (what lies below) or `all`. A white list
        goes before it. Raises ValueError for another mode, or a layer that is not the model's.
        """
        self._selection.update_black_list(layers, mode)

    def update_white_list(self, layers: Layer | Iterable[Layer], mode: Mode = "all") -> None:
        """Record and dump only what is on the white list, and the model itself.

        For `layers`, `mode` and errors see `update_black_list`.
        """
        self._selection.update_white_list(layers, mode)

    def update_black_list_with_class(self, cls: type | Iterable[type], mode: Mode = "all") -> None:
        """Like `update_black_list` with the layers of `cls`, of which there may be none."""
        self._selection.update_black_list_with_class(cls, mode)

    def update_white_list_with_class(self, cls: type | Iterable[type], mode: Mode = "all") -> None:
        """Like `update_white_list` with the layers of `cls`; for `mode` see `update_black_list`."""
        self._selection.update_white_list_with_class(cls, mode)

    def set_layer_map(self, layers: Layer | Iterable[Layer]) -> None:
        """Have the i-th of `layers` go with the i-th of the other model's map, in this order.

        What lies below them is neither recorded nor dumped, as if on the black list: the two sides
        may be made in different ways there. A second call replaces the map. Raises ValueError for
        a layer that is not the model's, is the model itself, or is given twice.
        """
        self._selection.set_layer_map(layers)

    def auto_layer_map(self, side: Literal["base", "raw"]) -> tuple[str, ...]:
        """Map every layer of which there is a special init, in the order of their definition.

        `side` says whether this model will be `base` or `raw`. Mapped are the layers of classes
        that `add_special_init` names for that side, and what needs none: recurrent networks,
        multi-head attention and batch norms; but none inside of another. Returns their routes.
        """
        if side not in ("base", "raw"):
            raise UsageError(f"expected the side 'base' or 'raw', got {side!r}")
        found: dict[str, Layer] = {}
        for route, layer in self._framework.named_layers(self.model):
            names = (type(layer).__name__, *self._framework.framework_classes(layer))
            inside = any(route.startswith(f"{above}.") for above in found)
            if route and not inside and is_special(side, self.framework, names):
                found[route] = layer
        self.set_layer_map(found.values())
        return tuple(found)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along: not the report, nor the directory, which stay this proxy's."""
        own = ("_homes", "_own_home", "_recording", "_run_name")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_afresh()

    def __getattr__(self, name: str) -> Any:
        if name == "model":  # not there yet, while copied or unpickled
            raise AttributeError(name)
        value = getattr(self.model, name)
        if not isinstance(value, MethodType) or value.__self__ is not self.model:
            return value

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            # eval(), to() and their like return the model: who goes on with it wants it recorded
            return self if result is self.model else result

        return call

    def __repr__(self) -> str:
        return f"<ProxyModel {self.name} of a {self.framework} {type(self.model).__name__}>"
