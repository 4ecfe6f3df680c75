"""Format 1: names of sections, steps, ranks and arrays, and what a section's attributes hold.

`docs/format.md` is the specification; this file is the only code that spells its names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

import xxhash
from msgspec import Meta

from padiff.errors import CorruptError, FormatError, VersionError
from padiff.jsonio import Json, decode, dumps
from padiff.tree import LayerTree, Node
from padiff.version import __version__

__all__ = [
    "ATTRIBUTE",
    "FORMAT",
    "GENERATION",
    "LONGEST_HEADER",
    "SECTIONS",
    "Environment",
    "SectionHeader",
    "SectionName",
    "array_path",
    "beside",
    "check_array_path",
    "check_root",
    "digest",
    "has_meaning",
    "header_from_json",
    "header_text",
    "header_to_json",
    "is_sealed",
    "numbered",
    "own_path",
    "root_attributes",
    "running_digest",
    "safe_name",
]

FORMAT = 1
ATTRIBUTE = "padiff"
# Begins the name of the group that holds a section's arrays where nothing can be renamed; that of
# no layer begins so.
GENERATION = "~g"
LONGEST_HEADER = 80 * 2**20  # bytes, of which a reader holds five times as many: 60,000 calls
SectionName = Literal["report", "params", "weights", "grads"]
SECTIONS: tuple[SectionName, ...] = get_args(SectionName)

# What every file system, object store and Zarr reader takes in a name; some take paths for URLs,
# and a percent sign for the beginning of an escape. `~` is ours, for calls.
_UNSAFE = re.compile(rb"[^A-Za-z0-9_.\-]")
_RESERVED = re.compile(r"\.|__|zarr\.json$")
_MAX_NAME = 200  # bytes; file systems stop at 255, and suffixes come on top
_BEFORE_SEAL = -len(',"digest":""}') - 32
_OPTIONAL = (
    "run",
    "backward",
    "updated",
    "converted",
    "tensors",
    "environment",
)  # keys of a header
_NUMBERED = re.compile(r"(step|rank)_(0|[1-9][0-9]{0,17})")


# What a header from a file is held to.
_Word = Annotated[str, Meta(max_length=100)]
_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Environment = Annotated[dict[_Word, _Word | _Whole | float | bool], Meta(max_length=100)]


@dataclass(frozen=True, slots=True)
class SectionHeader:
    """What a section says of itself. `created` is an ISO 8601 time in UTC.

    `run` is the same in all that one ProxyModel wrote. `backward` tells of a report whether a
    backward pass was run over it, `updated` of params whether they were changed since the model's
    last recorded call. `tensors` is `statistics` where the tree has those of each tensor, and the
    section no arrays. `environment` has what the framework told of the machine and of its settings
    when the section was written. Each is None where it was not recorded. `foreign` names the format
    of what another tool wrote, which has neither statistics nor digests; `converted` that of what a
    section of ours was made from.
    """

    section: SectionName
    model: str
    framework: str
    framework_version: str
    layer_map: tuple[str, ...]
    tree: LayerTree
    created: str
    run: str | None = None
    backward: bool | None = None
    updated: bool | None = None
    tensors: Literal["statistics"] | None = None
    foreign: str | None = None
    converted: str | None = None
    environment: Environment | None = field(default=None, hash=False)

    @property
    def origin(self) -> str | None:
        """What another tool wrote, be it this or what this was made from; None for a recording."""
        return self.foreign or (f"converted from {self.converted}" if self.converted else None)


def digest(data: bytes | memoryview) -> str:
    """XXH3 with 128 bits, in hexadecimal: tells equal bytes from others, and is no signature."""
    return xxhash.xxh3_128_hexdigest(data)


def running_digest() -> xxhash.xxh3_128:
    """The same of bytes that come in pieces: `update` it with each, then ask its `hexdigest`."""
    return xxhash.xxh3_128()


def safe_name(name: str) -> str:
    """`name` as one path component: unsafe bytes as =XX, what is too long cut and made unique."""
    safe = _UNSAFE.sub(lambda match: b"=%02X" % match[0][0], name.encode(errors="surrogatepass"))
    text = safe.decode("ascii")
    if _RESERVED.match(text):
        text = f"={ord(text[0]):02X}{text[1:]}"
    if len(text) > _MAX_NAME:
        text = f"{text[:160]}~{digest(safe)}"
    return text


def array_path(route: str, call: int, leaf: str) -> str:
    """Where in its section the tensor `leaf` (`forward.0`, `weight.grad`) of one call lies."""
    suffix = f"~{call}" if call or not route else ""
    return f"{safe_name(route)}{suffix}/{safe_name(leaf)}"


def own_path(array: str) -> str:
    """The path of an array in its section, without the name that an object store needs above it."""
    first, _, rest = array.partition("/")
    return rest if first.startswith(GENERATION) else array


def beside(array: str, path: str) -> str:
    """Where another array of a section lies, below the same name above it."""
    return array.removesuffix(own_path(array)) + own_path(path)


def check_array_path(path: str, section: str) -> None:
    """CorruptError when `path` is not that of an array inside its section."""
    if any(name in ("", ".", "..") or "\\" in name or "\0" in name for name in path.split("/")):
        raise CorruptError(
            f"expected the tree of {section} to point at arrays inside it, found the path {path!r}"
        )


def numbered(kind: Literal["step", "rank"], name: str) -> int | None:
    """The number in a group's name such as `step_12`; None when it is not of that kind."""
    match = _NUMBERED.fullmatch(name)
    return int(match[2]) if match and match[1] == kind else None


def has_meaning(name: str) -> bool:
    """Whether a group of this name is a section, a step or a rank."""
    return name in SECTIONS or _NUMBERED.fullmatch(name) is not None


def root_attributes(claim: Mapping[str, str] | None = None) -> Json:
    """The attributes of a store's root; `claim` tells whose default dump directory it is."""
    attributes: Json = {"format": FORMAT, "producer": f"padiff {__version__}"}
    if claim is not None:
        attributes["claim"] = dict(claim)
    return {ATTRIBUTE: {**attributes, "digest": digest(_text_of(attributes))}}


def check_root(attributes: Json, where: str) -> None:
    """FormatError when these are not the attributes of a root this version can read."""
    if not isinstance(attributes.get(ATTRIBUTE), dict) or "format" not in attributes[ATTRIBUTE]:
        raise FormatError(
            f"expected a padiff store at {where}, found a Zarr group without the attribute "
            f"{ATTRIBUTE!r}: name a store that padiff wrote"
        )
    found = attributes[ATTRIBUTE]["format"]
    if type(found) is int and found > FORMAT:
        raise VersionError(
            f"expected a store of format {FORMAT} at {where}, found format {found}: "
            "install a newer padiff to read it"
        )
    if type(found) is not int or found != FORMAT:
        raise FormatError(f"expected a store of format {FORMAT} at {where}, found {found!r:.40}")


def header_to_json(header: SectionHeader) -> bytes:
    """The attribute of a section's group as JSON text, its digest included."""
    data: Json = {
        "section": header.section,
        "model": header.model,
        "framework": header.framework,
        "framework_version": header.framework_version,
        "created": header.created,
        "layer_map": list(header.layer_map),
        **{key: getattr(header, key) for key in _OPTIONAL if getattr(header, key) is not None},
        "tree": header.tree.to_json(),
    }
    return _sealed(_text_of(data))


def _text_of(values: Json) -> bytes:
    return dumps(values).encode(errors="surrogatepass")


def _sealed(text: bytes) -> bytes:
    """The text of a header with its digest as the last key."""
    return text[:-1] + _seal(digest(text))


def _seal(found: str) -> bytes:
    return f',"digest":"{found}"}}'.encode()


def header_text(values: object) -> bytes:
    """The text that an attribute with a digest was written as, from its values; else empty."""
    if not isinstance(values, dict) or "digest" not in values:
        return b""
    ordered = dict(values)
    ordered["digest"] = ordered.pop("digest")
    return _text_of(ordered)


def is_sealed(text: bytes) -> bool:
    """Whether a header's text ends with the digest of all before it."""
    found = running_digest()
    with memoryview(text) as whole:  # a copy would take longer than to digest it
        found.update(whole[:_BEFORE_SEAL])
    found.update(b"}")
    return text[_BEFORE_SEAL:] == _seal(found.hexdigest())


@dataclass(frozen=True, slots=True)
class _Document:
    """A header as it stands in JSON, but for the digest."""

    section: SectionName
    model: str
    framework: str
    framework_version: str
    created: str
    layer_map: tuple[str, ...]
    tree: tuple[Node, ...]
    run: str | None = None
    backward: bool | None = None
    updated: bool | None = None
    converted: str | None = None
    tensors: Literal["statistics"] | None = None
    environment: Environment | None = None


def header_from_json(text: bytes, where: str) -> SectionHeader:
    """Read back what `header_to_json` gave; `where` names the section in errors."""
    if not is_sealed(text):
        raise CorruptError(
            f"expected the tree of {where} to have the digest its header gives, found another: "
            "it was changed after it was written, so dump it again"
        )
    found = decode(text, _Document, f"the attribute {ATTRIBUTE!r} of {where}")
    return SectionHeader(
        section=found.section,
        model=found.model,
        framework=found.framework,
        framework_version=found.framework_version,
        created=found.created,
        layer_map=found.layer_map,
        tree=LayerTree.checked(found.tree, where),
        run=found.run,
        backward=found.backward,
        updated=found.updated,
        converted=found.converted,
        tensors=found.tensors,
        environment=found.environment,
    )
