"""`padiff convert`: what it prints where, and its exit codes."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import padiff
from padiff.cli.commands import group
from tests.cli.slow import SLOW
from tests.cli.terminal import in_terminal
from tests.stores import Layer, write_dump

Y = np.arange(24, dtype=np.float32).reshape(6, 4)
COMMAND = Path(sys.executable).with_name("padiff")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["convert", *map(str, arguments)])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tied = Layer("head", "Linear", weights={"w": Y, "b": Y[0]})
    return write_dump(tmp_path / "run.zarr", Layer("", "N", children=[tied]), section="weights")


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip", "a.h5", "a.safetensors", "a.npz"])
def test_one_line_says_what_was_done(name: str, base: Path, tmp_path: Path) -> None:
    result = run(base, tmp_path / name)
    assert (result.exit_code, result.stderr) == (0, "")
    line = f"CONVERTED: {base} to {tmp_path / name}, 1 section, 2 arrays (112 bytes)\n"
    assert result.stdout == line
    assert run(base, tmp_path / name, "--overwrite", "-q").stdout == ""
    assert padiff.compare(base, tmp_path / name, digests=False).aligned


def test_options_are_those_of_the_function(base: Path, tmp_path: Path) -> None:
    codec = '{"name": "gzip", "configuration": {"level": 1}}'
    options = ["--compression", codec, "--chunk-bytes", "32", "--section", "weights"]
    assert run(base, tmp_path / "a", "--format", "zarr", *options).exit_code == 0
    (record,) = [
        t
        for node in padiff.open_dump(tmp_path / "a").weights.tree.walk()
        for t in node.tensors
        if t.place == "w"
    ]
    assert len(record.chunks) == 3
    assert '"gzip"' in (tmp_path / "a/weights" / record.array / "zarr.json").read_text()


def test_what_is_left_out_and_written_once_is_told(tmp_path: Path) -> None:
    held = {"a.w": Y, "b.name": np.array(["text"])}
    np.savez(tmp_path / "held.npz", **held)  # type: ignore[arg-type]  # names are names
    result = run(tmp_path / "held.npz", tmp_path / "made.h5")
    assert result.exit_code == 0
    assert (
        result.stderr == "left out: b.name: its elements are <U4, which padiff does not compare\n"
    )
    assert result.stdout.startswith("CONVERTED: ")
    torch.save({"a.w": torch.ones(2), **{f"n{n}": n for n in range(9)}}, tmp_path / "held.pt")
    result = run(tmp_path / "held.pt", tmp_path / "made.npz")
    names = ", ".join(f"n{n}" for n in range(8))
    assert result.stderr == f"left out: {names}, ... (9 in all): no tensors\n"
    assert run(tmp_path / "held.pt", tmp_path / "made.npz", "--overwrite", "-q").output == ""


def test_refusals_are_one_line_and_exit_2(base: Path, tmp_path: Path) -> None:
    cases: list[tuple[list[str | Path], str]] = [
        ([base, base], "which is the same"),
        ([base, tmp_path / "a.pt"], "a path that ends in .zarr"),
        ([base, tmp_path / "a.zarr", "--compression", "{"], "expected JSON after --compression"),
        ([base, tmp_path / "a.npz", "--shard-bytes", "9"], "expected shard_bytes for Zarr or HDF5"),
        ([base, tmp_path / "a.npz", "--section", "report"], "expected report in"),
        ([tmp_path / "no", tmp_path / "a.npz"], "found nothing there"),
    ]
    for arguments, words in cases:
        result = run(*arguments)
        assert result.exit_code == 2, words
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("padiff convert: ")
        assert [each.name for each in tmp_path.iterdir()] == ["run.zarr"]
    file = next(path for path in base.rglob("c.*") if path.stat().st_size == Y.nbytes)
    file.write_bytes(bytes(Y.nbytes))
    result = run(base, tmp_path / "a.zarr")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "to have the digest that its tree gives, found another" in result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["run.zarr"]


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """After a second, by the bytes that were read, and gone at the end."""
    layer = Layer("", "N", weights={"w": np.zeros((2**10, 2**13), np.float32)})
    base = write_dump(tmp_path / "run.zarr", layer, section="weights")
    to = str(tmp_path / "a.zarr")
    command = [sys.executable, "-c", SLOW, "convert", str(base), to, "--chunk-bytes", str(2**16)]
    code, text = in_terminal(command)
    assert code == 0
    told, gone, rest = text.rpartition("\r\x1b[K")
    assert gone
    assert rest.startswith("CONVERTED")
    shares = [int(share) for share in re.findall(r"(\d+)%", told)]
    assert len(shares) > 3
    assert shares == sorted(shares)
