"""What was converted: the outcome of a conversion."""

from dataclasses import dataclass

__all__ = ["Conversion"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What lies at `location` by now; `bytes` are those of its tensors, decoded.

    `tied` tells the names that a safetensors file has for tensors which it holds under another.
    `unfinished` are sections of the source that were begun only, and `left_out` what it told of and
    did not hold, by name and with the reason: neither is there.
    """

    location: str
    sections: int
    arrays: int
    bytes: int
    tied: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
