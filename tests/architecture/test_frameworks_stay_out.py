"""Comparing needs neither torch nor paddle: neither is ever loaded by it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from padiff.store.format import SectionHeader, array_path
from padiff.store.section_writer import record_of
from padiff.store.writer import write_section
from padiff.tree import LayerTree, Node

PACKAGE = Path(__file__).parents[2] / "padiff"
FRAMEWORKS = {"torch", "paddle"}

# Runs one statement, whether or not it exits, and reports all that is loaded after it.
PROBE = """
import json, sys
try:
    exec(sys.argv.pop(1))
except SystemExit as exit:
    assert exit.code in (None, 0), exit.code
print("\\n" + json.dumps(sorted(sys.modules)))
"""


def loaded_by(statement: str, *arguments: str | Path) -> set[str]:
    """Top-level names of what a fresh interpreter has loaded after `statement`."""
    command = [sys.executable, "-c", PROBE, statement, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores that agree: one layer, one tensor."""
    base, raw = (tmp_path_factory.mktemp("stores") / name for name in ("base.zarr", "raw.zarr"))
    for location in (base, raw):
        with write_section(location, "report") as writer:
            stored = writer.add(array_path("", 0, "forward.0"), np.arange(6, dtype=np.float32))
            tensor = record_of(stored, phase="forward", place="0", device="cpu", order=1)
            tree = LayerTree((Node("Net", "", 0, 0, tensors=(tensor,)),))
            writer.finish(
                SectionHeader("report", "Net", "torch", "0", (), tree, "2026-01-01T00:00:00Z")
            )
    return base, raw


def test_importing_padiff_loads_no_framework() -> None:
    loaded = loaded_by("import padiff")
    assert "padiff" in loaded
    assert not loaded & FRAMEWORKS


def test_comparing_loads_no_framework(stores: tuple[Path, Path]) -> None:
    statement = "import padiff; assert padiff.compare(*sys.argv[1:]).aligned"
    loaded = loaded_by(statement, *stores)
    assert "numpy" in loaded
    assert not loaded & (FRAMEWORKS | {"h5py", "zarr"})


def test_the_command_loads_no_framework(stores: tuple[Path, Path]) -> None:
    command = Path(sys.executable).with_name("padiff-check")
    statement = "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    # the script takes its own name to be the first word of the command line
    loaded = loaded_by(f"sys.argv.pop(0); {statement}", command, *stores)
    assert "padiff" in loaded
    assert not loaded & FRAMEWORKS


def test_a_framework_that_is_loaded_is_seen() -> None:
    assert loaded_by("import padiff, padiff.frameworks.torch") & FRAMEWORKS == {"torch"}


def test_every_module_imports_alone_and_without_a_framework() -> None:
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
    ]
    names = [name for name in names if name.rpartition(".")[2] not in FRAMEWORKS]
    statement = """
import importlib
for name in sys.argv[1:]:
    for loaded in [m for m in sys.modules if m.split(".")[0] == "padiff"]:
        del sys.modules[loaded]
    importlib.import_module(name)
    assert not {"torch", "paddle"} & set(sys.modules), name
"""
    assert len(names) > 20
    loaded_by(statement, *sorted(names))


def test_importing_every_module_changes_no_global_setting() -> None:
    statement = """
import importlib, random, sys, warnings
import numpy as np

def settings():
    return (np.get_printoptions(), np.geterr(), warnings.filters[:], sys.getrecursionlimit(),
            random.getstate(), np.random.get_state()[1].tolist(), sys.excepthook)

before = settings()
for name in sys.argv[1:]:
    importlib.import_module(name)
assert settings() == before
"""
    names = ["padiff", "padiff.model", "padiff.check", "padiff.cli", "padiff.comparing.engine"]
    assert "padiff" in loaded_by(statement, *names)
    with pytest.raises(AssertionError):
        loaded_by(statement.replace("before = ", "before = (), "), *names)
