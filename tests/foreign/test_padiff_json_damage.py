"""Dumps of the old PaDiff that were moved, damaged, or made to harm."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import padiff
from padiff.cli.check_command import command
from padiff.errors import CorruptError, LocationError

SAMPLES = Path(__file__).parents[1] / "samples/padiff_json"
TENSOR = "tensors/tensor_3.npy"


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A dump without directories of a step or a rank, moved from where its JSON says."""
    shutil.copytree(SAMPLES / "objects/torch/step_0/rank_0", tmp_path / "dump")
    return tmp_path / "dump"


def rewrite(dump: Path, change: Callable[[Any], object], name: str = "report") -> None:
    path = dump / f"{name}.json"
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))


def refused(dump: Path) -> str:
    """The sentence with which the command refuses to compare it."""
    other = SAMPLES / "objects/paddle/step_0/rank_0"
    result = CliRunner().invoke(command, [str(dump), str(other)])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.rstrip("\n").splitlines()
    return line


def point(dump: Path, path: str) -> None:
    """Have the first call of `body` say that its output lies at `path`."""
    rewrite(dump, lambda held: held["tree"][0]["children"][0]["fwd_outputs"][0].update(path=path))


def test_it_may_be_moved_and_lie_beside_what_its_json_names(dump: Path) -> None:
    moved = padiff.compare(dump, SAMPLES / "objects/torch/step_0/rank_0", mode="strict", atol=0)
    assert moved.aligned
    # where the run had them lies another dump now
    copied = dump.with_name("copied")
    shutil.copytree(dump, copied)
    text = (copied / "report.json").read_text()
    here = re.sub(r'"/[^"]*/rank_0/', f'"{dump}/', text)
    assert here.count(f'"{dump}/tensors/') == 15
    (copied / "report.json").write_text(here)
    np.save(dump / TENSOR, np.load(dump / TENSOR) + 1)
    original = np.load(copied / TENSOR)
    assert np.array_equal(padiff.open_dump(copied).report["body"].backward[0], original)
    # and so it is where they lie deeper than the old PaDiff put them
    (dump / "a/b").mkdir(parents=True)
    np.save(dump / "a/b/x.npy", original * 2)
    point(dump, f"{dump}/a/b/x.npy")
    assert np.array_equal(padiff.open_dump(dump).report["body"].forward[0], original * 2)
    point(dump, "C:\\run\\tensors\\tensor_3.npy")
    assert np.array_equal(padiff.open_dump(dump).report["body"].forward[0], original + 1)


def test_no_file_outside_is_read(dump: Path) -> None:
    outside = dump.parent / "outside.npy"
    np.save(outside, np.zeros((5, 4), np.float32))
    (dump.parent / "tensors").mkdir()
    shutil.copy(outside, dump.parent / "tensors")
    # each of these could be read
    for path in (str(outside), "../outside.npy", f"{dump}/../outside.npy", "../../etc/passwd"):
        point(dump, path)
        sentence = refused(dump)
        assert f"names at {dump}/" in sentence or "expected paths of files" in sentence
    for path in ("", ".", "..", "/", "tensors/..", "tensors/\0", "tensors/\ud800"):
        point(dump, path)
        assert "expected paths of files in" in refused(dump)
    for path in (str(outside), f"{dump.parent}/tensors/outside.npy"):
        point(dump, path)
        assert "found none: copy the whole directory again" in refused(dump)


@pytest.mark.parametrize("link", [TENSOR, "tensors"])
def test_no_link_leads_outside(link: str, dump: Path) -> None:
    outside = dump.parent / "outside"
    shutil.move(dump / link, outside)
    (dump / link).symlink_to(outside)
    assert "found a link that leads out of it" in refused(dump)


def test_a_file_that_is_missing_cut_short_or_another(dump: Path) -> None:
    path = dump / TENSOR
    data = path.read_bytes()
    for end in (0, 5, 60, len(data) - 1):
        path.write_bytes(data[:end])
        assert str(path) in refused(dump)
    np.save(path, np.zeros((4, 5), np.float32))
    assert f"expected [5, 4] elements along the axes of {path}" in refused(dump)
    np.save(path, np.array([{}], object), allow_pickle=True)
    assert "Python objects, which padiff does not unpickle" in refused(dump)
    path.unlink()
    assert f"expected the array that {dump}/report.json names at {path}, found none" in refused(
        dump
    )
    path.mkdir()
    assert "found no regular file" in refused(dump)


def test_a_changed_file_is_noticed_when_it_is_read(dump: Path) -> None:
    array = padiff.open_dump(dump).report["body"].backward
    np.save(dump / TENSOR, np.zeros((4, 5), np.float32))
    with pytest.raises(CorruptError, match=r"expected float32\[5, 4\]"):
        array[0]
    section = padiff.open_dump(SAMPLES / "strings/torch").report
    assert section["head"].forward[0].shape == (5, 3)


def nested(depth: int) -> str:
    node = '{"name": "N", "route": "r", "children": ['
    return f'{{"model_name": "", "framework": "", "tree": [{node * depth}{"]}" * depth}]}}'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "found text that is not: Expecting value"),
        ('{"model_name": "N", "fram', "found text that is not: Unterminated string"),
        ('{"tree": NaN}', "found text that is not: NaN is no JSON number"),
        ('{"tree": []}', "missing required field `model_name`"),
        ('{"model_name": 1, "framework": "", "tree": []}', "Expected `str`, got `int`"),
        ('{"model_name": "", "framework": "", "tree": 3}', "got `int` - at `$.tree`"),
        ('{"model_name": "", "framework": "", "tree": [{"name": ""}]}', "`$.tree[0]`"),
        ('["tree"]', "Expected `object`, got `array`"),
        (nested(258), "expected at most 256 nested layers in"),
        (nested(100_000), "recursion"),
        (f'{{"tree": [], "x": {"[" * 100_000}', "recursion"),
    ],
    ids=range(11),
)
def test_hostile_json(text: str, sentence: str, dump: Path) -> None:
    (dump / "report.json").write_text(text)
    assert sentence in refused(dump)
    summary = padiff.inspect(dump)
    assert [section.section for section in summary.sections] == ["params"]
    assert len(summary.damages) == 1


def test_hostile_values(dump: Path) -> None:
    rewrite(dump, lambda held: held.update(first_input_dir="../tensors"))
    assert "found none" in refused(dump)
    rewrite(dump, lambda held: held.update(first_input_dir="first_input", first_input_count=10**12))
    assert "input_1.npy, found none" in refused(dump)
    rewrite(dump, lambda held: held.update(first_input_count=1))
    rewrite(dump, lambda held: held["tree"]["weights"].update(w=None), "params")
    assert "Expected `str`, got `null`" in refused(dump)
    rewrite(dump, lambda held: held["tree"]["weights"].update(w="/etc/passwd"), "params")
    assert f"names at {dump}/etc/passwd, found none" in refused(dump)


def test_a_report_that_was_not_finished(dump: Path) -> None:
    (dump / "report.json").unlink()
    assert "expected a finished report in" in refused(dump)
    assert padiff.inspect(dump).unfinished == (f"{dump}/tensors",)
    (dump / "params.json").write_text("")  # as it is until the first page of it is written
    (dump / "report.json").write_text("")
    assert f"expected a JSON object in {dump}/report.json, found text that is not" in refused(dump)


def test_other_directories_are_none_of_it(tmp_path: Path, dump: Path) -> None:
    np.save(tmp_path / "weights.npy", np.zeros(3))
    (tmp_path / "weights.json").write_text('{"layers": []}')
    shutil.rmtree(dump)
    assert padiff.open_dump(tmp_path).weights.header.foreign == "a directory of .npy files"
    with pytest.raises(LocationError, match="found nothing there"):
        padiff.open_dump(SAMPLES / "strings/torch/step_7")


def test_the_oldest_form_has_one_call_and_a_list_for_a_map(dump: Path) -> None:
    def age(held: dict[str, Any]) -> None:
        (held["tree"],) = held["tree"]
        held["layer_map"] = ["torch.bn"]

    rewrite(dump, age)
    found = padiff.open_dump(dump).report
    assert len(found) == 7
    assert found.header.layer_map == ()


def test_gradients_of_several_inputs_are_not_taken_for_others(dump: Path) -> None:
    def give(held: dict[str, Any]) -> None:
        call = held["tree"][0]["children"][3]
        call["bwd_grads"] *= 2

    rewrite(dump, give)
    node = padiff.open_dump(dump).report.tree.roots[0].children[3]
    places = [tensor.place for tensor in node.tensors if tensor.phase == "backward"]
    assert places == ["grad 0", "grad 1"]


@pytest.mark.parametrize(
    "words",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-4, -5), }",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': (20, {'1, ' * 64}), }}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 4",
        "{'descr': ',4', 'fortran_order': False, 'shape': (5, 4), }",
        f"{{'descr': {'-' * 5000}1}}",
    ],
    ids=range(5),
)
def test_a_header_that_is_no_array_of_numpy(words: str, dump: Path) -> None:
    header = f"{words}\n".encode()
    start = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    (dump / TENSOR).write_bytes(start + bytes(80))
    assert f"expected an array as NumPy saves it at {dump / TENSOR}" in refused(dump)
