"""The command: what it prints where, its exit codes, and that no bad input makes it fall over."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from padiff.cli.check_command import command
from padiff.cli.commands import group
from padiff.store.format import LONGEST_HEADER
from tests.stores import Layer, write_dump

COMMAND = Path(sys.executable).with_name("padiff-check")
Y = np.arange(12, dtype=np.float32).reshape(3, 4)


def net(off: float = 0) -> Layer:
    return Layer("", "Net", out=Y + off, back=Y, children=[Layer("fc", "Linear", out=Y + off)])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_dump(tmp_path / "base.zarr", net())


@pytest.fixture
def same(tmp_path: Path) -> Path:
    return write_dump(tmp_path / "same.zarr", net(), framework="paddle")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_dump(tmp_path / "other.zarr", net(0.25))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_aligned_exits_0(base: Path, same: Path) -> None:
    result = run(base, same)
    assert result.exit_code == 0
    assert result.stdout.startswith("ALIGNED: 3 tensors of report agree")
    assert result.stderr == ""


def test_diverged_exits_1_and_says_where(base: Path, other: Path) -> None:
    result = run(base, other)
    assert result.exit_code == 1
    assert "First divergence: Forward stage, output 0" in result.stdout
    assert re.search(r"fc \(Linear\)  <---  \*\*\* HERE \*\*\*", result.stdout)
    assert "atol 0.25 would have passed" in result.stdout


def test_quiet_prints_nothing(base: Path, same: Path, other: Path) -> None:
    for raw, code in ((same, 0), (other, 1)):
        result = run(base, raw, "-q")
        assert (result.exit_code, result.output) == (code, "")


def test_json_on_standard_output_is_one_document_and_nothing_else(base: Path, other: Path) -> None:
    result = run(base, other, "--json", "-")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert document["verdict"] == "diverged"
    assert document["first_divergence"]["base"]["route"] == "fc"
    assert document["criterion"] == {"mode": "mean", "atol": 1e-4, "rtol": 1e-7}


def test_json_and_html_to_files(tmp_path: Path, base: Path, other: Path) -> None:
    target, page = tmp_path / "out.json", tmp_path / "out.html"
    target.write_text("old")
    result = run(base, other, "--json", target, "--html", page)
    assert result.stdout.startswith("NOT ALIGNED")
    assert json.loads(target.read_text())["totals"]["diverged"] == 2
    assert "<h1>NOT ALIGNED" in page.read_text()
    assert '"close_ups":[{"record":0,' in page.read_text()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"base.zarr", "other.zarr", "out.json", "out.html"}


def test_options_reach_the_comparison(base: Path, other: Path) -> None:
    assert run(base, other, "--atol", "0.3").exit_code == 0
    assert run(base, other, "--rtol", "1e9", "--mode", "strict").exit_code == 1  # 0 stays 0
    assert run(base, other, "--phase", "backward").exit_code == 0
    assert run(base, other, "--layer", "fc", "--section", "report").exit_code == 1
    assert run(base, other, "--jobs", "1").exit_code == 1


def test_strict_structure(tmp_path: Path, base: Path) -> None:
    extra = Layer(
        "", "Net", out=Y, back=Y, children=[Layer("fc", "Linear", out=Y), Layer("x", "Z")]
    )
    raw = write_dump(tmp_path / "raw.zarr", extra)
    assert run(base, raw).exit_code == 0
    assert "raw   x (Z) in report" in run(base, raw).stdout
    assert run(base, raw, "--strict-structure").exit_code == 1


def test_steps_and_ranks(tmp_path: Path) -> None:
    for name, off in (("base", 0.0), ("raw", 1.0)):
        for step in (0, 1):
            write_dump(tmp_path / name, net(off * step), step=step, rank=0)
    base, raw = tmp_path / "base", tmp_path / "raw"
    assert run(base, raw).exit_code == 1
    assert run(base, raw, "--step", "0", "--rank", "0").exit_code == 0
    assert "Forward stage, step 1, rank 0" in run(base, raw, "--step", "0", "--step", "1").stdout


BAD = {
    "no such path": (["{base}", "{tmp}/nothing"], "found nothing there"),
    "a file": (["{base}", "{tmp}/file"], "found a file"),
    "an empty directory": (["{tmp}/empty", "{base}"], "empty"),
    "an absent step": (["{base}", "{base}", "--step", "3"], "expected step 3"),
    "an absent section": (["{base}", "{base}", "--section", "grads"], "expected grads"),
    "no such layer": (["{base}", "{base}", "--layer", "no*"], "route fits no*"),
    "a negative tolerance": (["{base}", "{base}", "--atol", "-1"], "finite number >= 0"),
    "a tolerance that is none": (["{base}", "{base}", "--rtol", "nan"], "finite number >= 0"),
    "no jobs": (["{base}", "{base}", "--jobs", "0"], "at least 1 job"),
    "too many jobs": (["{base}", "{base}", "--jobs", "100000"], "at most 256, got 100000"),
    "no file": (["{base}", "{base}", "--json", ""], "a file name or - after --json"),
    "one file for both": (["{base}", "{base}", "--json", "-", "--html", "-"], "different files"),
    "a directory as a file": (["{base}", "{base}", "--html", "{tmp}"], "Is a directory"),
    "a place that cannot be written": (
        ["{base}", "{base}", "--json", "{tmp}/file/x"],
        "expected to write {tmp}/file/x, but the file system refused",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line_and_exit_2(tmp_path: Path, base: Path, name: str) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").mkdir()
    arguments, words = BAD[name]
    result = run(*(argument.format(base=base, tmp=tmp_path) for argument in arguments))
    assert result.exit_code == 2
    assert result.stderr.startswith("padiff-check: ")
    assert words.format(tmp=tmp_path) in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_directories_on_the_way_to_a_file_are_made(tmp_path: Path, base: Path) -> None:
    files = [tmp_path / place / "file" for place in ("a", "b/c", "d", "e", "f")]
    weights = write_dump(tmp_path / "weights", Layer("", "N", weights={"w": Y}), section="weights")
    assert run(base, base, "--json", files[0], "--html", files[1]).exit_code == 0
    for words in (
        ["verify", base, "--json", files[2]],
        ["suggest-map", weights, weights, "-o", files[3]],
        ["convert", weights, files[4], "--format", "npz"],
    ):
        assert CliRunner().invoke(group, [str(word) for word in words]).exit_code == 0, words
    assert all(file.is_file() for file in files)


def test_wrong_words_exit_2(base: Path) -> None:
    for words in ([base], [base, base, "--mode", "max"], [base, base, "--nonsense"]):
        result = run(*words)
        assert result.exit_code == 2
        assert "Traceback" not in result.output


def test_names_that_steer_a_terminal_come_out_spelled(tmp_path: Path, base: Path) -> None:
    evil = "\x1b[31mfc\x07\r\n\u202e"
    models = [Layer("", evil, out=Y, children=[Layer(evil, evil, out=Y + off)]) for off in (0, 1.0)]
    locations = [write_dump(tmp_path / str(n), model) for n, model in enumerate(models)]
    page = tmp_path / "page.html"
    result = run(*locations, "--html", page)
    assert result.exit_code == 1
    for char in "\x1b\x07\r\u202e":
        assert char not in result.stdout
        assert char not in page.read_text()
    assert "\\x1b[31mfc\\x07\\r\\n\\u202e" in result.stdout
    missing = run(base, tmp_path / evil)
    assert missing.exit_code == 2
    assert "\x1b" not in missing.stderr


def test_html_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    models = [
        Layer("", evil, out=Y + off, children=[Layer(evil, evil, out={evil: Y})]) for off in (0, 1)
    ]
    locations = [write_dump(tmp_path / str(n), model) for n, model in enumerate(models)]
    run(*locations, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "&lt;script&gt;" in page
    assert "\\u003cscript\\u003e" in page
    assert evil not in page
    assert page.count("<script") == 3  # the document, the charts, the page's own


def processor_time() -> float:
    """Seconds that finished child processes took, whatever else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_shows_examples_and_is_quick() -> None:
    best = 9.0
    for _ in range(3):
        before = processor_time()
        done = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True)
        best = min(best, processor_time() - before)
    assert "padiff-check torch.zarr paddle.zarr" in done.stdout
    assert "Exit code" in done.stdout
    assert best < 0.3


def test_a_process_of_its_own(base: Path, other: Path) -> None:
    done = subprocess.run([COMMAND, base, other], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("NOT ALIGNED")


def test_a_reader_that_leaves_early_does_not_change_the_exit_code(base: Path, other: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [COMMAND, base, other], stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores whose document is far larger than a pipe takes."""

    def layers(off: float) -> Layer:
        children = [Layer(f"l{n}", "Linear", out=Y + off) for n in range(200)]
        return Layer("", "Net", out=Y, children=[*children, Layer("fc", "Linear", out=Y)])

    directory = tmp_path_factory.mktemp("many")
    return write_dump(directory / "0", layers(0)), write_dump(directory / "1", layers(1))


def test_interrupting_takes_one_line(tmp_path: Path, many: tuple[Path, Path]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [COMMAND, many[0], many[0], "--json", pipe],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # whoever runs the tests may have been started with interrupts ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with pipe.open("rb") as reader:  # returns once the command begins to write
        reader.read(1)  # and what it has to write does not fit into the pipe
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (130, b"", b"padiff-check: stopped\n")


INTERRUPTED = """
import atexit, os, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

moment = sys.argv.pop(1)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
if moment == "the end":
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
from padiff.cli import check
check()
"""


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("click", 130),
        ("padiff.errors", 130),
        ("padiff.comparing.engine", 130),
        ("padiff.render.terminal", 130),
        ("the end", 1),
    ],
)
def test_interrupting_takes_no_more_than_a_line_at_any_moment(
    base: Path, other: Path, moment: str, code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, moment, base, other], capture_output=True, text=True
    )
    begun = moment.startswith("padiff.") and moment != "padiff.errors"
    assert (done.returncode, done.stderr) == (code, "padiff-check: stopped\n" if begun else "")
    assert done.stdout.startswith("NOT ALIGNED") == (code == 1)


@pytest.mark.parametrize(
    ("moment", "words", "told"),
    [
        ("difflib", ["--nonsense"], "\n"),  # while words are made sense of
        ("numpy._core", [], "padiff-check: stopped\n"),  # of which half cannot be loaded again
    ],
)
def test_interrupting_what_is_loaded(
    base: Path, other: Path, moment: str, words: list[str], told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, moment, base, other, *words],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", told)


ODD = "f\u00e7\u20ac"


@pytest.fixture
def named_oddly(tmp_path: Path) -> list[Path]:
    models = [Layer("", "Net", out=Y + off, children=[Layer(ODD, "L")]) for off in (0, 1)]
    return [write_dump(tmp_path / str(n), model) for n, model in enumerate(models)]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "koi8-r"])
def test_names_that_an_output_cannot_hold_are_spelled_out(
    named_oddly: list[Path], encoding: str
) -> None:
    runner = CliRunner(charset=encoding)
    done = runner.invoke(command, [str(location) for location in named_oddly])
    assert (done.exit_code, done.stderr_bytes) == (1, b"")
    spelled = ODD.encode(encoding, "backslashreplace").decode(encoding)
    assert spelled in done.stdout_bytes.decode(encoding)
    document = runner.invoke(command, [*map(str, named_oddly), "--json", "-"])
    assert json.loads(document.stdout_bytes.decode("utf-8"))["verdict"] == "diverged"
    missing = runner.invoke(command, [ODD, ODD])
    assert missing.exit_code == 2
    assert b"found nothing there" in missing.stderr_bytes


def test_a_process_whose_outputs_have_another_encoding(named_oddly: list[Path]) -> None:
    encoding = "utf-16"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [COMMAND, *named_oddly]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (1, b"")
    spelled = ODD.encode(encoding, "backslashreplace").decode(encoding)
    assert spelled in done.stdout.decode(encoding)
    document = subprocess.run([*command, "--json", "-"], env=environment, capture_output=True)
    assert json.loads(document.stdout.decode("utf-8"))["verdict"] == "diverged"
    missing = subprocess.run([COMMAND, ODD, ODD], env=environment, capture_output=True)
    assert missing.returncode == 2
    assert b"found nothing there" in missing.stderr.replace(b"\0", b"")
    assert b"Traceback" not in missing.stderr


def test_half_characters_in_names_leave_valid_documents(tmp_path: Path) -> None:
    models = [Layer("", "N\ud800", out=Y + off, children=[Layer("\udcff", "L")]) for off in (0, 1)]
    locations = [write_dump(tmp_path / str(n), model) for n, model in enumerate(models)]
    page, target = tmp_path / "page.html", tmp_path / "out.json"
    assert run(*locations, "--json", target, "--html", page).exit_code == 1
    assert json.loads(target.read_text("utf-8"))["base"]["model"] == "N\ud800"
    assert page.read_text("utf-8")
    assert run(*locations, "--json", "-").stdout == target.read_text()


def test_the_page_on_standard_output(tmp_path: Path, base: Path, other: Path) -> None:
    result = run(base, other, "--html", "-", "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "<h1>NOT ALIGNED" in result.stdout
    assert result.stdout.endswith("</html>\n")
    assert not Path("-").exists()
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] == "diverged"


@pytest.mark.parametrize("options", [["--json", "-"], []])
def test_an_output_that_is_full(many: tuple[Path, Path], options: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, *many, *options], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == (
        "padiff-check: expected to write to standard output, but the system refused: "
        "No space left on device\n"
    )


def test_a_standard_error_that_is_full(base: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        assert subprocess.run([COMMAND, base, tmp_path / "nothing"], stderr=full).returncode == 2


def test_a_document_whose_reader_leaves_early(many: tuple[Path, Path]) -> None:
    process = subprocess.Popen(
        [COMMAND, *many, "--json", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(1) == b"{"
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_closed_outputs(base: Path, other: Path) -> None:
    command = f"'{COMMAND}' '{base}' '{other}' >&- 2>&-"
    assert subprocess.run(["sh", "-c", command]).returncode == 1


def test_too_little_memory(base: Path, other: Path) -> None:
    with (other / "report/zarr.json").open("r+b") as document:
        document.truncate(LONGEST_HEADER)
    done = subprocess.run(
        [COMMAND, base, other],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch("padiff-check: expected more memory .*fewer --jobs\n", done.stderr)


def test_what_may_not_be_read(tmp_path: Path) -> None:
    """As root anything may be: so as nobody, in a directory where that one may go."""
    if os.getuid():
        pytest.skip("only root can become nobody")
    script = """
import os, sys
import padiff.cli, padiff.comparing.engine, padiff.render.page, padiff.render.terminal
os.setuid(65534)
padiff.cli.check()
"""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        base = write_dump(place / "base", net())
        raw = write_dump(place / "raw", net())
        layer = raw / "report/fc/forward.0"
        for hidden in (raw, raw / "zarr.json", raw / "report", layer, layer / "c.0.0"):
            mode = hidden.stat().st_mode
            hidden.chmod(0)
            done = subprocess.run(
                [sys.executable, "-c", script, base, raw], capture_output=True, text=True
            )
            hidden.chmod(mode)
            assert (done.returncode, done.stdout) == (2, "")
            assert re.fullmatch(r"padiff-check: expected .*Permission denied.*\n", done.stderr)


def test_a_document_for_a_pipe_that_another_reads(base: Path, other: Path) -> None:
    done = subprocess.run(
        f"{COMMAND} {base} {other} -q --json /dev/stdout | cat", shell=True, capture_output=True
    )
    assert (json.loads(done.stdout)["verdict"], done.stderr) == ("diverged", b"")
