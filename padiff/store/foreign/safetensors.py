"""`.safetensors`: a JSON header, then the elements one tensor after the other."""

from math import prod
from pathlib import Path

from padiff.dtypes import DType, dtype_named
from padiff.errors import CorruptError, FormatError
from padiff.jsonio import Reader, loads
from padiff.store.foreign.contents import Contents, Entry
from padiff.store.raw import OpenFile, RawArray

__all__ = ["LONGEST", "METADATA", "TYPES", "is_safetensors", "read_safetensors"]

KIND = "a safetensors file"
_LENGTH = 8  # bytes of the header's length
METADATA = "__metadata__"
LONGEST = 2**25  # bytes of a header: of tensors each takes some eighty
TYPES = {
    "BOOL": "bool",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "C64": "complex64",
}
_FRAMEWORKS = {"pt": "torch", "pd": "paddle", "paddle": "paddle"}


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins as one does, by its first nine bytes."""
    length = int.from_bytes(start[:_LENGTH], "little")
    return start[_LENGTH : _LENGTH + 1] == b"{" and 2 <= length <= LONGEST


def read_safetensors(path: Path) -> Contents:
    """The tensors of one file; CorruptError where the header tells of what is not there."""
    file = OpenFile(path)
    length = int.from_bytes(file.part(0, _LENGTH), "little")
    begin = _LENGTH + length
    if length > LONGEST or begin > file.size:
        raise CorruptError(
            f"expected a header of {length} bytes in {path}, found a file of {file.size}: it was "
            "cut short or changed, so make it again"
        )
    where = f"the header of {path}"
    header = loads(bytes(file.part(_LENGTH, length)), where)
    metadata = header.pop(METADATA, {})
    framework = metadata.get("format", "") if isinstance(metadata, dict) else ""
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    end = 0
    for name, start, stop, tensor in sorted(_extents(header, where), key=lambda each: each[1:3]):
        if start != end or stop < start:
            raise _lie(path, f"{name} at the bytes from {start} to {stop}, where {end} is next")
        end = stop
        shape, kind = tensor.shape("shape"), tensor.string("dtype")
        if kind not in TYPES:
            refused[name] = f"its elements are {kind:.20}, which padiff does not compare"
            continue
        element = dtype_named(TYPES[kind])
        if prod(shape) * element.itemsize != stop - start:
            raise _lie(path, f"{stop - start} bytes for {name}, which is {kind}{list(shape)}")
        entries[name] = _entry(file, f"{path}/{name}", shape, element, begin + start)
    if begin + end != file.size:
        raise _lie(path, f"tensors up to byte {begin + end} in a file of {file.size}")
    ordered = {name: entries[name] for name in header if name in entries}
    ordered |= {name: entries[held] for name, held in _tied(metadata, header) if held in entries}
    told = {"format", *ordered}
    others = (METADATA,) if isinstance(metadata, dict) and set(metadata) - told else ()
    return Contents(KIND, _FRAMEWORKS.get(str(framework), ""), ordered, refused, others)


def _tied(metadata: object, header: dict[str, object]) -> list[tuple[str, str]]:
    """The names that stand for tensors of other names, as of parameters that a model shares."""
    found = metadata.items() if isinstance(metadata, dict) else ()
    return [(name, str(held)) for name, held in found if name not in header]


def _extents(header: dict[str, object], where: str) -> list[tuple[str, int, int, Reader]]:
    found = []
    for name, value in header.items():
        tensor = Reader(value, f"{name!r:.80} of {where}")
        offsets = tensor.shape("data_offsets")
        if len(offsets) != 2:
            raise FormatError(f"expected two data_offsets in {tensor.where}, found {len(offsets)}")
        found.append((name, *offsets, tensor))
    return found


def _entry(
    file: OpenFile, where: str, shape: tuple[int, ...], element: DType, offset: int
) -> Entry:
    return Entry(shape, element, lambda: RawArray(file, where, shape, element, offset))


def _lie(path: Path, what: str) -> CorruptError:
    return CorruptError(
        f"expected a header of {path} that tells where its tensors lie, found {what}: it was "
        "changed or cut short, so make it again"
    )
