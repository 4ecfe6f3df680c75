"""Power may fail: data is on the disk before its name is, and the name before we return."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from padiff.store import flush
from padiff.store.reader import open_dump
from tests.store.sections import write
from tests.tools import need

WRITE = """
import os, sys
from pathlib import Path
import numpy as np
from padiff.store.storage import Storage
from tests.store.sections import write
storage = Storage(durable=sys.argv[2] == "durable", chunk_bytes=2**12)
for number in range(2):
    write(Path(sys.argv[1]), {"layer": np.ones(2**12)}, step=0, storage=storage)
    os.path.exists("/returned")
"""


def calls(trace: Path) -> list[str]:
    """What matters of what the process asked the system for, in its order."""
    found = []
    for line in trace.read_text().splitlines():
        if '"/returned"' in line:
            found.append("returned")
        elif re.search(r"\bsyncfs\(", line):
            found.append("syncfs")
        elif re.search(r"\bfsync\(\d+<[^>]*/step_0>", line):
            found.append("fsync of the dump")
        elif re.search(r"\brename\w*\(.*\.report\.\w+\.partial", line):
            found.append("rename")
        elif re.search(r"\bp?write\w*\(\d+<[^>]*\.report\.\w+\.partial/", line):
            found.append("write")
    return [name for n, name in enumerate(found) if found[n - 1 : n] != [name]]


@pytest.mark.parametrize("durable", [True, False])
def test_the_order_of_system_calls(tmp_path: Path, durable: bool) -> None:
    need("strace")
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-s", "256", "-o", str(trace)]
    command += ["-e", "trace=write,pwrite64,syncfs,fsync,stat,newfstatat,/rename"]
    command += [sys.executable, "-c", WRITE, str(tmp_path / "run.zarr")]
    command.append("durable" if durable else "not durable")
    done = subprocess.run(command, capture_output=True, text=True)
    if "ptrace" in done.stderr.lower():
        pytest.skip(f"no process can be traced here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    once = ["write", "syncfs", "rename", "fsync of the dump", "returned"]
    expected = [name for name in once if durable or "sync" not in name]
    assert calls(trace) == expected * 2  # a new section, and one in place of it


def test_where_a_file_system_cannot_be_flushed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere each file is flushed, and each directory up to the top: it may be new."""
    flushed: list[str] = []
    monkeypatch.setattr(flush, "_flush_file_system", lambda *_: False)
    monkeypatch.setattr(flush, "_flush", lambda path, flags: flushed.append(str(path)))
    store = tmp_path / "new" / "run.zarr"
    write(store, {"layer": np.ones(3)}, step=0)
    assert [name for name in flushed if name.endswith("c.0")]
    assert {str(tmp_path), str(tmp_path / "new"), str(store), str(store / "step_0")} <= {*flushed}
    assert flushed[-1] == str(store / "step_0")
    assert open_dump(store / "step_0").report["layer"].forward[0][0] == 1
