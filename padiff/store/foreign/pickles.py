"""What a pickle says, read without running any of it.

A pickle is a program that calls what it names. Here nothing is called: a call is an `Object` with
the name and the arguments, and long texts of bytes are places in the file. What an object of a name
that is not expected would do is not guessed at: such a pickle is refused.
"""

import struct
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, NamedTuple

from padiff.errors import CorruptError, FormatError, PadiffError
from padiff.jsonio import LONGEST

__all__ = ["Name", "Object", "Span", "as_text", "read_pickle"]

_MOST_OPERATIONS = 50_000_000  # of tensors each takes some forty
# Lists, dicts and the like: a tensor makes ten, from a hundred bytes of the pickle or more. What
# makes each from a byte or two is made to fill memory.
_MOST_MADE = 2**18
_BYTES_EACH = 6
_LONGEST_NUMBER = 2**10  # bytes
_LONGEST_LINE = 2**16
_MARK = object()
_PLAIN = (str, int, float, bool, bytes, type(None))


class Name(NamedTuple):
    """A class or function by module and name, such as `torch.FloatStorage`."""

    text: str


class Span(NamedTuple):
    """Bytes of the pickle, by where they lie in the buffer that holds it."""

    start: int
    size: int


class Object:
    """What a call would have made; `state` is what it would then have been given."""

    __slots__ = ("args", "kind", "state")

    def __init__(self, kind: str, args: tuple[Any, ...]) -> None:
        self.kind, self.args = kind, args
        self.state: Any = None


def read_pickle(
    data: memoryview, start: int, allowed: Collection[str], where: str
) -> tuple[Any, int]:
    """The value of the pickle that begins at `start`, and where it ends.

    `allowed` are the dotted names that it may have; one that ends in `.` stands for all below.
    Raises FormatError for another name, CorruptError where it is no pickle.
    """
    machine = _Machine(data, start, allowed, where)
    try:
        return machine.run(), machine.at
    except PadiffError:
        raise
    except (
        *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError),
        *(TypeError, ValueError, struct.error),
    ) as error:
        raise CorruptError(
            f"expected a pickle in {where}, found what is none from byte {machine.at} on "
            f"({type(error).__name__}): it was cut short or changed, so make it again"
        ) from None


def as_text(value: object) -> str:
    """A name or text; TypeError where it is none."""
    if isinstance(value, Name):
        return value.text
    if type(value) is str:
        return value
    raise TypeError(f"expected a name, found {type(value).__name__}")


class _Machine:
    """The stack machine that a pickle is a program of."""

    def __init__(self, data: memoryview, start: int, allowed: Collection[str], where: str) -> None:
        self.at = start
        self._data, self._where = data, where
        self._allowed = frozenset(allowed)
        self._families = tuple(name for name in self._allowed if name.endswith("."))
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._left = self._most = _MOST_MADE + len(data) // _BYTES_EACH

    def run(self) -> Any:
        data, operations = self._data, _OPERATIONS
        for _ in range(_MOST_OPERATIONS):
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                (value,) = self._stack
                return value
            operations[code](self)
        raise ValueError("too many operations")

    # reading

    def take(self, size: int) -> bytes:
        found = bytes(self._data[self.at : self.at + size])
        if len(found) < size:
            raise ValueError("the end comes before")
        self.at += size
        return found

    def number(self, size: int, *, signed: bool = False) -> int:
        if size > _LONGEST_NUMBER:
            raise ValueError("a number that is too long")
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> str:
        text, end, _ = bytes(self._data[self.at : self.at + _LONGEST_LINE]).partition(b"\n")
        if not end:
            raise ValueError("a line without an end")
        self.at += len(text) + 1
        return text.decode()

    def span(self, size: int) -> Span:
        if self.at + size > len(self._data):
            raise ValueError("the end comes before")
        found = Span(self.at, size)
        self.at += size
        return found

    # the stack

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def make(self, value: Any) -> None:
        """Push what takes more memory than it does in the pickle."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("more objects than a state dict has")
        self._stack.append(value)

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is needed")
        return value

    def pop_mark(self) -> list[Any]:
        stack = self._stack
        at = len(stack) - 1
        while stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        found = stack[at + 1 :]
        del stack[at:]
        return found

    def top(self) -> Any:
        return self._stack[-1]

    def remember(self, key: int) -> None:
        if len(self._memo) > self._most:
            raise ValueError("more objects than a state dict has")
        self._memo[key] = self.top()

    def memorize(self) -> None:
        self.remember(len(self._memo))

    def recall(self, key: int) -> None:
        self.push(self._memo[key])

    # what is made

    def name(self, module: str, name: str) -> Name:
        text = f"{module}.{name}"
        if text not in self._allowed and not text.startswith(self._families):
            raise FormatError(
                f"expected a pickle of tensors in {self._where}, found one that calls {text:.80}, "
                "which is not run: save the state dict alone, as tensors by name"
            )
        return Name(text)

    def reduce(self) -> None:
        args, made = self.pop(), self.pop()
        if type(made) is not Name or type(args) is not tuple:
            raise TypeError("a call of no name")
        if made.text == "collections.OrderedDict":
            self.make(dict(_items(args[0])) if args else {})
        else:
            self.make(Object(made.text, args))

    def reduce_with_keywords(self) -> None:
        self.pop()
        self.reduce()

    def build(self) -> None:
        state, made = self.pop(), self.top()
        if isinstance(made, Object):
            made.state = state

    def set_items(self, values: list[Any]) -> None:
        held = self.top()
        if type(held) is not dict or len(values) % 2:
            raise TypeError("items of no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            held[_key(key)] = value

    def append(self, values: list[Any]) -> None:
        held = self.top()
        if type(held) is not list:
            raise TypeError("items of no list")
        held.extend(values)

    def make_dict(self) -> None:
        values = self.pop_mark()
        self.make({})
        self.set_items(values)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def make_tuple(self, size: int) -> None:
        self.make(tuple([self.pop() for _ in range(size)][::-1]))

    def name_from_stack(self) -> None:
        name, module = as_text(self.pop()), as_text(self.pop())
        self.push(self.name(module, name))

    def skip(self, size: int) -> None:
        self.span(size)

    def drop(self) -> None:
        self._stack.pop()

    def drop_to_mark(self) -> None:
        self.pop_mark()


def _items(pairs: object) -> list[tuple[Hashable, Any]]:
    if type(pairs) is not list:
        raise TypeError("items of no list")
    return [(_key(key), value) for key, value in pairs]


def _key(key: object) -> Hashable:
    """A key that is safe to hash: of what is nested deeply the interpreter runs out of stack."""
    parts = key if type(key) is tuple else (key,)
    if not all(isinstance(part, _PLAIN) or type(part) in (Object, Name, Span) for part in parts):
        raise TypeError("a key that is none")
    if any(isinstance(part, int) and abs(part) > LONGEST for part in parts):
        raise ValueError("a key of which the hashes may all be one")
    return key


def _decimal(text: str) -> int:
    return int(text.removesuffix("L"))


def _refused(machine: _Machine) -> None:
    raise ValueError("an operation that no state dict has")


_STOP = ord(".")
# What each operation does, by its code; the names are those of Python's `pickletools`.
_KNOWN: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: m.skip(1),  # PROTO
    b"\x95": lambda m: m.skip(8),  # FRAME
    b"(": lambda m: m.push(_MARK),
    b"0": lambda m: m.drop(),
    b"1": lambda m: m.drop_to_mark(),
    b"2": lambda m: m.push(m.top()),  # DUP
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(_decimal(m.line())),
    b"L": lambda m: m.push(_decimal(m.line())),
    b"J": lambda m: m.push(m.number(4, signed=True)),  # BININT
    b"K": lambda m: m.push(m.number(1)),
    b"M": lambda m: m.push(m.number(2)),
    b"\x8a": lambda m: m.push(m.number(m.number(1), signed=True)),  # LONG1
    b"\x8b": lambda m: m.push(m.number(m.number(4), signed=True)),  # LONG4
    b"F": lambda m: m.push(float(m.line())),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"S": lambda m: m.push(m.line()[1:-1]),
    b"T": lambda m: m.push(m.take(m.number(4)).decode("latin1")),  # BINSTRING
    b"U": lambda m: m.push(m.take(m.number(1)).decode("latin1")),
    b"V": lambda m: m.push(m.line()),
    b"X": lambda m: m.push(m.take(m.number(4)).decode(errors="surrogatepass")),  # BINUNICODE
    b"\x8c": lambda m: m.push(m.take(m.number(1)).decode(errors="surrogatepass")),
    b"\x8d": lambda m: m.push(m.take(m.number(8)).decode(errors="surrogatepass")),
    b"B": lambda m: m.make(m.span(m.number(4))),  # BINBYTES
    b"C": lambda m: m.make(m.span(m.number(1))),
    b"\x8e": lambda m: m.make(m.span(m.number(8))),
    b"\x96": lambda m: m.make(m.span(m.number(8))),  # BYTEARRAY8
    b"]": lambda m: m.make([]),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.pop_mark()),
    b"l": lambda m: m.make(m.pop_mark()),  # LIST
    b")": lambda m: m.push(()),
    b"t": lambda m: m.make(tuple(m.pop_mark())),  # TUPLE
    b"\x85": lambda m: m.make_tuple(1),
    b"\x86": lambda m: m.make_tuple(2),
    b"\x87": lambda m: m.make_tuple(3),
    b"}": lambda m: m.make({}),
    b"d": lambda m: m.make_dict(),
    b"s": lambda m: m.set_item(),
    b"u": lambda m: m.set_items(m.pop_mark()),
    b"\x8f": lambda m: m.make([]),  # EMPTY_SET, of which the items are enough
    b"\x90": lambda m: m.append(m.pop_mark()),  # ADDITEMS
    b"\x91": lambda m: m.make(m.pop_mark()),  # FROZENSET
    b"g": lambda m: m.recall(_decimal(m.line())),
    b"h": lambda m: m.recall(m.number(1)),
    b"j": lambda m: m.recall(m.number(4)),
    b"p": lambda m: m.remember(_decimal(m.line())),
    b"q": lambda m: m.remember(m.number(1)),
    b"r": lambda m: m.remember(m.number(4)),
    b"\x94": lambda m: m.memorize(),
    b"c": lambda m: m.push(m.name(m.line(), m.line())),  # GLOBAL
    b"\x93": lambda m: m.name_from_stack(),
    b"R": lambda m: m.reduce(),
    b"\x81": lambda m: m.reduce(),  # NEWOBJ
    b"\x92": lambda m: m.reduce_with_keywords(),  # NEWOBJ_EX
    b"b": lambda m: m.build(),
    b"Q": lambda m: m.make(Object("persistent", (m.pop(),))),
    b"P": lambda m: m.make(Object("persistent", (m.line(),))),
}
_OPERATIONS = [_KNOWN.get(bytes([code]), _refused) for code in range(256)]
