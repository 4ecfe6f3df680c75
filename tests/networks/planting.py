"""What a fault is, what it is planted in, and the kinds of fault, each for both frameworks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tests.networks.catalogue import NETWORKS, Network, OptimizerKind, optimizer
from tests.zoo import SIDES

__all__ = [
    "Fault",
    "Setup",
    "Site",
    "Stage",
    "attribute",
    "both",
    "exchanged",
    "fault",
    "frozen",
    "gradient",
    "inputs",
    "loss",
    "method",
    "replaced",
    "rule",
    "through",
    "values",
]

Stage = Literal[
    "Model inputs",
    "Weights",
    "Forward stage",
    "Loss",
    "Backward stage",
    "Gradients",
    "Updated weights",
]
Routes = str | Mapping[str, str]  # torch's, or one for each framework
Array = NDArray[Any]


@dataclass
class Setup:
    """All that one side trains with; a fault changes it."""

    model: Any
    inputs: dict[str, Any]
    loss: Callable[[Any], Any]
    optimizer: Any


@dataclass(frozen=True)
class Fault:
    """One mistake, to be planted on the raw side alone, whose weights are those of the base.

    `stage` is where the first divergence is. `layer` tells by framework the layer whose code or
    parameter is wrong: `""` is the model itself, `"*"` any. Where that is code between recorded
    layers, `shown` is the layer whose tensor is the first to differ, else it is as `layer`: going
    forward the next one, going back the one before. To be seen, the fault takes an optimizer of its
    `kind`, and so many `steps`.
    """

    name: str
    network: str
    stage: Stage
    layer: Mapping[str, str]
    plant: Callable[[str, Setup], None]
    shown: Mapping[str, str]
    kind: OptimizerKind
    steps: int


@dataclass(frozen=True)
class Site:
    """Where a fault is planted; routes are torch's on both sides."""

    framework: str
    network: Network
    setup: Setup

    def layer(self, route: str) -> Any:
        route = self.network.route(route, self.framework)
        return SIDES[self.framework].named_layers(self.setup.model)[route]

    def name(self, torch_name: str, paddle_name: str | None) -> str:
        return torch_name if self.framework == "torch" else paddle_name or torch_name


Change = Callable[[Site], None]


def fault(
    name: str,
    stage: Stage,
    layer: Routes,
    change: Change,
    shown: Routes | None = None,
    *,
    kind: OptimizerKind = "sgd",
    steps: int = 1,
) -> Fault:
    """A fault of the network that its name begins with."""
    network = NETWORKS[name.partition(":")[0]]

    def routes(given: Routes) -> Mapping[str, str]:
        if not isinstance(given, str):
            return given
        return {side: network.route(given, side) for side in SIDES}

    def plant(framework: str, setup: Setup) -> None:
        change(Site(framework, network, setup))

    seen = routes(layer if shown is None else shown)
    return Fault(name, network.name, stage, routes(layer), plant, seen, kind, steps)


def attribute(route: str, value: Any, torch_name: str, paddle_name: str | None = None) -> Change:
    """Another value for what a layer has already."""

    def change(site: Site) -> None:
        layer, name = site.layer(route), site.name(torch_name, paddle_name)
        if not hasattr(layer, name):
            raise AttributeError(f"{type(layer)} has no {name} to change")
        setattr(layer, name, value)

    return change


def both(*changes: Change) -> Change:
    """More than one change that are one mistake."""

    def change(site: Site) -> None:
        for one in changes:
            one(site)

    return change


def method(route: str, name: str) -> Change:
    """Call one of a layer's methods, such as `eval`."""
    return lambda site: getattr(site.layer(route), name)()


def replaced(route: str, makers: Mapping[str, Callable[[], Any]]) -> Change:
    """Another layer, without parameters, at the place of one."""

    def change(site: Site) -> None:
        parent, _, name = route.rpartition(".")
        setattr(site.layer(parent), name, makers[site.framework]())

    return change


def through(route: str, function: Callable[[Any], Any]) -> Change:
    """A layer whose one output goes through `function` before it is returned."""

    def change(site: Site) -> None:
        layer = site.layer(route)
        right = layer.forward
        layer.forward = lambda x: function(right(x))

    return change


def values(route: str, name: str, change: Callable[[Array], Array]) -> Change:
    """A parameter, named alike on both sides, of other values; in each framework's own layout."""
    return lambda site: _set(site, getattr(site.layer(route), name), change)


def exchanged(one: str, other: str, name: str) -> Change:
    """Two layers' parameters of one name, each where the other belongs."""

    def change(site: Site) -> None:
        first, second = (getattr(site.layer(route), name) for route in (one, other))
        held = SIDES[site.framework].numpy(first)
        _set(site, first, lambda _: SIDES[site.framework].numpy(second))
        _set(site, second, lambda _: held)

    return change


def _set(site: Site, parameter: Any, change: Callable[[Array], Array]) -> None:
    before = SIDES[site.framework].numpy(parameter)
    made = np.ascontiguousarray(change(before), dtype=before.dtype)
    tensor = SIDES[site.framework].tensor(made).detach()
    parameter.data.copy_(tensor) if site.framework == "torch" else parameter.set_value(tensor)


def gradient(route: str, name: str, factor: float) -> Change:
    """A parameter whose gradient comes out `factor` times as large."""

    def change(site: Site) -> None:
        getattr(site.layer(route), name).register_hook(lambda gradient: gradient * factor)

    return change


def frozen(route: str, name: str) -> Change:
    """A parameter that is not trained."""

    def change(site: Site) -> None:
        parameter = getattr(site.layer(route), name)
        if isinstance(parameter, torch.Tensor):
            parameter.requires_grad_(False)
        else:
            parameter.stop_gradient = True

    return change


def inputs(name: str, change: Callable[[Array], Array]) -> Change:
    """One of the model's inputs, of other values."""

    def planted(site: Site) -> None:
        side, held = SIDES[site.framework], site.setup.inputs
        held[name] = side.tensor(np.ascontiguousarray(change(side.numpy(held[name]))))

    return planted


def loss(**options: Any) -> Change:
    """The loss function with other options than the defaults."""

    def change(site: Site) -> None:
        site.setup.loss = site.network.loss(site.framework, **options)

    return change


def rule(kind: OptimizerKind, **options: Any) -> Change:
    """The optimizer with other options, by torch's names."""

    def change(site: Site) -> None:
        site.setup.optimizer = optimizer(site.framework, kind, site.setup.model, **options)

    return change
