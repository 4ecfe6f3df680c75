"""How the elements of one side lie in the other: axes in another order, or a part of a tensor."""

import re
from dataclasses import dataclass
from typing import Literal

from padiff.errors import FormatError
from padiff.layouts import Part

__all__ = ["SAME", "NamedLayout", "parse_layout"]

SideName = Literal["base", "raw"]

_TRANSPOSED = (1, 0)
_AXES = re.compile(r"axes((?: \d)+)")
_PART = re.compile(r"(base|raw) (\d+)/(\d+)(?: of axis (\d))?")


@dataclass(frozen=True, slots=True)
class NamedLayout:
    """What must be done to both tensors before they are compared, in the order of the fields.

    Of the side `whole`, part `share[0]` of `share[1]` equal ones along the axis `along` is taken,
    counted from 0. Then the axes of raw are put in the order `axes`; () leaves them as they are.
    """

    whole: SideName | None = None
    share: tuple[int, int] = (0, 1)
    along: int = 0
    axes: tuple[int, ...] = ()

    def __str__(self) -> str:
        """As a table of names has it, where parts are counted from 1."""
        words = []
        if self.whole is not None:
            of_axis = f" of axis {self.along}" if self.along else ""
            words.append(f"{self.whole} {self.share[0] + 1}/{self.share[1]}{of_axis}")
        if self.axes == _TRANSPOSED:
            words.append("transposed")
        elif self.axes:
            words.append(f"axes {' '.join(map(str, self.axes))}")
        return ", ".join(words)

    def part(self, side: SideName, place: str) -> Part:
        """What is taken of one side's tensor, called `place`."""
        share = self.share if self.whole == side else None
        axes = self.axes if side == "raw" else ()
        return Part(place, "", "", axes=axes, share=share, along=self.along)


SAME = NamedLayout()


def parse_layout(text: str) -> NamedLayout:
    """What a table says; FormatError, without the place, where it says nothing that is known."""
    found = SAME
    for words in filter(None, (part.strip() for part in text.split(","))):
        axes, part = _AXES.fullmatch(words), _PART.fullmatch(words)
        if words == "transposed":
            found = NamedLayout(found.whole, found.share, found.along, _TRANSPOSED)
        elif axes:
            order = tuple(map(int, axes[1].split()))
            found = NamedLayout(found.whole, found.share, found.along, order)
        elif part and 1 <= int(part[2]) <= int(part[3]):
            share = int(part[2]) - 1, int(part[3])
            whole: SideName = "base" if part[1] == "base" else "raw"
            found = NamedLayout(whole, share, int(part[4] or 0), found.axes)
        else:
            raise FormatError(f"'transposed', 'axes 1 0' or 'base 1/3', found {words!r:.40}")
    if found.axes and sorted(found.axes) != list(range(len(found.axes))):
        raise FormatError(f"each axis once, found {found.axes}")
    return found
