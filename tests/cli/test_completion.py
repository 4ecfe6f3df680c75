"""Completion as a user sees it: a real shell on a terminal, with the script that is printed."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import need

PROGRAMS = Path(sys.executable).parent
PATIENCE = 30.0  # seconds: the machine may be busy


# How each is started without what a user has set, and what makes it as plain as can be.
SHELLS = {
    "bash": (
        ["--norc", "--noprofile", "-i"],
        "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
    ),
    "zsh": (["-f", "-i"], "unset zle_bracketed_paste; autoload -U compinit; compinit -D -u"),
    "fish": (["--no-config", "-i"], "function fish_prompt; echo '> '; end"),
}


class Shell:
    """An interactive shell, and all that it has shown."""

    def __init__(self, name: str, directory: Path) -> None:
        options, plain = SHELLS[name]
        self.process, self.terminal = pty.fork()
        if not self.process:
            os.chdir(directory)
            os.environ |= {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "> "}
            os.environ["HOME"] = str(directory)
            os.execvp(name, [name, *options])
        self.run(plain)

    def type(self, keys: str, shows: str, patience: float = PATIENCE) -> str:
        """Type; wait until what is asked for is seen."""
        os.write(self.terminal, keys.encode())
        seen, until = "", time.monotonic() + patience
        while shows not in seen:
            ready, _, _ = select.select([self.terminal], [], [], max(0, until - time.monotonic()))
            assert ready, f"expected {shows!r} after typing {keys!r}, saw {seen!r}"
            seen += os.read(self.terminal, 10_000).decode()
        return seen

    def run(self, command: str) -> None:
        self.type(f"{command}; echo do''ne\n", "done\r\n")

    def completed(self, line: str, to: str) -> None:
        """A line becomes another by a tab, and is then wiped."""
        self.type(f"{line}\t", to)
        self.type("\x15\n", "> ")

    def listed(self, line: str, last: str) -> list[str]:
        """What two tabs list below a line."""
        seen = self.type(f"{line}\t\t", last)
        self.type("\x15\n", "> ")
        return re.findall(r"[\w.-]+", seen.partition("\n")[2])

    def close(self) -> None:
        os.write(self.terminal, b"\x15\nexit\n")
        os.waitpid(self.process, 0)
        os.close(self.terminal)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("place")
    (directory / "run.zarr/step_9").mkdir(parents=True)
    (directory / "other.h5").touch()
    return directory


@pytest.fixture(scope="module")
def bash(place: Path) -> Iterator[Shell]:
    need("bash")
    shell = Shell("bash", place)
    shell.run('eval "$(padiff completion bash)"')
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("line", "to"),
    [
        ("padiff insp", "padiff inspect "),
        ("padiff diff", "padiff diff-tree "),
        ("padiff inspect --st", "padiff inspect --stats "),
        ("padiff inspect ru", "padiff inspect run.zarr/"),
        ("padiff inspect run.zarr/s", "padiff inspect run.zarr/step_9/"),
        ("padiff diff-tree run.zarr ot", "padiff diff-tree run.zarr other.h5 "),
        ("padiff verify run.zarr ot", "padiff verify run.zarr other.h5 "),
        ("padiff check run.zarr other.h5 --mode s", "--mode strict "),
        ("padiff-check --section w", "padiff-check --section weights "),
        ("padiff-check ru", "padiff-check run.zarr/"),
        ("padiff-check run.zarr run.zarr --html ot", "--html other.h5 "),
        ("padiff-check run.zarr run.zarr --map ot", "--map other.h5 "),
        ("padiff suggest-map run.zarr run.zarr -o ot", "-o other.h5 "),
        ("padiff completion f", "padiff completion fish "),
    ],
)
def test_a_tab_completes(bash: Shell, line: str, to: str) -> None:
    bash.completed(line, to)


@pytest.mark.parametrize(
    ("name", "script"),
    [("zsh", 'eval "$(padiff completion zsh)"'), ("fish", "padiff completion fish | source")],
)
def test_a_tab_completes_in_other_shells(place: Path, name: str, script: str) -> None:
    need(name)
    shell = Shell(name, place)
    shell.run(script)
    shell.completed("padiff insp", "padiff inspect ")
    shell.completed("padiff inspect run.zarr/s", "padiff inspect run.zarr/step_9/")
    shell.completed("padiff-check --map ot", "padiff-check --map other.h5 ")
    shell.close()


def test_two_tabs_list_all_there_is(bash: Shell) -> None:
    found = bash.listed("padiff ", "suggest-map")  # the last in the last of two lines
    assert {"check", "completion", "diff-tree", "inspect", "verify"} <= set(found)
    assert {"both", "forward", "backward"} <= set(bash.listed("padiff-check --phase ", "both"))


def test_without_the_script_nothing_is_completed(bash: Shell) -> None:
    """So that it is this that is tested."""
    bash.run("complete -r padiff")
    with pytest.raises(AssertionError, match="expected 'padiff inspect '"):
        bash.type("padiff insp\t", "padiff inspect ", patience=1.0)
    bash.type("\x15\n", "> ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(shell: str) -> None:
    need(shell)
    script = subprocess.run([PROGRAMS / "padiff", "completion", shell], capture_output=True)
    done = subprocess.run([shell, "-n"], input=script.stdout, capture_output=True)
    assert (script.returncode, done.returncode, done.stderr) == (0, 0, b"")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_the_scripts_of_other_shells_ask_for(shell: str) -> None:
    """Each asks the command itself, by a variable of its own."""
    script = subprocess.run(
        [PROGRAMS / "padiff", "completion", shell], capture_output=True, text=True
    ).stdout
    words = {"zsh": ("padiff insp", "1"), "fish": ("padiff insp", "insp")}[shell]
    for name in ("PADIFF", "PADIFF_CHECK"):
        assert f"_{name}_COMPLETE={shell}_complete" in script
    environment = {
        **os.environ,
        "_PADIFF_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words[0],
        "COMP_CWORD": words[1],
    }
    done = subprocess.run([PROGRAMS / "padiff"], env=environment, capture_output=True, text=True)
    assert "inspect" in done.stdout
    assert "verify" not in done.stdout
