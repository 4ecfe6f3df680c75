"""Which layers of a model are recorded: black list, white list, and what they leave."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

from padiff.errors import UsageError
from padiff.frameworks.base import Framework, Layer

__all__ = ["Mode", "Selection", "parent_route"]

Mode = Literal["self", "sublayers", "all"]

_NAMED_IN_ERRORS = 8  # routes, of a model that may have thousands


class Selection:
    """The layers of one model that are recorded: all, until a list says otherwise.

    Black lists leave layers out. Once anything is on the white list it alone counts. The model
    itself is always recorded. What lies below a mapped layer is as if on the black list.
    """

    def __init__(self, framework: Framework, model: Layer) -> None:
        self._framework = framework
        self._model = model
        # by identity, with the layer itself so that its identity is not given to another
        self._black: dict[int, Layer] = {}
        self._white: dict[int, Layer] = {}
        self._mapped: dict[str, Layer] = {}  # by route, in the order given

    def update_black_list(self, layers: Layer | Iterable[Layer], mode: Mode) -> None:
        """Leave out `layers`, what lies below them, or both; ValueError if one is not ours."""
        self._black.update(self._spread(self._own(layers), mode))

    def update_white_list(self, layers: Layer | Iterable[Layer], mode: Mode) -> None:
        """Record `layers`, what lies below them, or both, and of the rest only what is added so."""
        self._white.update(self._spread(self._own(layers), mode))

    def update_black_list_with_class(self, cls: type | Iterable[type], mode: Mode) -> None:
        """Like `update_black_list`, for every layer of the class or classes; there may be none."""
        self._black.update(self._spread(self._of_class(cls), mode))

    def update_white_list_with_class(self, cls: type | Iterable[type], mode: Mode) -> None:
        """Like `update_white_list`, for every layer of the class or classes; there may be none."""
        spread = self._spread(self._of_class(cls), mode)
        # A class without a layer here still makes a white list: one that admits the model alone.
        self._white.update(spread or {id(self._model): self._model})

    def set_layer_map(self, layers: Layer | Iterable[Layer]) -> None:
        """Map `layers`, in this order; ValueError for one that is not ours, or is named twice."""
        mapped = self._own(layers)
        routes = self._routes()
        for at, layer in enumerate(mapped):
            name = f"{routes[id(layer)] or 'the model itself'} ({type(layer).__name__})"
            if layer is self._model:
                raise UsageError(
                    f"expected layers inside of the model in the layer map, got {name}: models "
                    "always go together"
                )
            if any(layer is other for other in mapped[:at]):
                raise UsageError(f"expected each layer once in the layer map, got {name} twice")
        self._mapped = {routes[id(layer)]: layer for layer in mapped}

    @property
    def layer_map(self) -> tuple[str, ...]:
        """The routes of the mapped layers, in the order given."""
        return tuple(self._mapped)

    def _routes(self) -> dict[int, str]:
        return {id(layer): route for route, layer in self._framework.named_layers(self._model)}

    def layers(self) -> dict[str, Layer]:
        """The recorded layers by route, in definition order, the model first."""
        # ids of the layers, not the keys: in a copied selection these are of what it came from
        inside = self._spread(list(self._mapped.values()), "sublayers")
        listed = {id(layer) for layer in (self._white or self._black | inside).values()}
        admitting = bool(self._white)
        return {
            route: layer
            for route, layer in self._framework.named_layers(self._model)
            if layer is self._model or (id(layer) in listed) == admitting
        }

    def watched(self) -> dict[str, Layer]:
        """The recorded layers whose calls can be seen: none that runs inside a compiled one."""
        opaque = tuple(
            f"{route}." if route else ""
            for route, layer in self._framework.named_layers(self._model)
            if self._framework.is_opaque(layer)
        )
        layers = self.layers().items()
        return {r: layer for r, layer in layers if not r or not r.startswith(opaque)}

    def _spread(self, layers: list[Layer], mode: Mode) -> dict[int, Layer]:
        if mode not in get_args(Mode):
            raise UsageError(f"expected the mode 'self', 'sublayers' or 'all', got {mode!r}")
        chosen: dict[int, Layer] = {}
        for layer in layers:
            for _, inner in self._framework.named_layers(layer):
                if mode == "all" or (inner is layer) == (mode == "self"):
                    chosen[id(inner)] = inner
        return chosen

    def _own(self, layers: Layer | Iterable[Layer]) -> list[Layer]:
        # Containers of layers are layers that can be iterated over: the layer is meant.
        given = [layers] if self._framework.is_layer(layers) else _listed(layers)
        own = self._routes()
        for layer in given:
            if id(layer) not in own:
                routes = [route or "the model itself" for route in own.values()]
                more = ", ..." if len(routes) > _NAMED_IN_ERRORS else ""
                raise UsageError(
                    f"expected layers of this {type(self._model).__name__}, got {_short(layer)}, "
                    f"which is none of them: they are {', '.join(routes[:_NAMED_IN_ERRORS])}{more}"
                )
        return given

    def _of_class(self, cls: type | Iterable[type]) -> list[Layer]:
        classes = tuple([cls] if isinstance(cls, type) else _listed(cls))
        for given in classes:
            if not isinstance(given, type):
                raise UsageError(f"expected a class of layers or a list of them, got {given!r:.80}")
        layers = self._framework.named_layers(self._model)
        return [layer for _, layer in layers if isinstance(layer, classes)]


def parent_route(route: str, recorded: dict[str, Any]) -> str:
    """The route of the nearest recorded layer above `route`; the model's in the end."""
    while route:
        route = route.rpartition(".")[0]
        if route in recorded:
            break
    return route


def _listed(values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def _short(value: object) -> str:
    return " ".join(repr(value).split())[:80]
