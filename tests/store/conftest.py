"""A test that asks for `backend` or `run` is run on every backend."""

from pathlib import Path

import pytest

from tests.store.backends import BACKENDS, Backend


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@pytest.fixture
def run(tmp_path: Path, backend: Backend) -> Path:
    """A location for a store, where nothing lies yet."""
    return backend.at(tmp_path)
