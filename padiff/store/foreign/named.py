"""A bare set of named arrays as a dump that has weights."""

from pathlib import Path, PurePath

from padiff.errors import CorruptError, LocationError
from padiff.jsonio import Json
from padiff.store.array import Array
from padiff.store.base import Store
from padiff.store.foreign.contents import Contents, Entry, record_of
from padiff.store.format import ATTRIBUTE, SectionHeader, SectionName, array_path
from padiff.tree import MAX_DEPTH, LayerTree, Node, TensorRecord, Unrecorded

__all__ = ["NamedArrays", "is_buffer", "split_name"]

_SECTION: SectionName = "weights"
# What both frameworks call what a layer keeps beside its parameters, where a name is all there is.
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "_mean", "_variance")


class NamedArrays(Store):
    """The arrays of another tool at a location, which lie in the file or directory `held_in`.

    A name's last part is the parameter's, and all before it the route of its layer.
    """

    def __init__(self, location: str, held_in: Path | None, contents: Contents) -> None:
        self.kind, self.others = contents.kind, contents.others
        self._location, self._held_in, self._contents = location, held_in, contents
        self._entries: dict[str, Entry] = {}
        tree = self._tree()
        self._header = SectionHeader(
            section=_SECTION,
            model=_model_in(location),
            framework=contents.framework,
            framework_version="",
            layer_map=(),
            tree=LayerTree.checked(tree.roots, location),
            created="",
            foreign=contents.kind,
        )

    def _tree(self) -> LayerTree:
        tensors: dict[str, list[TensorRecord]] = {"": []}
        unrecorded: dict[str, list[Unrecorded]] = {}
        for order, (name, entry) in enumerate(self._contents.entries.items()):
            route, place = split_name(name)
            array = array_path(route, 0, place)
            self._entries[array] = entry
            _add(tensors, route, self._location)
            tensors[route].append(
                record_of(entry, array, None, place, order, buffer=is_buffer(place))
            )
        for name, reason in self._contents.refused.items():
            route, place = split_name(name)
            _add(tensors, route, self._location)
            unrecorded.setdefault(route, []).append(Unrecorded(None, place, reason))
        children: dict[str, list[Node]] = {route: [] for route in tensors}
        for number, route in reversed(list(enumerate(tensors))):  # what is below comes later
            below = tuple(reversed(children[route]))
            node = Node(
                name="",
                route=route,
                call=0,
                order=number,
                children=below,
                tensors=tuple(tensors[route]),
                unrecorded=tuple(unrecorded.get(route, ())),
            )
            if not route:
                return LayerTree((node,))
            children[_above(route)].append(node)
        raise AssertionError("unreachable: the model itself comes first")

    @property
    def location(self) -> str:
        return self._location

    def location_of(self, path: str) -> str:
        return self._location  # names behind it lead to arrays

    def attributes(self, path: str) -> Json:
        if path in ("", _SECTION):
            return {ATTRIBUTE: {"section": _SECTION}} if path else {}
        raise LocationError(f"expected {path} in {self._location}, which has weights alone")

    def header(self, path: str) -> SectionHeader:
        return self._header

    def identity(self, path: str) -> object:
        if self._held_in is None:
            return None
        try:
            status = self._held_in.stat()
        except OSError:
            return None
        return status.st_ino, status.st_ctime_ns

    def groups(self, path: str) -> list[str]:
        return [] if path else [_SECTION]

    def unfinished(self, path: str) -> dict[str, str]:
        return {}

    def array(self, path: str) -> Array:
        name = path.removeprefix(f"{_SECTION}/")
        if name not in self._entries:
            raise CorruptError(f"expected an array {name} in {self._location}, found none")
        return self._entries[name].open()


def is_buffer(place: str) -> bool:
    """Whether a tensor of a layer has the name of a buffer."""
    return place in _BUFFERS


def split_name(name: str) -> tuple[str, str]:
    """The route of a layer, and the name of its parameter."""
    route, _, place = name.rpartition(".")
    return (route, place) if route and place else ("", name)


def _model_in(location: str) -> str:
    """A name for what a location leads to, without what comes after the first dot."""
    name = PurePath(location).name
    return name.partition(".")[0] or name


def _above(route: str) -> str:
    return route.rpartition(".")[0]


def _add(tensors: dict[str, list[TensorRecord]], route: str, where: str) -> None:
    """Make place for a layer, and for those around it before."""
    made: list[str] = []
    while route not in tensors:
        made.append(route)
        route = _above(route)
        if len(made) > MAX_DEPTH:
            raise CorruptError(
                f"expected names of at most {MAX_DEPTH} parts in {where}, found more"
            )
    tensors.update((each, []) for each in reversed(made))
