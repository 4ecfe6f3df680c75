"""S3 servers over HTTP, for tests of stores that lie behind a URL."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

BUCKET = "bucket"
_KEY, _SECRET = "key", "secret"
_COMMANDS = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"


@dataclass(frozen=True)
class Server:
    """A running server, what a client's environment holds to reach it, and where its files lie."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    files: Path

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def s3_server(directory: Path) -> Iterator[Server]:
    """Serve the directories of `directory` as buckets, until the end.

    Its objects are files that a test may look at. It ignores what a put is made conditional on.
    """
    (directory / BUCKET).mkdir(parents=True)
    address = f"127.0.0.1:{_free_ports(1)[0]}"
    command = [_command("rclone"), "serve", "s3", "--config", os.devnull, "--addr", address]
    command += ["--auth-key", f"{_KEY},{_SECRET}", str(directory)]
    # it gives the checksum of the whole where a part was asked for
    environment = {"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
    with _serving(command, address, environment, directory / BUCKET) as server:
        yield server


@contextmanager
def conditional_s3_server(directory: Path) -> Iterator[Server]:
    """The same of a server that holds puts to their conditions, with files of its own kind."""
    ports = _free_ports(8)
    address = f"127.0.0.1:{ports[0]}"
    command = [_command("weed"), "server", f"-dir={directory}", "-ip=127.0.0.1", "-filer", "-s3"]
    for part, http, grpc in zip(
        ("s3", "master", "volume", "filer"), ports, ports[4:], strict=False
    ):
        command += [f"-{part}.port={http}", f"-{part}.port.grpc={grpc}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    with _serving(command, address, {}, directory) as server:
        yield server


@contextmanager
def _serving(
    command: list[str], address: str, environment: dict[str, str], files: Path
) -> Iterator[Server]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _await(address)
        environment = environment | {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "3",
        }
        yield Server(process, environment, files)
        process.kill()


def _command(name: str) -> str:
    found = shutil.which(name, path=_COMMANDS)
    assert found is not None, f"{name} comes with what tests need: pip install -e '.[dev]'"
    return found


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _await(address: str) -> None:
    host, port = address.split(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"no server at {address}")
