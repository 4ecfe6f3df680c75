"""The backends that the contract of a store is tested with: the one list of them."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["BACKENDS", "Backend"]


@dataclass(frozen=True)
class Backend:
    """A kind of store, by the suffix that a location of it has."""

    name: str
    suffix: str

    def at(self, directory: Path, name: str = "run") -> Path:
        """A location below a directory of the test."""
        return directory / f"{name}{self.suffix}"


BACKENDS = (Backend("zarr", ".zarr"), Backend("hdf5", ".h5"))
