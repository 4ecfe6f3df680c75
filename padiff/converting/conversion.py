"""What was converted: the outcome of a conversion."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Conversion"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What lies at `location` by now; `bytes` are those of its tensors, decoded.

    `tied` tells the names that a safetensors file has for tensors which it holds under another.
    `unfinished` are sections of the source that were begun only, and `left_out` names of what it
    held besides, such as numbers, texts and tensors that padiff does not read, each with the
    reason: neither is there.
    """

    location: str
    sections: int
    arrays: int
    bytes: int
    tied: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
