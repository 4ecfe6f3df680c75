"""Sections of one dump while they are written: a new file that takes the place of the older one."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import h5py
from h5py import h5d, h5o

from padiff.errors import PadiffError
from padiff.store.base import PartialDump
from padiff.store.files import Writing
from padiff.store.flush import flush_directory, flush_file
from padiff.store.format import SECTIONS, SectionName
from padiff.store.hdf5.errors import WritingHdf5
from padiff.store.hdf5.file import Hdf5File, Identity, identity_of
from padiff.store.hdf5.seal import append_seal
from padiff.store.hdf5.section import Hdf5PartialSection, NewFile, extents_of
from padiff.store.leftovers import PATIENCE, Lock, Workplace, begin_alone
from padiff.store.rest import Extent
from padiff.store.storage import Storage

__all__ = ["Hdf5PartialDump"]


class Hdf5PartialDump(PartialDump):
    """A file in a hidden directory beside its place, and such a directory for each section.

    Sections that the older file holds and that are not written are copied, whatever others have put
    there meanwhile.
    """

    def __init__(self, final: Path, sections: Sequence[SectionName], storage: Storage) -> None:
        self._final, self._sections = final, sections
        self._durable = storage.durable
        self._workplaces: list[Workplace] = []
        self._file: NewFile | None = None
        try:
            for name in sections:
                with Writing(final, 0):
                    what = f"{name} of {final}"
                    place = begin_alone(final.parent, f"{final.name}.{name}", what=what)
                self._workplaces.append(place)
            self._new = self._workplaces[0].path / final.name
            self._file = NewFile(self._new, storage, self._workplaces)
        except BaseException:
            self.discard()
            raise

    def section(self, name: SectionName) -> Hdf5PartialSection:
        assert self._file is not None
        return Hdf5PartialSection(self._file, name)

    def take_over(self, other: PartialDump) -> None:
        if not isinstance(other, Hdf5PartialDump) or other._file is None or self._file is None:
            return
        ours, theirs = self._file, other._file
        try:
            theirs.move_to(self._new, self._workplaces)
        except PadiffError:
            raise
        except OSError:  # it lies on another file system
            return
        self._file, other._file = theirs, None
        ours.abandon()

    def commit(self) -> None:
        assert self._file is not None
        self._file.drop_aside()
        self._file.close()
        while not self._put_in_place(self._file.extents):
            pass  # another writer has put a section there meanwhile, which is to be kept
        if self._durable:
            flush_directory(self._final.parent)
        self.discard()

    def _put_in_place(self, written: list[Extent]) -> bool:
        """Complete the file and rename it; False when what it is to replace was replaced first."""
        older = identity_of(self._final)
        append_seal(self._new, written + self._copy_others(older))
        if self._durable:
            flush_file(self._new)
        with Writing(self._final, 0), Lock(self._final.parent, patience=PATIENCE):
            if identity_of(self._final) != older:
                return False
            self._new.replace(self._final)
        return True

    def _copy_others(self, older: Identity | None) -> list[Extent]:
        """Copy the sections that are not written from the older file; where their tensors lie."""
        if older is None:
            return []
        source = Hdf5File(self._final)
        others = [n for n in SECTIONS if n in source.groups("") and n not in self._sections]
        extents: list[Extent] = []
        with WritingHdf5(self._new, source.raw.size), h5py.File(self._new, "r+") as target:
            for name in SECTIONS:  # of an earlier attempt
                if name in target and name not in self._sections:
                    del target[name]
            for name in others:
                h5o.copy(source.id, name.encode(), target.id, name.encode())
            target.flush()
            for name in others:
                target[name].visititems(
                    lambda _, found: extents.extend(
                        extents_of(found.id) if isinstance(found.id, h5d.DatasetID) else ()
                    )
                )
        return extents

    def discard(self) -> None:
        with ExitStack() as stack:
            for workplace in self._workplaces:
                stack.callback(workplace.remove)
            if self._file is not None:
                with suppress(PadiffError):  # nobody wants the file any more
                    self._file.abandon()
