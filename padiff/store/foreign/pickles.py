"""What a pickle says, read without running any of it.

A pickle is a program that calls what it names. Here nothing is called: a call is an `Object` with
the name and the arguments, and long texts of bytes are places in the file. What an object of a name
that is not expected would do is not guessed at: such a pickle is refused.
"""

import struct
from collections.abc import Callable, Collection, Mapping
from typing import Any

from padiff.errors import CorruptError, PadiffError
from padiff.store.foreign.machine import MARK, Machine

__all__ = ["read_pickle"]


def read_pickle(
    data: memoryview,
    start: int,
    allowed: Collection[str],
    where: str,
    persistent: list[Any] | None = None,
) -> tuple[Any, int]:
    """The value of the pickle that begins at `start`, and where it ends.

    `allowed` are the dotted names that it may have beside those of `inert.py`; one that ends in `.`
    stands for all below. What it tells of all that lies elsewhere is added to `persistent`.
    Raises FormatError for another name, CorruptError where it is no pickle.
    """
    machine = Machine(data, start, allowed, where)
    try:
        value = machine.run(_OPERATIONS)
        if persistent is not None:
            persistent += machine.persistent
        return value, machine.at
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


def _decimal(text: str) -> int:
    return int(text.removesuffix("L"))


def _refused(machine: Machine) -> None:
    raise ValueError("an operation that no state dict has")


# What each operation does, by its code; the names are those of Python's `pickletools`.
_KNOWN: Mapping[bytes, Callable[[Machine], None]] = {
    b"\x80": lambda m: m.skip(1),  # PROTO
    b"\x95": lambda m: m.skip(8),  # FRAME
    b"(": lambda m: m.push(MARK),
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
    b"Q": lambda m: m.make_persistent(m.pop()),
    b"P": lambda m: m.make_persistent(m.line()),
}
_OPERATIONS = [_KNOWN.get(bytes([code]), _refused) for code in range(256)]
