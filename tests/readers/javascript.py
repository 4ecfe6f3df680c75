"""Programs in JavaScript that read stores, and the libraries of others that they read with."""

import fcntl
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.tools import need

__all__ = ["installed_libraries", "run_node"]

HERE = Path(__file__).parent


def installed_libraries() -> Path:
    """The folder of the libraries, which is made when it is first asked for."""
    need("node", "npm")
    libraries = HERE / "node_modules"
    with (HERE / "package.json").open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # tests run in several processes
        if not (libraries / ".package-lock.json").exists():
            install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
            subprocess.run(install, cwd=HERE, check=True, capture_output=True)
    return libraries


def run_node(program: str, *arguments: str | Path) -> dict[str, Any]:
    """What a program beside this file prints."""
    installed_libraries()
    command = ["node", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=HERE, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed
