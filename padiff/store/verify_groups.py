"""The groups of a store down to its sections, each of them checked."""

from padiff.errors import (
    CorruptError,
    FormatError,
    LocationError,
    PadiffError,
    UnreadableError,
)
from padiff.store.base import Store, WritableStore
from padiff.store.format import SECTIONS, has_meaning, is_sealed
from padiff.store.roots import absolute_numbers
from padiff.store.verification import Damage, damage_of

__all__ = ["TOLD", "Groups", "check_there", "location_of"]

# What is told of a store, which is no fault of the call or of what is installed.
TOLD = (FormatError, LocationError)


class Groups:
    """The groups from the root down to the sections at and below a path, each of them checked."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self.sections: list[str] = []
        self.unfinished: list[str] = []
        self.uncovered: list[str] = []
        self.damages: list[Damage] = []
        names = path.split("/") if path else []
        if any(name in SECTIONS for name in names[:-1]):
            raise FormatError(
                f"expected a store, a step, a rank or a section at {location_of(store, path)}, "
                "found a part of a section: name the section"
            )
        for depth in range(len(names)):
            self._check("/".join(names[:depth]))
        left = [path]
        while left:
            group = left.pop()
            if group.split("/")[-1] in SECTIONS:
                self.sections.append(group)
                continue
            self._check(group)
            left += reversed(self._below(group))

    @property
    def steps(self) -> tuple[int, ...]:
        """Those that the sections are of."""
        found = {absolute_numbers(section)[0] for section in self.sections}
        return tuple(sorted(step for step in found if step is not None))

    def _check(self, group: str) -> None:
        if not isinstance(self._store, WritableStore):  # of which nothing was written to check by
            return
        try:
            self._store.check_group(group)
            if not self._store.is_covered(group):
                self.uncovered.append(location_of(self._store, group))
            if not group and not is_sealed(self._store.header_text(group)):
                raise CorruptError(
                    f"expected the root {self._store.location} to have the digest that it gives, "
                    "found another: it was changed after it was written, so dump it again"
                )
        except TOLD as error:
            self._note(group, error)

    def _below(self, group: str) -> list[str]:
        """The groups right below, those that lost their document too: looking at them tells it."""
        try:
            names = self._store.groups(group)
            begun = self._store.unfinished(group)
        except TOLD as error:
            self._note(group, error)
            return []
        for name, place in begun.items():
            if name in SECTIONS and place.split("/")[-1] != name:
                self.unfinished.append(location_of(self._store, place))
            elif self._was_group(name, place):
                names.append(name)
        return [f"{group}/{name}".lstrip("/") for name in names]

    def _was_group(self, name: str, place: str) -> bool:
        """Whether a directory without a document has the name, or the groups, of one of ours."""
        if has_meaning(name):
            return True
        try:
            return bool(self._store.groups(place))
        except TOLD:
            return False

    def _note(self, path: str, error: PadiffError) -> None:
        place = location_of(self._store, path)
        damage = damage_of("group", place, place, error)
        if self.damages[-1:] != [damage]:  # to look below it may find the same
            self.damages.append(damage)


def location_of(store: Store, path: str) -> str:
    """Where a group of a store lies, as a user would type it."""
    return f"{store.location}/{path}".rstrip("/")


def check_there(store: Store, path: str) -> None:
    """LocationError where nothing is, nor was begun, damaged or not."""
    names = path.split("/") if path else []
    for depth, name in enumerate(names):
        above, place = "/".join(names[:depth]), "/".join(names[: depth + 1])
        try:
            store.attributes(place)
        except (FormatError, UnreadableError):
            return  # which is found again
        except LocationError:
            if name not in store.unfinished(above):  # where it lost its document
                held = ", ".join(store.groups(above)[:8])
                raise LocationError(
                    f"expected a step, a rank or a section at {location_of(store, place)}, found "
                    f"none: {location_of(store, above)} has {held or 'nothing'}"
                ) from None
            return
