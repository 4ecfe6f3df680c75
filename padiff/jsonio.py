"""JSON as padiff writes and trusts it: numbers that JSON lacks are strings, types are checked."""

import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from padiff.errors import CorruptError, FormatError

__all__ = [
    "LONGEST",
    "MOST_AXES",
    "NAMED_NUMBERS",
    "Json",
    "Reader",
    "decode",
    "dumps",
    "finite_or_name",
    "loads",
]

Json = dict[str, Any]
S = TypeVar("S", bound=str)
T = TypeVar("T")

# NumPy can take no longer axis, nor more of them.
LONGEST = 2**63 - 1
MOST_AXES = 64
NAMED_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def finite_or_name(value: float | None) -> float | str | None:
    """`value` itself, or the string that stands for a number JSON has no word for."""
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


# Made once: to make an encoder takes longer than to encode a small object.
_COMPACT = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_INDENTED = json.JSONEncoder(allow_nan=False, ensure_ascii=False, indent=1)


def dumps(value: object, *, indented: bool = False) -> str:
    """Strict JSON text; a number that JSON lacks is the string that names it.

    Indented text may be printed: what steers a terminal is escaped in it.
    """
    encoder = _INDENTED if indented else _COMPACT
    try:
        text = encoder.encode(value)
    except ValueError:  # rare, and to look for them first would take as long as to encode
        text = encoder.encode(_named(value))
    return _printable(text) if indented else text


def _printable(text: str) -> str:
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in text
    )


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_named(part) for part in value]
    return finite_or_name(value) if isinstance(value, float) else value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def loads(text: str | bytes, where: str) -> Json:
    """The JSON object in `text`; CorruptError naming `where` where it is cut short or changed.

    FormatError when it is another JSON value.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CorruptError(
            f"expected a JSON object in {where}, found text that is not: {reason}"
        ) from None
    if not isinstance(value, dict):
        raise FormatError(f"expected a JSON object in {where}, found {type(value).__name__}")
    return value


def decode(text: bytes, kind: type[T], where: str, words: str = "what format 1 asks for") -> T:
    """What JSON text from a file holds, as a `kind` of annotated dataclasses.

    FormatError names the first thing that is not as annotated; `words` say what was expected. Keys
    without a field are ignored.
    """
    try:
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.ValidationError:
            raise
        # no JSON; or half a character of UTF-16, which it does not take and names may hold
        except (msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.convert(loads(text, where), kind)
    except (msgspec.ValidationError, OverflowError, RecursionError, UnicodeError) as error:
        raise FormatError(f"expected {words} in {where}, found {error}") from None


class Reader:
    """Typed look-ups in a JSON object that came from a file, so may hold anything.

    `where` names the object in messages. JSON makes plain types alone, so they are asked for as
    such. Each method raises FormatError when the key is absent or of another type.
    """

    __slots__ = ("values", "where")

    def __init__(self, data: object, where: str) -> None:
        if type(data) is not dict:
            raise FormatError(f"expected an object in {where}, found {type(data).__name__}")
        self.values = data
        self.where = where

    def _refuse(self, key: str, words: str) -> FormatError:
        found = type(self.values[key]).__name__ if key in self.values else "nothing"
        return FormatError(f"expected {words} under {key!r} in {self.where}, found {found}")

    def string(self, key: str) -> str:
        value = self.values.get(key)
        if type(value) is str:
            return value
        raise self._refuse(key, "a string")

    def choice(self, key: str, words: Sequence[S]) -> S:
        """One of a few strings."""
        value = self.values.get(key)
        for word in words:
            if word == value:
                return word
        raise FormatError(
            f"expected one of {', '.join(words)} under {key!r} in {self.where}, found {value!r:.40}"
        )

    def items(self, key: str) -> Sequence[Any]:
        value = self.values.get(key)
        if type(value) is list:
            return value
        raise self._refuse(key, "a list")

    def strings(self, key: str) -> tuple[str, ...]:
        values = self.items(key)
        for value in values:
            if type(value) is not str:
                raise self._refuse(key, "strings")
        return tuple(values)

    def flag(self, key: str) -> bool | None:
        """True or False; None where the key is absent or null."""
        value = self.values.get(key)
        if value is None or type(value) is bool:
            return value
        raise self._refuse(key, "true or false")

    def shape(self, key: str) -> tuple[int, ...]:
        """Sizes that NumPy can take: more axes, or longer ones, no array has."""
        values = self.items(key)
        for value in values:
            if type(value) is not int or not 0 <= value <= LONGEST:
                raise FormatError(
                    f"expected sizes from 0 to {LONGEST} under {key!r} in {self.where}, "
                    f"found {value!r:.40}"
                )
        if len(values) > MOST_AXES:
            raise FormatError(
                f"expected at most {MOST_AXES} sizes under {key!r} in {self.where}, "
                f"found {len(values)}"
            )
        return tuple(values)

    def object(self, key: str) -> "Reader":
        return Reader(self.values.get(key), f"{key!r} of {self.where}")

    def has(self, key: str) -> bool:
        """Whether `key` is there and not null."""
        return self.values.get(key) is not None
