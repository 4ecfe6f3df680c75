"""How the elements of one side lie in the other: axes in another order, or a part of a tensor."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from padiff.errors import FormatError
from padiff.layouts import Part

__all__ = ["SAME", "NamedLayout", "parse_layout", "part_layout"]

SideName = Literal["base", "raw"]

_TRANSPOSED = (1, 0)
_AXES = re.compile(r"axes((?: \d)+)")
_PART = re.compile(r"(base|raw) (\d{1,18})([/:])(\d{1,18})(?: of axis (\d))?")


@dataclass(frozen=True, slots=True)
class NamedLayout:
    """What must be done to both tensors before they are compared, in the order of the fields.

    Of the side `whole`, part `share[0]` of `share[1]` equal ones along the axis `along` is taken,
    counted from 0; or, where the parts are not equal, its `span` from one place up to another. Then
    the axes of raw are put in the order `axes`; () leaves them as they are.
    """

    whole: SideName | None = None
    share: tuple[int, int] = (0, 1)
    along: int = 0
    axes: tuple[int, ...] = ()
    span: tuple[int, int] | None = None

    def __str__(self) -> str:
        """As a table of names has it, where parts are counted from 1."""
        words = []
        if self.whole is not None:
            of_axis = f" of axis {self.along}" if self.along else ""
            words.append(f"{self.whole} {self._taken()}{of_axis}")
        if self.axes == _TRANSPOSED:
            words.append("transposed")
        elif self.axes:
            words.append(f"axes {' '.join(map(str, self.axes))}")
        return ", ".join(words)

    def _taken(self) -> str:
        if self.span is not None:
            return f"{self.span[0]}:{self.span[1]}"
        return f"{self.share[0] + 1}/{self.share[1]}"

    def cuts(self, length: int) -> bool:
        """Whether an axis of that length has such a part."""
        if self.span is not None:
            return self.span[1] <= length
        return length % self.share[1] == 0

    def span_in(self, length: int) -> tuple[int, int]:
        """Where the part begins and ends on an axis of that length."""
        if self.span is not None:
            return self.span
        each = length // self.share[1]
        return self.share[0] * each, (self.share[0] + 1) * each

    def part(self, side: SideName, place: str) -> Part:
        """What is taken of one side's tensor, called `place`."""
        axes = self.axes if side == "raw" else ()
        if self.whole != side:
            return Part(place, "", "", axes=axes)
        share = self.share if self.span is None else None
        return Part(place, "", "", axes=axes, share=share, along=self.along, rows=self.span)


SAME = NamedLayout()


def part_layout(
    side: int,
    spans: Sequence[tuple[int, int]],
    at: int,
    along: int,
    axes: tuple[int, ...] = (),
) -> NamedLayout:
    """One of the parts that a tensor of side 0 or 1 is in, by where each begins and ends."""
    whole: SideName = "raw" if side else "base"
    if len({stop - start for start, stop in spans}) == 1:
        return NamedLayout(whole, (at, len(spans)), along, axes)
    return NamedLayout(whole, along=along, axes=axes, span=spans[at])


def parse_layout(text: str) -> NamedLayout:
    """What a table says; FormatError, without the place, where it says nothing that is known."""
    found = SAME
    for words in filter(None, (part.strip() for part in text.split(","))):
        axes, part = _AXES.fullmatch(words), _PART.fullmatch(words)
        if words == "transposed":
            found = replace(found, axes=_TRANSPOSED)
        elif axes:
            found = replace(found, axes=tuple(map(int, axes[1].split())))
        elif part and (taken := _parse_part(part[2], part[3], part[4])):
            whole: SideName = "base" if part[1] == "base" else "raw"
            found = replace(taken, whole=whole, along=int(part[5] or 0), axes=found.axes)
        else:
            known = "'transposed', 'axes 1 0', 'base 1/3' or 'base 0:32'"
            raise FormatError(f"{known}, found {words!r:.40}")
    if found.axes and sorted(found.axes) != list(range(len(found.axes))):
        raise FormatError(f"each axis once, found {found.axes}")
    return found


def _parse_part(first: str, mark: str, second: str) -> NamedLayout | None:
    """The second of three parts (`2/3`), or a span from one place up to another (`32:40`)."""
    a, b = int(first), int(second)
    if mark == ":":
        return NamedLayout(span=(a, b)) if a < b else None
    return NamedLayout(share=(a - 1, b)) if 1 <= a <= b else None
