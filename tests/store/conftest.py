import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from padiff.store.address import Location
from tests.store.backends import BACKENDS, Backend
from tests.store.media import BUCKET, Server, s3_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def s3(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL below which nothing lies yet."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@pytest.fixture
def top(request: pytest.FixtureRequest, tmp_path: Path, backend: Backend) -> Location:
    """A location below which stores of the backend may lie."""
    return str(request.getfixturevalue("s3")) if backend.is_remote else tmp_path


@pytest.fixture
def files(request: pytest.FixtureRequest, tmp_path: Path, top: Location) -> Path:
    """The directory that holds the files of all that is written below `top`."""
    if isinstance(top, Path):
        return tmp_path
    server: Server = request.getfixturevalue("server")
    return server.files / top.rpartition("/")[2]


@pytest.fixture
def run(top: Location, backend: Backend) -> Location:
    """A location for a store, where nothing lies yet."""
    return backend.at(top)
