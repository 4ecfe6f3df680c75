"""Short texts that every rendering of a comparison shares; nothing a store holds comes out raw."""

from collections.abc import Sequence

from padiff.comparing.comparison import Record, Side, Source, Unmatched
from padiff.inspecting.inspection import Nonfinite, SectionSummary
from padiff.render.lines import cells, shorten
from padiff.render.printable import clean
from padiff.store.format import SectionName
from padiff.tree import GRADIENTS, Phase

__all__ = [
    "byte_size",
    "clean",
    "exact_number",
    "layer_name",
    "name_of",
    "named",
    "number",
    "ranges",
    "shape_of",
    "source_words",
    "stage",
    "tensor_name",
    "when",
    "with_class",
]

_PLACE = 16  # cells of a location, at least
_LONGEST = 2000  # of a name in a store, before it is shortened


def source_words(source: Source, width: int = 10**4) -> str:
    """The model of one side, what made it and where it lies, shortened to about `width` cells."""
    framework = f"{clean(source.framework, 20)} {clean(source.framework_version, 20)}".strip()
    made = filter(None, (named(source.model, 32), framework, clean(source.foreign or "", 60)))
    words = f"{', '.join(made)}, "
    return words + shorten(clean(source.location), max(_PLACE, width - cells(words)))


def named(name: str, width: int) -> str:
    """A name of a store; of a long one both ends, which tell it from others."""
    return shorten(clean(name, _LONGEST), width)


def with_class(name: str, kind: str) -> str:
    """What is called `name`, and of which class, as far as that is known."""
    kind = named(kind, 40)
    return f"{name} ({kind})" if name and kind else name or kind


def number(value: float | int | complex | None) -> str:
    """Three significant digits; whole numbers and complex ones in full."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:.6g}" if isinstance(value, complex) else f"{value}"


def exact_number(value: float | int | complex | None) -> str:
    """Enough digits to tell neighbours apart."""
    return f"{value:.9g}" if isinstance(value, float) else number(value)


def shape_of(side: Side) -> str:
    """Like `float32 [2, 3]`; empty when the side has no tensor."""
    if side.shape is None:
        return ""
    return f"{clean(side.dtype or '')} {list(side.shape)}"


def stage(record: Record) -> str:
    """Which part of a training step the record belongs to."""
    gradient = record.phase in GRADIENTS
    if record.phase == "loss":
        return "Loss"
    if record.section == "report":
        if record.phase == "input" and record.base.route == "":
            return "Model inputs"
        return "Backward stage" if gradient else "Forward stage"
    if record.buffer == "updated":
        return "Buffers"
    if gradient:
        return "Gradients"
    # of what another tool wrote nothing is known but that it is weights
    updated = record.section == "weights" and not record.foreign
    return "Updated weights" if updated else "Weights"


def tensor_name(record: Record) -> str:
    """What of a layer it is: `output 0`, `parameter weight`, `gradient of input x`."""
    place = record.base.tensor or record.raw.tensor or ""
    return name_of(record.section, record.phase, place, buffer=record.buffer is not None)


def name_of(section: SectionName, phase: Phase | None, place: str, *, buffer: bool) -> str:
    """The same of a tensor that stands at a place of a layer in a section."""
    place = named(place, 40)
    if section != "report":
        if phase == "backward":
            return f"gradient of {place}"
        return f"{'buffer' if buffer else 'parameter'} {place}"
    match phase:
        case "loss":
            return f"loss {place}"
        case "input" | "forward":
            return f"{'input' if phase == 'input' else 'output'} {place}".rstrip()
        case _:
            kind = "input" if phase == "backward" else "output"
            return f"gradient of {kind} {place}"


def when(item: Record | Unmatched | SectionSummary | Nonfinite) -> str:
    """Step and rank, as far as there are any: `step 3, rank 0`."""
    named = (("step", item.step), ("rank", item.rank))
    return ", ".join(f"{kind} {value}" for kind, value in named if value is not None)


def layer_name(side: Side) -> str:
    """The route, and which call of it if not the first."""
    if side.route is None:
        return "(no such layer)"
    text = named(side.route, 60) or "the model itself"
    return f"{text} (call {side.call})" if side.call else text


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in order, those that follow each other as one range: `0-3, 5`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ", ".join("-".join(map(str, each)) for each in ranges)


def byte_size(count: int) -> str:
    """Bytes in the unit that leaves few digits."""
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    if units[0] == "bytes":
        return f"{count} byte{'' if count == 1 else 's'}"
    return f"{size:.3g} {units[0]}" if size < 999.5 else f"{size:.0f} {units[0]}"
