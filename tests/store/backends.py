"""The backends that the contract of a store is tested with: the one list of them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from padiff.store.address import Location, below
from padiff.store.format import GENERATION
from padiff.store.leftovers import PARTIAL

__all__ = ["BACKENDS", "LOCAL", "Backend", "everything", "hidden", "on"]


@dataclass(frozen=True)
class Backend:
    """A kind of store, by the suffix that a location of it has, and whether that is a URL."""

    name: str
    suffix: str
    is_remote: bool = False

    def at(self, top: Location, name: str = "run") -> Location:
        """A location right below another."""
        return below(top, f"{name}{self.suffix}")


BACKENDS = (
    Backend("zarr", ".zarr"),
    Backend("hdf5", ".h5"),
    Backend("zip", ".zarr.zip"),
    Backend("s3", ".zarr", is_remote=True),
)
"""A test that asks for `backend`, `top`, `files` or `run` is run on every backend."""

LOCAL = ("zarr", "hdf5", "zip")
"""Backends whose stores are files that may be locked and renamed."""


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test on these backends alone; say beside it why not on the others."""
    backends = [backend for backend in BACKENDS if backend.name in names]
    return pytest.mark.parametrize("backend", backends, ids=names, indirect=True)


def everything(files: Path) -> dict[str, bytes]:
    """All files below a directory, and what they hold."""
    return {str(path): path.read_bytes() for path in files.rglob("*") if path.is_file()}


def hidden(files: Path) -> list[str]:
    """Names of what is not, or no longer, visible to a reader: work in progress, and leftovers."""
    partial = [path.name for path in files.rglob("*") if path.name.endswith(PARTIAL)]
    generations = [path for path in files.rglob(f"{GENERATION}*") if everything(path)]
    return sorted(partial + [path.name for path in generations if not _is_told(path)])


def _is_told(generation: Path) -> bool:
    """Whether the document of the section says that its arrays lie there."""
    document = generation.with_name("zarr.json")
    return document.exists() and generation.name in document.read_text()
