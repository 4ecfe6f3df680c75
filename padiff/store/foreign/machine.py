"""The stack machine that a pickle is a program of; nothing of what it names is called."""

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple

from padiff.errors import FormatError
from padiff.jsonio import LONGEST
from padiff.store.foreign.inert import INERT, LISTS, MAPPINGS

__all__ = ["MARK", "Machine", "Name", "Object", "Span", "as_text"]

_MOST_OPERATIONS = 50_000_000  # of tensors each takes some forty
# Lists, dicts and the like: a tensor makes ten, from a hundred bytes of the pickle or more. What
# makes each from a byte or two is made to fill memory.
_MOST_MADE = 2**18
_BYTES_EACH = 6
_LONGEST_NUMBER = 2**10  # bytes
_LONGEST_LINE = 2**16
MARK = object()
_STOP = ord(".")
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

    def __repr__(self) -> str:
        """As a key of a dict it is a part of names, which are the same each time."""
        told = (f"{arg!s:.40}" for arg in self.args[:4] if type(arg) in (str, int, float))
        return f"{self.kind}({', '.join(told)})"


def as_text(value: object) -> str:
    """A name or text; TypeError where it is none."""
    if isinstance(value, Name):
        return value.text
    if type(value) is str:
        return value
    raise TypeError(f"expected a name, found {type(value).__name__}")


class Machine:
    """It runs a pickle from byte `start` of `data` on; `allowed` are as in `read_pickle`.

    Raises FormatError for a name that is not allowed, and any of Python's errors for nonsense.
    """

    def __init__(self, data: memoryview, start: int, allowed: Collection[str], where: str) -> None:
        self.at = start
        self._data, self._where = data, where
        self._allowed = INERT.union(allowed)
        self._families = tuple(name for name in self._allowed if name.endswith("."))
        self.persistent: list[Any] = []
        """What lies elsewhere, as the pickle tells of it: of a storage its type and its key."""
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._left = self._most = _MOST_MADE + len(data) // _BYTES_EACH

    def run(self, operations: "Sequence[Callable[[Machine], None]]") -> Any:
        """The value that is left at the end; `operations` are what to do, by their codes."""
        data = self._data
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
        if value is MARK:
            raise ValueError("a mark where a value is needed")
        return value

    def pop_mark(self) -> list[Any]:
        stack = self._stack
        at = len(stack) - 1
        while stack[at] is not MARK:
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
        held = args[0] if args and type(args[0]) is list else []
        if made.text in MAPPINGS:
            self._left -= len(held)  # one list may be given to many
            self.make(dict(_items(held)))
        elif made.text in LISTS:
            self._left -= len(held)
            self.make(held.copy())
        else:
            self.make(Object(made.text, args))

    def make_persistent(self, told: Any) -> None:
        self.persistent.append(told)
        self.make(Object("persistent", (told,)))

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


def _items(pairs: list[Any]) -> list[tuple[Hashable, Any]]:
    return [(_key(key), value) for key, value in pairs]


def _key(key: object) -> Hashable:
    """A key that is safe to hash: of what is nested deeply the interpreter runs out of stack."""
    parts = key if type(key) is tuple else (key,)
    if not all(isinstance(part, _PLAIN) or type(part) in (Object, Name, Span) for part in parts):
        raise TypeError("a key that is none")
    if any(isinstance(part, int) and abs(part) > LONGEST for part in parts):
        raise ValueError("a key of which the hashes may all be one")
    return key
