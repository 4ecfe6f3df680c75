"""Look once more at pairs of tensors that differ: which ones, and where in them the error sits."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from padiff.comparing.arithmetic import errors_of, in_blocks
from padiff.comparing.close_up import CloseUp
from padiff.comparing.outcome import Record
from padiff.comparing.streaming import Opened, Progress, Scratch, TensorPair, Work, opened
from padiff.comparing.tally import Tally
from padiff.errors import UsageError
from padiff.store.chunks import Selection

__all__ = ["Budget", "check_close_ups", "look_at"]


def check_close_ups(most: int) -> int:
    """`most` itself; UsageError for what is no number of pairs."""
    if type(most) is not int or most < 0:
        raise UsageError(f"expected a number of close-ups of at least 0, got {most!r}")
    return most


class Budget:
    """How many pairs may still be looked at, a fair share of them in each step."""

    def __init__(self, most: int, steps: int) -> None:
        self._left, self._steps = most, steps
        self._diverged = False

    def spend(self, records: Sequence[Record]) -> list[int]:
        """Which records of the next step to look at, by their places: those that diverged first.

        After them the others with any error, the most off first. What one step leaves is the
        others'; and one is kept until something has diverged.
        """
        self._diverged = self._diverged or any(record.diverged for record in records)
        kept = 0 if self._diverged or self._steps == 1 else 1
        share = -(-max(0, self._left - kept) // self._steps)
        self._steps -= 1
        if not share:
            return []
        worth = [at for at, record in enumerate(records) if _has_errors(record)]
        worth.sort(key=lambda at: _rank(records[at]))
        self._left -= len(worth[:share])
        return sorted(worth[:share])


def _has_errors(record: Record) -> bool:
    """Whether there is anything to be seen, and the elements to see it in."""
    found = record.figures
    if found is None or record.by_statistics:
        return False
    return found.max_abs != 0 or found.nonfinite > 0  # one NaN beside elements that are all equal


def _rank(record: Record) -> tuple[bool, float]:
    """Those that diverged stay in order."""
    off = record.figures.rel_l2 if record.figures and not record.diverged else None
    return not record.diverged, -(off or 0.0)


def look_at(
    pairs: Sequence[tuple[int, TensorPair]], work: Work, progress: Progress | None = None
) -> list[CloseUp]:
    """Read pairs of tensors, each with the order of its record, block by block, one by one.

    `progress` is called as by `stream`. Raises CorruptError when an array is not what its tree
    says.
    """
    scratch = Scratch()
    total, done, read = sum(pair.size for _, pair in pairs), 0, 0
    looked = []
    with ThreadPoolExecutor(work.jobs, "padiff-look") as pool:
        try:
            for order, pair in pairs:
                tally = Tally(pair.base.shape)
                found = opened(pair, scratch, digests=work.digests)
                each = found.base.element.itemsize + found.raw.element.itemsize
                for part in _tallies(found, work, pool):
                    tally.merge(part)
                    done += part.size
                    read += part.size * each
                    if progress is not None:
                        progress(done, total, read)
                equal = pair.size - tally.size  # in chunks known to be
                tally.add_equal(equal)
                done += equal
                looked.append(tally.close_up(order))
        finally:
            pool.shutdown(cancel_futures=True)
    if progress is not None:
        progress(total, total, read)
    return looked


def _tallies(found: Opened, work: Work, pool: ThreadPoolExecutor) -> Iterator[Tally]:
    """Those of the parts of a pair, which any number of threads read."""
    running: deque[Future[Tally]] = deque()
    for selection in found.selections():
        running.append(pool.submit(_tally_part, found, selection))
        if len(running) > 2 * work.jobs:  # what waits holds arrays open
            yield running.popleft().result()
    for future in running:
        yield future.result()


def _tally_part(found: Opened, selection: Selection) -> Tally:
    tally = Tally(found.pair.base.shape)
    origin = tuple(along.start for along in selection)
    for corner, base, raw in in_blocks(*found.read(selection), origin):
        tally.add(errors_of(base, raw), corner, (base, raw))
    return tally
