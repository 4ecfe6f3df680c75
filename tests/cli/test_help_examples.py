"""Every example in a help text runs, on real stores of the names that it uses."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from padiff.cli.check_command import command as check
from padiff.cli.commands import group
from tests.stores import Layer, write_dump
from tests.tools import need

PROGRAMS = Path(sys.executable).parent
Y = np.arange(12, dtype=np.float32).reshape(3, 4)


def help_text(words: str) -> str:
    """What `--help` prints of a command as one types it."""
    called, *arguments = words.split()
    command = check if called == "padiff-check" else group
    return CliRunner().invoke(command, [*arguments, "--help"], prog_name=called).stdout


COMMANDS = ("padiff", "padiff-check", *(f"padiff {name}" for name in group.commands))
HELP = {words: help_text(words) for words in COMMANDS}
EXAMPLES = dict.fromkeys(  # those of padiff-check are those of padiff check
    line.strip()
    for text in HELP.values()
    for line in text.partition("Examples:\n")[2]
    .partition("\n\n")[0]
    .replace("&&\n", "&&")  # of an example on two lines
    .splitlines()
)
OF_A_SHELL = set("|>&$#")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that the examples name."""
    directory = tmp_path_factory.mktemp("stores")
    blocks = [
        Layer(f"{n}", "Block", out=Y, back=Y, children=[Layer("fc", "Linear", out=Y, back=Y)])
        for n in range(9)
    ]
    held = Layer("blocks", "Sequential", out=Y, back=Y, children=blocks, weights={"weight": Y})
    model = Layer("", "Net", inputs=Y, out=Y, back=Y, children=[held])
    for name in ("torch.zarr", "paddle.zarr", "base.zarr", "raw.zarr", "run.zarr"):
        write_dump(directory / name, model, step=9)
        write_dump(directory / name, model, section="params", step=9)
    save_file({"blocks.weight": Y, "head.bias": Y[0]}, directory / "torch.safetensors")
    held_by_paddle = {"blocks.weight": paddle.to_tensor(Y.T), "out.bias": paddle.to_tensor(Y[0])}
    paddle.save(held_by_paddle, str(directory / "paddle.pdparams"))
    return directory


@pytest.mark.parametrize("command", HELP)
def test_every_help_has_examples_and_fits_a_terminal(command: str) -> None:
    assert f"Usage: {command} " in HELP[command]
    assert "Examples:" in HELP[command]
    assert max(map(len, HELP[command].splitlines())) <= 80
    if command not in ("padiff", "padiff completion"):
        assert "Exit code:" in HELP[command]
    assert len(EXAMPLES) > 2 * len(HELP)


def test_the_list_of_commands_cuts_none_short() -> None:
    listed = HELP["padiff"].partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) == len(group.commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


@pytest.mark.parametrize("example", [line for line in EXAMPLES if not OF_A_SHELL & set(line)])
def test_an_example_runs(stores: Path, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stores)
    called, *arguments = shlex.split(example)
    done = CliRunner().invoke(check if called == "padiff-check" else group, arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert called in ("padiff", "padiff-check")


@pytest.mark.parametrize("example", [line for line in EXAMPLES if OF_A_SHELL & set(line)])
def test_an_example_of_a_shell_runs(stores: Path, example: str) -> None:
    shell = "zsh" if "zsh" in example else "bash"
    need(shell)
    if shell == "zsh":  # as the example says what comes before
        example = f"autoload -U compinit && compinit -D -u; {example}"
    if shutil.which("jq") is None:
        example = example.partition(" | jq ")[0]
    done = subprocess.run(
        [shell, "-c", f"set -e; set -o pipefail; {example}"],
        cwd=stores,
        env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [("padiff", "--help"), ("padiff-check", "--version")])
def test_an_output_without_room_is_no_divergence(arguments: tuple[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [str(PROGRAMS / arguments[0]), arguments[1]]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == f"{arguments[0]}: expected to write, found No space left on device\n"
