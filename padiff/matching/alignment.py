"""Pair two sequences of layers in order: certain pairs first, then the best in the gaps."""

from bisect import bisect_left
from collections.abc import Sequence, Set
from dataclasses import dataclass

from padiff.matching.likeness import Candidate, Scores, kinship, may_be_twins, twins

__all__ = ["Alignment", "align", "all_twins", "longest_increasing"]

_CELLS = 250_000  # a tenth of a second; larger gaps are aligned a window at a time
_WINDOW = 128

Pairs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Index pairs of two lists: those that increase on both sides, and those that cross them."""

    in_order: Pairs
    moved: Pairs


def align(base: Sequence[Candidate], raw: Sequence[Candidate], *, siblings: bool) -> Alignment:
    """The best pairs: twins of one route and call, then by class, shapes and order between them.

    Only of `siblings`, which are all that is below one pair of layers, do names mean the same on
    both sides, and may the order differ.
    """
    numbers = siblings and _numbers_agree(base, raw)
    namesakes = _namesakes(base, raw, numbers) if siblings else []
    # what differs may be another layer that has got the name
    same = [(i, j) for i, j in namesakes if _are_one(base[i], raw[j])]
    if all(i == j for i, j in same) and all_twins(base, raw):
        return Alignment([(at, at) for at in range(len(base))], [])
    anchors = longest_increasing(same)
    kept = set(anchors)
    moved = [pair for pair in same if pair not in kept]
    # a layer whose route says that it runs elsewhere is no partner for what runs here
    left = _others(len(base), {i for i, _ in moved})
    right = _others(len(raw), {j for _, j in moved})
    scores = Scores(numbers)
    pairs: Pairs = []
    begin = (0, 0)
    for end in [*anchors, (len(base), len(raw))]:
        ours = left[bisect_left(left, begin[0]) : bisect_left(left, end[0])]
        theirs = right[bisect_left(right, begin[1]) : bisect_left(right, end[1])]
        gap = _align_gap([base[i] for i in ours], [raw[j] for j in theirs], scores)
        pairs += [(ours[i], theirs[j]) for i, j in gap]
        if end[0] < len(base):
            pairs.append(end)
        begin = (end[0] + 1, end[1] + 1)
    return Alignment(pairs, moved + _left_over(namesakes, pairs + moved))


def _others(length: int, taken: Set[int]) -> list[int]:
    return [at for at in range(length) if at not in taken]


def all_twins(base: Sequence[Candidate], raw: Sequence[Candidate]) -> bool:
    """Whether the lists are one list but for the names, which then tell less than the places."""
    return len(base) == len(raw) and all(
        twins(a.kind, b.kind) for a, b in zip(base, raw, strict=True)
    )


def _numbers_agree(base: Sequence[Candidate], raw: Sequence[Candidate]) -> bool:
    """Whether equal numbers mean equal layers: none was put in or left out, or counted from 1."""
    ours, theirs = ({c.key: c.kind for c in side if c.numbered} for side in (base, raw))
    return ours.keys() == theirs.keys() and all(
        kinship(kind, theirs[key]) is not None for key, kind in ours.items()
    )


def _namesakes(base: Sequence[Candidate], raw: Sequence[Candidate], numbers: bool) -> Pairs:
    """Pairs of one route and call, where that says anything and the classes go together."""
    places = {c.key: j for j, c in enumerate(raw) if numbers or not c.numbered}
    return [
        (i, places[c.key])
        for i, c in enumerate(base)
        if c.key in places and kinship(c.kind, raw[places[c.key]].kind) is not None
    ]


def _are_one(a: Candidate, b: Candidate) -> bool:
    """Whether what is known of two namesakes agrees."""
    return twins(a.kind, b.kind) or (not a.numbered and may_be_twins(a.kind, b.kind))


def _left_over(namesakes: Pairs, pairs: Pairs) -> Pairs:
    """Namesakes of which neither has a partner."""
    taken = {i for i, _ in pairs}, {j for _, j in pairs}
    return [(i, j) for i, j in namesakes if i not in taken[0] and j not in taken[1]]


def longest_increasing(pairs: Sequence[tuple[int, int]]) -> Pairs:
    """The longest subsequence of `pairs`, sorted by the first, that increases in the second."""
    tails: list[int] = []  # the least second number that ends a series of each length
    ends: list[int] = []  # and where in `pairs` it stands
    before: list[int] = []
    for at, (_, second) in enumerate(pairs):
        length = bisect_left(tails, second)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [second]
        ends[length : length + 1] = [at]
    series: Pairs = []
    at = ends[-1] if ends else -1
    while at >= 0:
        series.append(pairs[at])
        at = before[at]
    return series[::-1]


def _align_gap(base: Sequence[Candidate], raw: Sequence[Candidate], scores: Scores) -> Pairs:
    if not base or not raw:
        return []
    if len(base) * len(raw) <= _CELLS:
        return _align_best(scores.rows(base, raw))
    return _align_far(base, raw, scores)


def _align_best(rows: Sequence[Sequence[float]]) -> Pairs:
    """The alignment of the greatest total, by dynamic programming over all prefixes."""
    height, width = len(rows), len(rows[0])
    best = [[0.0] * (width + 1) for _ in range(height + 1)]
    taken = [[False] * width for _ in range(height)]
    # from the end, so that of equal alignments the one that pairs early layers is found
    for i in range(height - 1, -1, -1):
        scores, row, below, chosen = rows[i], best[i], best[i + 1], taken[i]
        if max(scores) <= 0:
            best[i] = below
            continue
        right = 0.0
        for j in range(width - 1, -1, -1):
            if below[j] > right:
                right = below[j]
            rated = scores[j]
            if rated > 0 and rated + below[j + 1] >= right:
                right = rated + below[j + 1]
                chosen[j] = True
            row[j] = right
    pairs: Pairs = []
    i = j = 0
    while i < height and j < width:
        if taken[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _align_far(base: Sequence[Candidate], raw: Sequence[Candidate], scores: Scores) -> Pairs:
    """The best alignment of a window that moves on by half its length: in linear time.

    What one side has more of, at one place, than half a window is not bridged.
    """
    pairs: Pairs = []
    i = j = 0
    while i < len(base) and j < len(raw):
        found = _align_best(scores.rows(base[i : i + _WINDOW], raw[j : j + _WINDOW]))
        last = i + _WINDOW >= len(base)
        kept = [(i + a, j + b) for a, b in found if last or a < _WINDOW // 2]
        pairs += kept
        i = len(base) if last else i + _WINDOW // 2
        j = kept[-1][1] + 1 if kept else j
    return pairs
