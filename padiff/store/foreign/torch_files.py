"""What `torch.save` writes: a state dict, or a checkpoint that has some, elements in place."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from padiff.dtypes import DType
from padiff.errors import CorruptError, FormatError, PadiffError
from padiff.jsonio import LONGEST
from padiff.store.foreign.contents import Contents, Entry, put
from padiff.store.foreign.elements import torch_element
from padiff.store.foreign.machine import Object, as_text
from padiff.store.foreign.pickles import read_pickle
from padiff.store.foreign.values import named_values, outermost, sizes_of
from padiff.store.foreign.zips import Checksum, Member, check_once, members_of
from padiff.store.raw import OpenFile, RawArray, RawFile, strides_of

__all__ = ["LEGACY", "NAMES", "is_torch_zip", "read_legacy", "read_torch", "tensor_in_zip"]

KIND = "a file of torch"
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of torch's magic number
NAMES = (
    *("numpy.core.multiarray.", "numpy._core.multiarray.", "numpy.dtype", "numpy.ndarray"),
    "_codecs.encode",
    *("torch.Size", "torch.device", "torch.Tensor", "torch.nn.parameter.Parameter"),
    "torch._utils.",
    "torch._tensor._rebuild_from_type_v2",
    *("torch.serialization._get_layout", "torch.storage.UntypedStorage"),
    *(f"torch.{name}Storage" for name in ("Float", "Double", "Half", "BFloat16", "Long", "Int")),
    *(f"torch.{name}Storage" for name in ("Short", "Char", "Byte", "Bool")),
    *(f"torch.{name}Storage" for name in ("ComplexFloat", "ComplexDouble", "QInt8", "QUInt8")),
    *(f"torch.{name}" for name in ("bool", "bfloat16", "complex64", "complex128")),
    *(f"torch.{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"torch.float{bits}" for bits in (16, 32, 64)),
    *(f"torch.float8_{kind}" for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")),
)
_REBUILD = "torch._utils._rebuild_"
_FROM_PARAMETER = (f"{_REBUILD}parameter", f"{_REBUILD}parameter_with_state")
_TENSORS = {f"{_REBUILD}tensor", f"{_REBUILD}tensor_v2", f"{_REBUILD}tensor_v3"}


class _Storage(NamedTuple):
    """Where elements lie: the file, the first byte, how many there are, and what checks these."""

    file: RawFile
    start: int
    size: int
    check: Callable[[], None] | None = None


def is_torch_zip(members: Mapping[str, Member]) -> bool:
    """Whether a zip file is one of torch, by the names in it."""
    return any(name.endswith("/data.pkl") or name == "data.pkl" for name in members)


def read_torch(file: OpenFile, members: Mapping[str, Member]) -> Contents:
    """The tensors of a file that torch has written, which is a zip file since version 1.6."""
    where = str(file.path)
    return _contents(*_in_zip(file, members, where), where)


def tensor_in_zip(file: RawFile, start: int, size: int, where: str) -> Entry:
    """The one tensor that a part of a file holds, itself such a zip file."""
    value, storages, swapped = _in_zip(file, members_of(file, start, size), where)
    return _entry(value, storages, where, swapped=swapped)


def _in_zip(
    file: RawFile, members: Mapping[str, Member], where: str
) -> tuple[Any, Mapping[str, _Storage], bool]:
    check_once(file, members)
    found = next((name for name in members if name.endswith("data.pkl")), None)
    if found is None or any(member.packed for member in members.values()):
        raise CorruptError(
            f"expected {where} as torch writes it, found packed members or no data.pkl: "
            "save it again"
        )
    top = found.removesuffix("data.pkl")
    text = members[found]
    Checksum(file, found, text)()
    value, _ = read_pickle(file.part(text.offset, text.size), 0, NAMES, where)
    begin = f"{top}data/"
    storages = {
        name.removeprefix(begin): _Storage(
            file, member.offset, member.size, Checksum(file, name, member)
        )
        for name, member in members.items()
        if name.startswith(begin)
    }
    order = members.get(f"{top}byteorder")
    big = order is not None and bytes(file.part(order.offset, order.size)) == b"big"
    return value, storages, big


def read_legacy(path: Path) -> Contents:
    """The tensors of a file that torch wrote before version 1.6: pickles, then the elements."""
    file, where = OpenFile(path), str(path)
    data = file.part(0, file.size)
    at, values, told = 0, [], list[Any]()
    for _ in range(5):  # magic number, version, system, state dict, keys of the storages
        value, at = read_pickle(data, at, NAMES, where, told)
        values.append(value)
    system, state, keys = values[2:]
    sizes = _sizes_of_storages(told)
    storages: dict[str, _Storage] = {}
    if not isinstance(keys, list):
        raise CorruptError(f"expected the keys of storages in {where}, found none: save it again")
    for key in keys:
        count = int.from_bytes(file.part(at, 8), "little")
        size = count * sizes.get(str(key), 1)
        if at + 8 + size > file.size:
            raise CorruptError(
                f"expected {size} bytes of a storage in {where}, found the end of the file before: "
                "it was cut short or changed, so save it again"
            )
        storages[str(key)] = _Storage(file, at + 8, size)
        at += 8 + size
    big = isinstance(system, dict) and system.get("little_endian") is False
    return _contents(state, storages, big, where)


def _sizes_of_storages(told: Sequence[Any]) -> dict[str, int]:
    """Bytes of an element of each storage, from what pickles tell of them, whatever has them."""
    found: dict[str, int] = {}
    for storage in told:
        try:
            _, kind, key, *_ = storage
            found[str(key)] = torch_element(as_text(kind)).itemsize
        except (TypeError, ValueError, PadiffError):
            continue  # which is found again
    return found


def _contents(state: Any, storages: Mapping[str, _Storage], swapped: bool, where: str) -> Contents:
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    others: list[str] = []
    for name, value in named_values(state, _is_tensor, others):
        try:
            entry = _entry(value, storages, f"{where}/{name}", swapped=swapped)
            put(entries, name, entry, where)
        except CorruptError:
            raise
        except FormatError as error:
            refused[name] = str(error)
    return Contents(KIND, "torch", entries, refused, outermost(others, [*entries, *refused]))


def _is_tensor(value: object) -> bool:
    return isinstance(value, Object) and value.kind.startswith(("torch._utils.", "torch._tensor."))


def _tensor(value: Object) -> Object:
    """The tensor itself, of a parameter or of a class of tensors."""
    for _ in range(8):
        if value.kind in _FROM_PARAMETER:
            value = value.args[0]
        elif value.kind.endswith("_rebuild_from_type_v2"):
            made, _, args, *_ = value.args
            value = Object(as_text(made), args)
        else:
            return value
    raise TypeError("a tensor in too many others")


def _entry(value: Any, storages: Mapping[str, _Storage], where: str, *, swapped: bool) -> Entry:
    try:
        tensor = _tensor(value)
        if tensor.kind not in _TENSORS:
            kind = tensor.kind.removeprefix(_REBUILD)
            raise FormatError(f"it is no plain tensor ({kind:.40}), which padiff does not compare")
        storage, first, shape, strides, *rest = tensor.args
        _, kind, key, *_ = storage.args[0]
        if tensor.kind.endswith("_v3"):
            kind = rest[2]
        return _in_storage(
            storages,
            str(key),
            _element(as_text(kind)),
            first,
            sizes_of(shape),
            sizes_of(strides),
            where,
            swapped=swapped,
        )
    except PadiffError:
        raise
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise CorruptError(
            f"expected a tensor as torch saves it at {where}, found something else ({error}): "
            "save it again"
        ) from None


def _element(name: str) -> DType:
    try:
        return torch_element(name)
    except FormatError:
        raise FormatError(f"its elements are {name:.40}, which padiff does not compare") from None


def _in_storage(
    storages: Mapping[str, _Storage],
    key: str,
    element: DType,
    first: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    where: str,
    *,
    swapped: bool,
) -> Entry:
    if len(shape) != len(strides) or type(first) is not int or not 0 <= first <= LONGEST:
        raise ValueError("a shape without strides")
    size = element.itemsize
    count: int = prod(shape)
    last: int = first + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    storage = storages.get(key)
    held = storage.size if storage else 0
    if storage is None or (count and (last + 1) * size > held):
        raise CorruptError(
            f"expected {count} elements of {element.name} at {where}, found a storage of "
            f"{held} bytes: it was cut short or changed, so save it again"
        )
    steps = tuple(step * size if n > 1 else size for n, step in zip(shape, strides, strict=True))
    offset = storage.start + first * size
    if not count:  # nor are there places for elements
        steps, offset = strides_of(shape, size), storage.start
    file, check = storage.file, storage.check
    return Entry(
        shape,
        element,
        lambda: RawArray(file, where, shape, element, offset, steps, swapped=swapped, check=check),
    )
