"""How what was converted gets to its place: as a whole, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from padiff.converting.destination import check_free
from padiff.errors import OccupiedError
from padiff.store.exchange import put_in_place
from padiff.store.files import Writing
from padiff.store.flush import flush_directory, flush_trees
from padiff.store.leftovers import begin_alone
from padiff.store.media.remote import Remote
from padiff.store.zarr.document import DOCUMENT

__all__ = ["put_behind", "put_beside"]


@contextmanager
def put_beside(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Where to write what is to lie at `path`; it is put there when this is left.

    It is a name in a hidden directory beside, which is gone when this is left, however it is; that
    of a killed process is removed by the next that converts to the same place.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        with Writing(path, 0):
            path.parent.mkdir(parents=True, exist_ok=True)
            workplace = begin_alone(path.parent, path.name, what=f"{path}")
        try:
            new = workplace.path / "new" / path.name  # this has the lock of the other
            with Writing(new, 0):
                new.parent.mkdir()
            yield new
            flush_trees([workplace.path], workplace.descriptor)
            check_free(path, overwrite=overwrite)  # which may have changed meanwhile
            with Writing(path, 0):
                put_in_place(new, path)
            made.clear()
            flush_directory(path.parent)
        finally:
            workplace.remove()
    finally:
        with suppress(OSError):  # where others have put something by now
            for folder in made:
                folder.rmdir()


@contextmanager
def put_behind(url: str) -> Iterator[Remote]:
    """What is to lie behind a URL, where nothing is found of it until this is left.

    What is there is removed first: an object store renames nothing. What a killed process left
    there is told as such by whoever reads it, or converts to the same place.
    """
    medium = _Unborn(url)
    medium.objects.remove([""])
    try:
        yield medium
        medium.reveal()
    except BaseException:
        medium.objects.remove([""])
        raise


class _Unborn(Remote):
    """A hierarchy whose root gets its document last."""

    _kept: bytes | None = None

    def replace(self, name: str, data: bytes) -> None:
        if name == DOCUMENT:
            self._kept = data
        else:
            super().replace(name, data)

    def has(self, name: str) -> bool:
        return (name == DOCUMENT and self._kept is not None) or super().has(name)

    def document(self, name: str, longest: int) -> bytes:
        if name == DOCUMENT and self._kept is not None:
            return self._kept
        return super().document(name, longest)

    def reveal(self) -> None:
        """Put the document of the root: from now on it is a store."""
        if super().has(DOCUMENT):
            raise OccupiedError(
                f"expected to be alone in writing {self.location}, found that another has put a "
                "store there meanwhile: choose another place"
            )
        assert self._kept is not None
        super().replace(DOCUMENT, self._kept)
