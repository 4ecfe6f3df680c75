"""Hold every byte of a store against what was written: documents, trees, arrays, chunks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain

from padiff.errors import (
    CorruptError,
    FormatError,
    IncompleteError,
    UnreadableError,
)
from padiff.store.address import Location
from padiff.store.array import StoredArray
from padiff.store.base import WritableStore
from padiff.store.format import check_array_path
from padiff.store.integrity import check_chunk, check_metadata, chunks_of
from padiff.store.location import locate_for_reading
from padiff.store.section import Section
from padiff.store.verification import Counts, Damage, Verification, damage_of
from padiff.store.verify_groups import TOLD, Groups, check_there, location_of
from padiff.threads import check_jobs
from padiff.tree import TensorRecord

__all__ = ["verify"]

# Bytes. For what is smaller it takes as long to hand it to a thread as to digest it.
_SMALL = 2**17
_ATTEMPTS = 3  # at a section that is dumped again while it is read

Found = Damage | Counts


def verify(
    location: Location,
    *,
    jobs: int | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> Verification:
    """Read all of `location`, a store, a step, a rank or a section, and tell what is damaged.

        verification = padiff.verify("run.zarr")
        if not verification.intact:
            print(verification.damages)

    It goes on after what is damaged, or may not be read, so all of it is told. `jobs` threads
    read, by default one a processor. `progress` is called with the share done and the
    bytes of elements that were read.

    Raises LocationError where nothing lies, FormatError for what is no store, and IncompleteError
    for one that holds no finished section.
    """
    jobs = check_jobs(jobs)
    try:
        store, path = locate_for_reading(location)
    except (CorruptError, UnreadableError) as error:
        damage = damage_of("group", str(location), str(location), error)
        return Verification(str(location), Counts(), (damage,))
    if not isinstance(store, WritableStore):
        raise FormatError(
            f"expected a store that padiff wrote at {location}, found what another tool did, of "
            "whose bytes there are no digests: make a store of it with padiff convert"
        )
    check_there(store, path)
    groups = Groups(store, path)
    counts, damages = Counts(), groups.damages
    with ThreadPoolExecutor(jobs, "padiff-verify") as pool:
        try:
            for done, section in enumerate(groups.sections):
                tell = _share_of_all(progress, done, len(groups.sections), counts.bytes)
                for found in _attempts(store, section, _Work(pool, 2 * jobs), tell):
                    if isinstance(found, Damage):
                        damages.append(found)
                    else:
                        counts += found
        finally:
            pool.shutdown(cancel_futures=True)
    if not groups.sections and not damages:
        raise IncompleteError(
            f"expected at least one finished section in {location}, found "
            f"{', '.join(groups.unfinished) or 'none'}: dump to it, or wait for its writer"
        )
    return Verification(
        str(location),
        counts - _not_intact(damages, (location_of(store, each) for each in groups.sections)),
        tuple(damages),
        tuple(groups.unfinished),
        groups.steps,
        tuple(groups.uncovered),
    )


def _not_intact(damages: Iterable[Damage], sections: Iterable[str]) -> Counts:
    """What was counted before something in it was found damaged."""
    arrays = {(each.section, each.array) for each in damages if each.kind == "chunk"}
    damaged = {each.section for each in damages if each.kind != "section"}
    return Counts(len(damaged.intersection(sections)), len(arrays))


class _Work:
    """Pieces of work for threads, of which only a few wait: those hold arrays open."""

    def __init__(self, pool: ThreadPoolExecutor, most: int) -> None:
        self._pool = pool
        self._most = most
        self._running: deque[Future[Found]] = deque()

    def put(self, piece: Callable[[], Found]) -> Iterator[Found]:
        """Begin with a piece; gives what an earlier one found, where one had to be waited for."""
        self._running.append(self._pool.submit(piece))
        if len(self._running) > self._most:
            yield self._running.popleft().result()

    def rest(self) -> Iterator[Found]:
        """What all the others found."""
        while self._running:
            yield self._running.popleft().result()


def _attempts(
    store: WritableStore, path: str, work: _Work, progress: Callable[[float, int], None]
) -> list[Found]:
    """What is found in a section, all of it in one that was not dumped again meanwhile."""
    for _ in range(_ATTEMPTS):
        before = store.identity(path)
        found = list(_section(store, path, work, progress))
        if store.identity(path) == before:
            break
    return found


def _section(
    store: WritableStore, path: str, work: _Work, progress: Callable[[float, int], None]
) -> Iterator[Found]:
    location = location_of(store, path)
    try:
        section = Section(store, path)  # before its group, which takes longer where it is damaged
        if section.header.section != path.split("/")[-1]:
            raise CorruptError(
                f"expected {path.split('/')[-1]} at {location}, found a section that calls itself "
                f"{section.header.section}"
            )
        store.check_group(path)
    except TOLD as error:
        yield damage_of("section", location, location, error)
        return
    yield Counts(sections=1)
    tensors = list(_distinct(tensor for node in section.tree.walk() for tensor in node.tensors))
    if section.header.tensors is not None:  # whose tree is all there is
        tensors = []
    yield from _layers(store, path, section, tensors)
    total, so_far = sum(len(tensor.chunks) for tensor in tensors), Counts()
    arrays = chain.from_iterable(_array(section, tensor, work) for tensor in tensors)
    for found in chain(arrays, work.rest()):
        yield found
        if isinstance(found, Counts):
            so_far += found
            progress(min(1.0, so_far.chunks / max(1, total)), so_far.bytes)
    progress(1.0, so_far.bytes)  # also where something was damaged


def _distinct(tensors: Iterable[TensorRecord]) -> Iterable[TensorRecord]:
    """Each array once for all records that say the same of it."""
    return {(t.array, t.metadata, t.chunks, t.shape, t.dtype): t for t in tensors}.values()


def _layers(
    store: WritableStore, path: str, section: Section, tensors: list[TensorRecord]
) -> Iterator[Found]:
    """The groups between the section and its arrays, each once."""
    layers: dict[str, None] = {}
    for tensor in tensors:
        names = tensor.array.split("/")
        layers.update(dict.fromkeys("/".join(names[:depth]) for depth in range(1, len(names))))
    for layer in layers:
        try:
            check_array_path(layer, section.location)
            store.check_group(f"{path}/{layer}")
        except TOLD as error:
            yield damage_of("group", section.location, f"{section.location}/{layer}", error)


def _array(section: Section, tensor: TensorRecord, work: _Work) -> Iterator[Found]:
    try:
        array = check_metadata(section, tensor)
    except TOLD as error:
        file = f"{section.location}/{tensor.array}"
        yield damage_of("array", section.location, file, error, tensor.array)
        return
    yield Counts(arrays=1)
    for index, expected in chunks_of(array, tensor):
        piece = partial(_chunk, section, tensor, array, index, expected)
        if array.nbytes <= _SMALL:
            yield piece()
        else:
            yield from work.put(piece)


def _chunk(
    section: Section,
    tensor: TensorRecord,
    array: StoredArray,
    index: tuple[int, ...],
    expected: str,
) -> Found:
    try:
        size = check_chunk(section, tensor, array, index, expected).nbytes
    except TOLD as error:
        file = array.file_of(index)
        return damage_of("chunk", section.location, file, error, tensor.array, index)
    return Counts(chunks=1, bytes=size)


def _share_of_all(
    progress: Callable[[float, int], None] | None, sections_done: int, sections: int, read: int
) -> Callable[[float, int], None]:
    if progress is None:
        return lambda *_: None
    return lambda share, more: progress((sections_done + share) / sections, read + more)
