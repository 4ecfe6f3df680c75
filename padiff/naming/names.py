"""The pairs of tensors that a user named: by a pattern that renames those of raw, or by a table."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from padiff.errors import UsageError
from padiff.naming.layout import SAME, NamedLayout
from padiff.naming.likeness import route_of
from padiff.naming.table import NamedPair, read_table

__all__ = ["Names", "names_of"]


@dataclass(frozen=True, slots=True)
class Names:
    """What was asked for: substitutions by regular expressions, and the rows of a table's file."""

    patterns: tuple[tuple[re.Pattern[str], str], ...] = ()
    rows: tuple[NamedPair, ...] = ()
    table: str = ""

    def renamed(self, name: str) -> str:
        """A name of raw as base would have it, each pattern after the one before."""
        for pattern, replacement in self.patterns:
            try:
                name = pattern.sub(replacement, name)
            except (re.error, IndexError) as error:  # of a group that the pattern does not have
                raise UsageError(
                    f"expected --rename {pattern.pattern!r:.80} with what can take its place, got "
                    f"{replacement!r:.80}: {error}"
                ) from None
        return name

    def pairs(self, base: Iterable[str], raw: Iterable[str]) -> list[tuple[str, str, NamedLayout]]:
        """The pairs of names, of those that both sides have; the table's come first."""
        ours, theirs = dict.fromkeys(base), dict.fromkeys(raw)
        found = [
            (row.base, row.raw, row.layout)
            for row in self.rows
            if row.base in ours and row.raw in theirs
            if row.base is not None and row.raw is not None
        ]
        taken = {name for _, name, _ in found}
        given: dict[str, str] = {}
        for name in theirs if self.patterns else ():
            renamed = self.renamed(name)
            if renamed in given:
                raise UsageError(
                    f"expected --rename to leave each name of raw its own, got {renamed:.80} for "
                    f"{given[renamed]:.80} and {name:.80}: patterns apply one after the other"
                )
            given[renamed] = name
            if name not in taken and renamed != name and renamed in ours:
                found.append((renamed, name, SAME))
        return found

    def lone(self, base: Iterable[str], raw: Iterable[str]) -> tuple[set[str], set[str]]:
        """The names of each side that a row says to have no partner, and that have none."""
        base, raw = list(base), list(raw)
        pairs = self.pairs(base, raw)
        ours = {row.base for row in self.rows if row.base is not None and row.raw is None}
        theirs = {row.raw for row in self.rows if row.raw is not None and row.base is None}
        return ours - {a for a, _, _ in pairs}, theirs - {b for _, b, _ in pairs}

    def layers(self, base: Iterable[str], raw: Iterable[str]) -> list[tuple[str, str]]:
        """The pairs of layers by their routes: those named, and those of tensors that were."""
        ours, theirs = set(base), set(raw)
        found = [(a, b) for a, b, _ in self.pairs(ours, theirs)]
        for row in self.rows:
            if row.base is not None and row.raw is not None and row.layout.whole is None:
                found.append((route_of(row.base), route_of(row.raw)))
        return [(a, b) for a, b in found if a in ours and b in theirs]

    def apart(self) -> set[tuple[str, str]]:
        """The routes of layers that are no pair: of one several on the other side are a part."""
        parts: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        for row in self.rows:
            if row.base is not None and row.raw is not None and row.layout.whole is not None:
                pair = route_of(row.base), route_of(row.raw)
                parts[row.layout.whole, pair[row.layout.whole == "raw"]].add(pair)
        return {pair for pairs in parts.values() if len(pairs) > 1 for pair in pairs}

    def check(self, base: Sequence[str], raw: Sequence[str]) -> None:
        """UsageError for a pattern that fits no name of raw, or rows whose names are not there.

        `base` and `raw` are all names of the two locations, of layers and of parameters.
        """
        for pattern, _ in self.patterns:
            if not any(pattern.search(name) for name in raw):
                raise UsageError(
                    f"expected --rename {pattern.pattern!r:.80} to fit a name of raw, found none: "
                    f"it has {', '.join(raw[:3])}{', ...' if len(raw) > 3 else ''}"
                )
        ours, theirs = set(base), set(raw)
        if self._found_in(theirs, ours) > self._found_in(ours, theirs):
            raise UsageError(
                f"expected the column base of {self.table} to name tensors of base, and raw those "
                "of raw, found them the other way round: swap the two locations, or base and raw "
                "in the table"
            )
        for row in self.rows:
            for side, names, name in (("base", ours, row.base), ("raw", theirs, row.raw)):
                if name is not None and name not in names:
                    near = get_close_matches(name, names, 2)
                    hint = f": is it {' or '.join(near)}?" if near else ""
                    raise UsageError(
                        f"expected names of {side} in line {row.line} of {self.table}, found "
                        f"{name:.120}, which it does not have{hint}"
                    )

    def _found_in(self, base: Set[str], raw: Set[str]) -> int:
        """How many names of the table there are, if these are the sides."""
        return sum((row.base in base) + (row.raw in raw) for row in self.rows)


def names_of(rename: Sequence[str] | str, table: str | Path | None) -> Names:
    """What `REGEX=REPLACEMENT` texts and the file of a table ask for.

    Raises UsageError for a text that is none, and what `read_table` raises.
    """
    texts = [rename] if isinstance(rename, str) else list(rename)
    rows = () if table is None else tuple(read_table(table))
    return Names(tuple(map(_substitution, texts)), rows, "" if table is None else str(table))


def _substitution(text: str) -> tuple[re.Pattern[str], str]:
    pattern, found, replacement = text.rpartition("=")
    if not found or not pattern:
        raise UsageError(
            "expected REGEX=REPLACEMENT to rename layers of raw, such as '^module\\.=', got "
            f"{text!r}"
        )
    try:
        return re.compile(pattern), replacement
    except re.error as error:
        raise UsageError(
            f"expected a regular expression and what to put in place of it, got {text!r}: {error}"
        ) from None
