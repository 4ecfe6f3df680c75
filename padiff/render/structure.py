"""What two trees differ in, for the terminal: the answer first, each kind of difference in turn."""

from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap

from padiff.comparing.comparison import Side
from padiff.comparing.structure import Difference, DifferenceKind, TreeDifference
from padiff.render.words import clean, name_of, ranges, source_words

__all__ = ["render"]

_WIDTH = 80
_GROUPS = 6  # lines for one kind of difference
_NAMED = 3  # layers in a line

_TITLES: dict[DifferenceKind, tuple[str, str]] = {  # those first that are most often the cause
    "setting": ("setting", "Settings that differ"),
    "class": ("class", "Classes that differ"),
    "layer": ("layer on one side only", "Layers of one side"),
    "shape": ("shape", "Shapes that differ"),
    "dtype": ("dtype", "Element types that differ"),
    "tensor": ("tensor on one side only", "Tensors of one side"),
    "order": ("layer in another order", "Layers that ran in another order"),
    "section": ("section on one side only", "Sections of one side"),
}
_PLURALS = {"class": "classes", "layer": "layers", "tensor": "tensors", "section": "sections"}

_VALUES: dict[DifferenceKind, Callable[[Side], str]] = {  # what a side is said to be
    "class": lambda side: clean(side.class_name or "", 40),
    "shape": lambda side: str(list(side.shape or ())),
    "dtype": lambda side: clean(side.dtype or "", 40),
}


def render(difference: TreeDifference) -> str:
    """The whole of it as text, about a screen, safe to print whatever the stores hold."""
    lines = _wrapped(_verdict(difference), "", "  ")
    for name, source in (("base", difference.base), ("raw", difference.raw)):
        lines.append(f"  {name:<4}  {source_words(source)}")
    for kind, (_, title) in _TITLES.items():
        items = [item for item in difference.differences if item.kind == kind and item.counts]
        lines += _listed(difference, title, items)
    others = [item for item in difference.differences if not item.counts]
    lines += _listed(difference, "Not counted, as it is no part of a structure", others)
    return "\n".join(lines) + "\n"


def _verdict(difference: TreeDifference) -> str:
    looked_at = (
        f"{_count(difference.layers, 'pair')} of layers and {difference.tensors} of tensors of "
        f"{', '.join(difference.sections) or 'no section'}"
    )
    if difference.dumps > 1:
        looked_at += f" in {difference.dumps} dumps"
    if difference.same:
        held = "classes, settings, shapes, dtypes and order"
        if not difference.has_classes:
            held = "names, shapes and dtypes"
        return f"SAME STRUCTURE: {looked_at} agree in {held}."
    counts = []
    for kind, (word, _) in _TITLES.items():
        count = sum(item.kind == kind and item.counts for item in difference.differences)
        if count:
            first, _, rest = word.partition(" ")
            plural = first if count == 1 else _PLURALS.get(first, f"{first}s")
            counts.append(f"{count} {plural} {rest}".rstrip())
    return f"NOT THE SAME STRUCTURE: {', '.join(counts)}; of {looked_at}."


def _listed(difference: TreeDifference, title: str, items: Sequence[Difference]) -> list[str]:
    """One kind of difference: those that say the same of several layers in one line."""
    groups: dict[str, list[Difference]] = {}
    for item in _outermost(items):
        groups.setdefault(_what(item), []).append(item)
    if not groups:
        return []
    lines = ["", f"{title}:"]
    for what, group in list(groups.items())[:_GROUPS]:
        text = f"{what}{_of_which(group)}{_where(difference, group)}"
        lines += _wrapped(text, "  ", "      ")
    if len(groups) > _GROUPS:
        lines.append(f"  ... and {len(groups) - _GROUPS} more")
    return lines


def _what(item: Difference) -> str:
    """What is said, but for the layer of which."""
    own = item.base if item.base.route is not None else item.raw
    side = f"{item.lone or '':<4}  "
    tensor = name_of(
        item.found[0].section, item.phase, own.tensor or item.raw.tensor or "", buffer=item.buffer
    )
    match item.kind:
        case "section":
            names = dict.fromkeys(place.section for place in item.found)
            return f"{side}all of {', '.join(names)}"
        case "layer":
            kind = clean(own.class_name or "", 40)
            return f"{side}layer of class {kind}" if kind else f"{side}of a class that is not known"
        case "class" | "shape" | "dtype":
            ours, theirs = (_VALUES[item.kind](side) for side in (item.base, item.raw))
            return f"{ours} in base, {theirs} in raw"
        case "setting":
            ours, theirs = (_text(value) for value in item.values)
            return f"{clean(item.name or '', 40)} is {ours} in base and {theirs} in raw"
        case "order":
            ours, theirs = (_after(value) for value in item.values)
            return f"{_layer(item)} ran {ours} in base, {theirs} in raw"
        case "unrecorded":
            return f"{side}{tensor} could not be stored: {clean(item.name or '', 80)}"
        case "tensor":
            return f"{side}{tensor}"


def _of_which(group: Sequence[Difference]) -> str:
    """The layers, or tensors, of which it is said."""
    first = group[0]
    if first.kind in ("section", "order"):
        return ""
    name: Callable[[Difference], str] = _tensor if first.kind in ("shape", "dtype") else _layer
    names = list(dict.fromkeys(map(name, group)))
    what = "tensor" if first.kind in ("shape", "dtype") else "layer"
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f": {listed}" if len(names) == 1 else f": {_count(len(names), what)}, {listed}"


def _where(difference: TreeDifference, group: Sequence[Difference]) -> str:
    """In which steps and ranks, if not in all."""
    dumps = {(place.step, place.rank) for item in group for place in item.found}
    if len(dumps) >= difference.dumps and group[0].kind != "section":
        return ""
    words = []
    for kind, at in (("step", 0), ("rank", 1)):
        numbers = sorted({dump[at] for dump in dumps} - {None})  # type: ignore[type-var]
        if numbers:
            words.append(f"{kind}{'s' if len(numbers) > 1 else ''} {ranges(numbers)}")  # type: ignore[arg-type]
    return f" ({', '.join(words)})" if words else ""


def _outermost(items: Sequence[Difference]) -> Iterator[Difference]:
    """Without the layers inside of others that are listed."""
    lone = {(item.lone, _own(item).route) for item in items if item.kind == "layer"}
    for item in items:
        parts = (_own(item).route or "").split(".")
        above = (".".join(parts[:depth]) for depth in range(1, len(parts)))
        if item.kind != "layer" or not any((item.lone, route) in lone for route in above):
            yield item


def _own(item: Difference) -> Side:
    return item.base if item.base.route is not None else item.raw


def _layer(item: Difference) -> str:
    """A layer by its route, or those of both sides where they are not the same."""
    routes = [side.route for side in (item.base, item.raw) if side.route is not None]
    names = [clean(route, 60) or "the model itself" for route in dict.fromkeys(routes)]
    call = f" (call {_own(item).call})" if _own(item).call else ""
    return f"{' / '.join(names)}{call}"


def _tensor(item: Difference) -> str:
    section = item.found[0].section
    name = name_of(section, item.phase, item.base.tensor or "", buffer=item.buffer)
    return f"{name} of {_layer(item)}"


def _text(value: str | None) -> str:
    return "not there" if value is None else clean(value, 60)


def _after(route: str | None) -> str:
    return "first" if route is None else f"after {clean(route, 60) or 'the model itself'}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
