"""What lies at a location: the outcome of inspecting it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from msgspec.structs import asdict as fields_of

from padiff.jsonio import Json
from padiff.store.format import Environment, SectionName
from padiff.store.section import bytes_of
from padiff.tree import LayerTree, Node, Phase, TensorRecord, TensorStats

__all__ = ["SCHEMA", "Inspection", "Nonfinite", "SectionSummary", "ShownSection"]

SCHEMA = "padiff-inspection/1"

_OF_RECORD = ("phase", "place", "shape", "dtype", "device", "array", "tied", "buffer")


@dataclass(frozen=True, slots=True)
class SectionSummary:
    """One section, without its layers.

    `layers` counts calls in a report; `nan` and `inf` the tensors that have such elements, None
    where these are not `measured`. `foreign` says what it is where padiff did not record it.
    `environment` is empty where none was recorded. `bytes` are those of all elements, which are not
    there where the section has `statistics_only`.
    """

    step: int | None
    rank: int | None
    section: SectionName
    location: str
    model: str
    framework: str
    framework_version: str
    created: str
    foreign: str | None
    statistics_only: bool
    layers: int
    tensors: int
    bytes: int
    nan: int | None
    inf: int | None
    measured: bool
    environment: Environment


@dataclass(frozen=True, slots=True)
class Nonfinite:
    """A tensor of `size` elements some of which are NaN or infinite."""

    step: int | None
    rank: int | None
    section: SectionName
    route: str
    class_name: str
    call: int
    phase: Phase | None
    tensor: str
    size: int
    nan: int
    inf: int
    buffer: bool

    def to_json(self) -> Json:
        """As in the JSON document."""
        found = asdict(self)
        return {("class" if name == "class_name" else name): found[name] for name in found}


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section with its layers, and the statistics of its tensors, by their arrays."""

    summary: SectionSummary
    tree: LayerTree
    stats: Mapping[str, TensorStats]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What lies at a location: all of its sections, and the layers of one dump, which is `shown`.

    That is the first in which a tensor has NaN or infinite elements, or else the first of all; name
    another's location to see it. `patterns` are those of the routes that were asked for, None where
    all were. `damages` and `unfinished` tell what could not be looked at, a sentence and a location
    each. `store` says what kind of store it is, `producer` what wrote it. `bytes_on_disk` is None
    where to find it would take long.
    """

    location: str
    store: str
    producer: str | None
    bytes_on_disk: int | None
    sections: tuple[SectionSummary, ...]
    shown: tuple[ShownSection, ...]
    first_nonfinite: Nonfinite | None
    patterns: tuple[str, ...] | None = None
    damages: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether there are statistics of all tensors, which other tools write none of."""
        return all(section.measured for section in self.sections)

    def takes(self, node: Node) -> bool:
        """Whether a layer is among those that were asked for."""
        return self.patterns is None or any(fnmatchcase(node.route, p) for p in self.patterns)

    def to_json(self) -> Json:
        """The document that `padiff inspect --json` prints."""
        first = self.first_nonfinite
        return {
            "schema": SCHEMA,
            "location": self.location,
            "store": self.store,
            "producer": self.producer,
            "bytes_on_disk": self.bytes_on_disk,
            "sections": [asdict(summary) for summary in self.sections],
            "first_nonfinite": None if first is None else first.to_json(),
            "shown": [
                {
                    "location": section.summary.location,
                    "section": section.summary.section,
                    "layers": list(self._layers(section)),
                }
                for section in self.shown
            ],
            "damages": list(self.damages),
            "unfinished": list(self.unfinished),
        }

    def _layers(self, section: ShownSection) -> Iterator[Json]:
        left = [(0, root) for root in reversed(section.tree.roots)]
        while left:
            depth, node = left.pop()
            left += [(depth + 1, child) for child in reversed(node.children)]
            if self.takes(node):
                yield {
                    "route": node.route,
                    "class": node.name,
                    "call": node.call,
                    "type": node.type,
                    "depth": depth,
                    "repr": node.repr,
                    "training": node.training,
                    "tensors": [_tensor(section, tensor) for tensor in node.tensors],
                    "unrecorded": [fields_of(value) for value in node.unrecorded],
                }


def _tensor(section: ShownSection, tensor: TensorRecord) -> Json:
    stats = section.stats.get(tensor.array)
    return {
        **{name: getattr(tensor, name) for name in _OF_RECORD},
        "bytes": bytes_of(tensor),
        "stats": None if stats is None else fields_of(stats),
    }
