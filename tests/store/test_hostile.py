"""What lies outside of a store stays there; no store hangs, floods or fools who reads it."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import Place
from padiff.cli.commands import group
from padiff.comparing.engine import compare
from padiff.errors import FormatError, OccupiedError, PadiffError
from padiff.store import section_writer as writing
from padiff.store.format import LONGEST_HEADER, array_path
from padiff.store.reader import open_dump
from padiff.store.verify import verify
from padiff.store.writer import DumpWriter
from padiff.tree import LayerTree, Node
from tests.store.sections import header_of, write
from tests.stores import Layer, write_dump

# Of a store with a step: every kind of directory and file below its root.
DIRECTORIES = ["step_0", "step_0/report", "step_0/report/a", "step_0/report/a/forward.0"]
FILES = [
    "zarr.json",
    "step_0/zarr.json",
    "step_0/report/zarr.json",
    "step_0/report/a/forward.0/zarr.json",
    "step_0/report/a/forward.0/c.0",
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    net = Layer("", "Net", out=np.ones(3), children=[Layer("a", "L", out=np.arange(4.0))])
    return write_dump(tmp_path / "run.zarr", net, step=0)


def moved_out(run: Path, name: str, *, relative: bool) -> Path:
    """Put a part of a store beside it, and a link to it in its place."""
    outside = run.with_name("outside")
    (run / name).rename(outside)
    target = os.path.relpath(outside, (run / name).parent) if relative else outside
    (run / name).symlink_to(target)
    return outside


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", [*DIRECTORIES, *FILES])
def test_no_link_is_followed(run: Path, tmp_path: Path, name: str, relative: bool) -> None:
    """Not even to the very same bytes, which would be read without anybody noticing."""
    intact = shutil.copytree(run, tmp_path / "intact")
    moved_out(run, name, relative=relative)
    with pytest.raises(PadiffError, match="symbolic link") as error:
        compare(run, intact)
    assert "\n" not in str(error.value)
    assert any("symbolic link" in damage.message for damage in verify(run).damages)


@pytest.mark.parametrize("name", [*DIRECTORIES, *FILES])
@pytest.mark.parametrize("target", ["itself", "nowhere", "/"])
def test_links_that_lead_nowhere_or_in_circles(run: Path, name: str, target: str) -> None:
    path = run / name
    path.rename(run.with_name("aside"))
    path.symlink_to(path.name if target == "itself" else target)
    with pytest.raises(PadiffError, match="^expected") as error:
        compare(run, run)
    assert "\n" not in str(error.value)


def test_a_root_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert verify(tmp_path / "link").intact
    assert open_dump(tmp_path / "link").sections == ("report",)
    write(tmp_path / "link", {"a": np.ones(2)}, step=1)
    assert verify(run).counts.sections == 2


def test_links_of_the_user_among_the_steps_are_passed_over(run: Path) -> None:
    (run / "latest").symlink_to("step_0")
    assert verify(run).counts.sections == 1
    with pytest.raises(PadiffError, match="latest, found a symbolic link"):
        open_dump(run / "latest")


@pytest.mark.parametrize("name", ["step_0", "step_0/report"])
def test_nothing_is_written_through_a_link(run: Path, name: str) -> None:
    outside = moved_out(run, name, relative=True)
    before = sorted(outside.rglob("*"))
    with pytest.raises(OccupiedError, match=f"{name}, found a symbolic link"):
        write(run, {"b": np.ones(2)}, step=0)
    assert (run / name).is_symlink()
    assert sorted(outside.rglob("*")) == before


def test_nothing_is_written_through_a_link_to_an_empty_directory(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (run / "step_1").symlink_to(tmp_path / "empty")
    with pytest.raises(OccupiedError, match="step_1, found a symbolic link"):
        DumpWriter(run, "report", step=1)
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("step_0/report/a/forward.0/zarr.json", 2**20),
        ("step_0/report/a/zarr.json", 2**24),
        ("step_0/zarr.json", 2**24),
        ("step_0/report/zarr.json", LONGEST_HEADER),
    ],
)
def test_documents_have_an_end(run: Path, name: str, size: int) -> None:
    os.truncate(run / name, size + 1)
    (damage,) = verify(run).damages
    assert f"it has {size + 1} bytes, which no document has: at most {size}" in damage.message


def test_no_header_is_written_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LONGEST_HEADER", 1000)
    tree = LayerTree((Node("Net", "", 0, 0, repr="x" * 1000),))
    dump = DumpWriter(tmp_path / "run.zarr", "report")
    with dump:
        writer = dump.section("report")
        with pytest.raises(FormatError, match="at most 1000 bytes in report, got one of [0-9]{4}:"):
            writer.finish(header_of(tree))
    assert not list(tmp_path.glob("run.zarr/*report*"))


ODD = "\x1b[2J\x1b]0;t\x07\r\n\x00\x7f\x9b31m\u202e<script>alert(1)</script>../../x\ud800"


def test_names_steer_no_terminal(tmp_path: Path) -> None:
    def odd(off: float) -> Path:
        layer = Layer(ODD, ODD, out={ODD: np.ones(3) + off}, device=ODD)
        net = Layer("", ODD, out=np.ones(2) + off, children=[layer])
        place = tmp_path / f"run_{off}"
        return write_dump(place, net, framework=ODD, layer_map=[ODD])

    base, raw = odd(0), odd(1)
    runs = [["check", base, raw, *form] for form in ([], ["--json", "-"], ["--html", "-"])]
    (chunk,) = raw.glob(f"report/{array_path(ODD, 0, '*').partition('/')[0]}/*/c.0")
    for arguments in [*runs, ["verify", raw], ["verify", raw, "--json", "-"], runs[0]]:
        result = CliRunner().invoke(group, [str(argument) for argument in arguments])
        assert result.exit_code in (0, 1, 2)
        assert all(char.isprintable() or char == "\n" for char in result.output), result.output
        assert "<script>" not in result.output or "--html" not in arguments
        chunk.unlink(missing_ok=True)


COMMAND = """
import os, padiff.render.words, padiff.store.verify
from padiff.cli import main
os.setuid(65534)  # who may not load anything from here on, either
main()
"""


def test_what_may_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    """As root anything may be: so as nobody, in a directory where that one may go."""
    if os.getuid():
        pytest.skip("only root can become nobody")
    script = """
import os, sys
from padiff.comparing.engine import compare
from padiff.errors import PadiffError
from padiff.store.reader import open_dumps
from padiff.store.verify import verify
os.setuid(65534)
run = sys.argv[1]
for use in (verify, open_dumps, lambda run: compare(run, run)):
    try:
        found = use(run)
        print("\\n".join(damage.message for damage in getattr(found, "damages", [])))
    except PadiffError as error:
        print(error)
"""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "above").mkdir()
        run = Path(name) / "above/run.zarr"
        write_dump(
            run, Layer("", "Net", out=np.ones(3), children=[Layer("a", "L", out=[1.0])]), step=0
        )
        whole = shutil.copytree(run, Path(name) / "whole.zarr")
        for hidden in (run.parent, run, *(run / part for part in (*DIRECTORIES, *FILES))):
            mode = hidden.stat().st_mode
            hidden.chmod(0)
            command = [sys.executable, "-c", script, str(run)]
            done = subprocess.run(command, capture_output=True, text=True)
            hidden.chmod(mode)
            assert done.returncode == 0, (hidden, done.stderr)
            assert "Permission denied" in done.stdout
            for line in done.stdout.splitlines():
                assert line.startswith("expected") or not line
            command = [sys.executable, "-c", COMMAND, "verify", str(run), str(whole)]
            hidden.chmod(0)
            done = subprocess.run(command, capture_output=True, text=True)
            hidden.chmod(mode)
            assert done.returncode == 2, (hidden, done)  # nothing is known to be damaged
            assert "DAMAGED" not in done.stdout
            assert f"INTACT: {whole}" in done.stdout
            assert ("UNREADABLE" in done.stdout) != ("Permission denied" in done.stderr)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    gc.collect()
    gc.freeze()  # or what other tests have left is gone through before each command
    yield Place(tmp_path_factory.mktemp("place"), "zarr")
    gc.unfreeze()


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_stores_mutated_at_random(place: Place, seed: int) -> None:
    """`python -m benchmarks.fuzz` tries many more."""
    random = Random(seed)
    done = place.renew(random)
    assert place.problems(random) == [], done
