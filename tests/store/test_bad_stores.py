"""What is missing, damaged or hostile gets one sentence, and is never taken for data."""

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from padiff.comparing.engine import compare
from padiff.errors import (
    CorruptError,
    FormatError,
    IncompleteError,
    LocationError,
    PadiffError,
    UsageError,
)
from padiff.jsonio import dumps
from padiff.store.address import Location
from padiff.store.format import SectionHeader, digest, header_from_json, header_to_json
from padiff.store.reader import open_dump, open_dumps
from padiff.store.writer import DumpWriter, write_section
from padiff.tree import LayerTree, Node
from tests.store.backends import on
from tests.store.sections import header_of, output_of, write
from tests.stores import Layer, write_dump

ARRAY = "report/layer/forward.0"
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "run.zarr", {"layer": np.arange(6.0)})
    return tmp_path / "run.zarr"


def edit(document: Path, change: Edit) -> None:
    data = json.loads(document.read_text())
    change(data)
    document.write_text(json.dumps(data))


def read(location: Path) -> np.ndarray[Any, Any]:
    return np.asarray(open_dump(location).report["layer"].forward[0])


def one_sentence(error: pytest.ExceptionInfo[PadiffError]) -> None:
    text = str(error.value)
    assert text.startswith("expected")
    assert "\n" not in text


def test_not_a_store(tmp_path: Path, store: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("x")
    (tmp_path / "zarr2").mkdir()
    (tmp_path / "zarr2/zarr.json").write_text('{"zarr_format": 2}')
    (tmp_path / "list").mkdir()
    (tmp_path / "list/zarr.json").write_text("[]")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/zarr.json").write_text("{")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/zarr.json").write_text("[" * 100_000)
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary/zarr.json").write_bytes(b"\xff\xfe\x00")
    expected: dict[str, tuple[type[PadiffError], str]] = {
        "nothing": (LocationError, "nothing there"),
        "file": (FormatError, "found a file"),
        "empty": (FormatError, "it is empty"),
        "other": (FormatError, "notes.txt"),
        "zarr2": (FormatError, "a directory without zarr.json or any of these"),
        "list": (FormatError, "found list"),
        "broken": (FormatError, "JSON"),
        "deep": (FormatError, "nested too deeply"),
        "binary": (FormatError, "JSON"),
        "run.zarr/report": (FormatError, "found one section"),
        "run.zarr/report/layer": (IncompleteError, "found an empty store"),
    }
    for name, (kind, words) in expected.items():
        with pytest.raises(kind, match=words) as error:
            open_dumps(tmp_path / name)
        one_sentence(error)


def test_a_name_beside_it_may_be_what_was_meant(tmp_path: Path, store: Path) -> None:
    (tmp_path / "net.safetensors").touch()
    for name, hint in {
        "net.safetensor": f"did you mean net.safetensors in {tmp_path}?",
        "run.zar/step_0": f"did you mean run.zarr in {tmp_path}?",
        "run.zarr/reprt": f"did you mean report in {store}?",
        "something else": "check the path",
        "net.safetensors.d/x/y": f"did you mean net.safetensors in {tmp_path}?",
    }.items():
        with pytest.raises(LocationError, match="found nothing there: ") as error:
            open_dumps(tmp_path / name)
        assert str(error.value).endswith(f"found nothing there: {hint}")
        one_sentence(error)


@pytest.mark.parametrize("location", [None, 3, b"run.zarr", ["run.zarr"]])
def test_what_is_no_path(location: Any) -> None:
    for use in (open_dump, lambda place: DumpWriter(place, "report")):
        with pytest.raises(UsageError, match="expected the path of a padiff store, got") as error:
            use(location)
        one_sentence(error)


def test_newer_and_nonsense_formats(store: Path) -> None:
    for found in (2, 10**9, "1", True, None, 0, 1.0):
        document = json.loads((store / "zarr.json").read_text())
        document["attributes"]["padiff"]["format"] = found
        (store / "zarr.json").write_text(json.dumps(document))
        with pytest.raises(FormatError, match="format") as error:
            open_dump(store)
        one_sentence(error)


@on("zarr", "hdf5")  # elsewhere what was begun is seen when something was put, or not at all
def test_empty_and_incomplete(run: Location) -> None:
    writer = DumpWriter(run, "report", step=3)
    with pytest.raises(IncompleteError, match="step_3/report.*stopped") as error:
        open_dumps(run)
    one_sentence(error)
    with writer:
        pass
    with pytest.raises(IncompleteError, match="found an empty store") as error:
        open_dumps(run)
    one_sentence(error)


def test_groups_that_lost_their_document(tmp_path: Path) -> None:
    """They are not passed over as if nothing had been dumped there."""
    run = tmp_path / "run.zarr"
    for section in ("report", "weights"):
        write(run, {"layer": np.ones(1)}, section, step=0)
        write(run, {"layer": np.ones(1)}, section, step=1)
    (run / "step_1/report/zarr.json").unlink()
    dump = open_dump(run / "step_1")
    assert (dump.sections, dump.unfinished) == (("weights",), {"report": "step_1/report"})
    with pytest.raises(IncompleteError, match="finished report") as error:
        _ = dump.report
    one_sentence(error)
    (run / "step_1/zarr.json").unlink()
    with pytest.raises(CorruptError, match="step_1.*lost its document") as lost:
        open_dumps(run)
    one_sentence(lost)


def test_what_is_not_there(run: Location) -> None:
    with pytest.raises(LocationError, match="expected a padiff store at .*found no") as error:
        open_dumps(run)
    one_sentence(error)


def test_several_dumps_are_not_one(run: Location) -> None:
    for step in range(6):
        write(run, {"layer": np.ones(1)}, step=step)
    with pytest.raises(FormatError, match=r"found 6: name one of them \(.*step_0, .*, \.\.\.\)"):
        open_dump(run)


def test_damaged_chunks(store: Path) -> None:
    chunk = store / ARRAY / "c.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(CorruptError, match="expected 48 bytes in the chunk .* found 47") as error:
        read(store)
    one_sentence(error)
    chunk.unlink()
    with pytest.raises(CorruptError, match="expected the chunk .* to be readable") as error:
        read(store)
    one_sentence(error)
    chunk.mkdir()
    with pytest.raises(CorruptError, match="expected the chunk .* to be readable"):
        read(store)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(shape=[5]), "expected float64"),
        (lambda d: d.update(shape=[10**15]), "expected float64"),
        (lambda d: d.update(shape="6"), "shape"),
        (lambda d: d.update(shape=[-6]), "shape"),
        (lambda d: d.update(data_type="float32"), "expected float64"),
        (lambda d: d.update(data_type="string"), "dtypes"),
        (lambda d: d.update(data_type={"name": "x"}), "data_type"),
        (lambda d: d.update(node_type="group"), "node_type"),
        (lambda d: d.pop("codecs"), "codecs"),
        (lambda d: d.update(codecs=[{"name": "gzip"}]), "codecs"),
        (lambda d: d.update(codecs=["bytes"]), "codecs"),
        (lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[0]), "chunk length"),
        (lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[2, 3]), "chunk length"),
        (lambda d: d["chunk_grid"].update(name="rectilinear"), "regular"),
        (lambda d: d.update(chunk_grid=3), "chunk_grid"),
        (lambda d: d.update(zarr_format=2), "Zarr version 3"),
        (lambda d: d["codecs"][0]["configuration"].update(endian="middle"), "codecs"),
        (lambda d: d["codecs"].append({"name": "rot13"}), "rot13"),
        (lambda d: d["codecs"].append(3), "codecs"),
        (lambda d: d["chunk_key_encoding"].update(name="v2"), "default"),
        (lambda d: d["chunk_key_encoding"]["configuration"].update(separator="_"), "separator"),
        (lambda d: d.update(storage_transformers=[{"name": "x"}]), "storage transformers"),
        (lambda d: d.update(transform={"name": "log"}), "found 'transform'"),
    ],
)
def test_damaged_array_metadata(store: Path, change: Edit, words: str) -> None:
    edit(store / ARRAY / "zarr.json", change)
    with pytest.raises(FormatError, match=words) as error:
        read(store)
    one_sentence(error)


def test_what_changes_no_element_is_left_to_others(store: Path) -> None:
    """Other tools add attributes, and keys that need not be understood."""
    before = read(store)

    def change(data: dict[str, Any]) -> None:
        data.update(attributes={"units": "m"}, fill_value=7.0, storage_transformers=[])
        data.update(note={"must_understand": False})

    edit(store / ARRAY / "zarr.json", change)
    assert (read(store) == before).all()


def test_missing_arrays(store: Path) -> None:
    (store / ARRAY / "zarr.json").unlink()
    with pytest.raises(CorruptError, match="expected an array at") as error:
        read(store)
    one_sentence(error)


@pytest.mark.parametrize("path", ["../../../etc", "/etc/passwd", "a/../../b", "", "a//b", "..\\x"])
def test_a_tree_that_leaves_its_section(run: Location, path: str) -> None:
    with write_section(run, "report") as writer:
        record = output_of(writer.add("layer/forward.0", np.ones(2)), 0)
        hostile = replace(record, array=path)
        tree = LayerTree((Node("Net", "", 0, 0, tensors=(hostile,)),))
        writer.finish(header_of(tree))
    with pytest.raises(CorruptError, match="arrays inside it") as error:
        open_dump(run).report[""].forward[0]
    one_sentence(error)


def header(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["attributes"]["padiff"]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda d: header(d).update(model="Other"),
        lambda d: header(d)["tree"][0].update(order=7),
        lambda d: header(d)["tree"][0]["children"][0]["tensors"][0].update(array="x"),
        lambda d: header(d).update(unknown=1),
        lambda d: header(d).update(digest="0" * 32),
        lambda d: header(d).update(number=10**400),
    ],
)
def test_a_header_that_was_changed(store: Path, change: Edit) -> None:
    edit(store / "report/zarr.json", change)
    with pytest.raises(CorruptError, match="digest") as error:
        _ = open_dump(store).report
    one_sentence(error)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(attributes=[]),
        lambda d: d.update(attributes={}),
        lambda d: d["attributes"].update(padiff=None),
        lambda d: header(d).pop("tree"),
        lambda d: header(d).pop("digest"),
    ],
)
def test_a_header_that_is_none(store: Path, change: Edit) -> None:
    edit(store / "report/zarr.json", change)
    with pytest.raises(FormatError) as error:
        _ = open_dump(store).report
    one_sentence(error)


def header_with(change: Edit) -> SectionHeader:
    """What is read from a header that was changed and is intact as such."""
    data = json.loads(header_to_json(header_of(LayerTree((Node("Net", "", 0, 0),)))))
    change(data)
    del data["digest"]
    text = dumps(data).encode(errors="surrogatepass")
    sealed = text[:-1] + f',"digest":"{digest(text)}"}}'.encode()
    return header_from_json(sealed, "here")


def tree_of(**changes: object) -> LayerTree:
    """The tree of a header with these keys in the model's node."""
    return header_with(lambda data: data["tree"][0].update(changes)).tree


def set_environment(environment: object, data: dict[str, Any]) -> None:
    data["environment"] = environment


def test_an_environment_is_flat_and_bounded() -> None:
    for good in (None, {}, {"a" * 100: "b" * 100, "threads": 2, "share": 0.5, "on": True}):
        assert header_with(partial(set_environment, good)).environment == good
    bad: list[object] = [
        *([], "linux", 3, {"a": None}, {"a": {}}, {"a": ["b"]}, {"a": "b" * 101}, {"a" * 101: 1}),
        *({str(number): 1 for number in range(101)}, {"a": 10**30}),
    ]
    for environment in bad:
        with pytest.raises(FormatError, match="here") as error:
            header_with(partial(set_environment, environment))
        one_sentence(error)


def test_trees_of_wrong_types_are_told_apart_from_damage() -> None:
    assert tree_of().roots[0].name == "Net"
    for key in ("name", "route", "call", "order", "type", "repr", "stack", "tensors", "children"):
        values: list[object] = [3.5, "x", [3], {}, None, -1, True]
        for value in values:
            if (key, value) in (("name", "x"), ("route", "x"), ("repr", "x")):
                continue
            with pytest.raises(FormatError, match="here") as error:
                tree_of(**{key: value})
            one_sentence(error)


def test_half_a_character_where_only_a_few_words_are_known() -> None:
    """Names may hold it, which UTF-8 cannot tell."""
    assert tree_of(name="\ud800").roots[0].name == "\ud800"
    with pytest.raises(FormatError, match="here") as error:
        tree_of(type="\ud800")
    one_sentence(error)


def test_trees_too_deep_for_any_model() -> None:
    node = Node("Net", "", 0, 0)
    for _ in range(300):
        node = Node("Net", "", 0, 0, children=(node,))
    with pytest.raises(FormatError, match="at most 256 nested layers"):
        header_from_json(header_to_json(header_of(LayerTree((node,)))), "here")


def test_sections_in_the_wrong_place(store: Path) -> None:
    (store / "report").rename(store / "params")
    with pytest.raises(CorruptError, match="calls itself report") as error:
        _ = open_dump(store).params
    one_sentence(error)


def test_what_was_not_dumped(store: Path) -> None:
    dump = open_dump(store)
    with pytest.raises(ValueError, match="expected weights in .*, found report: dump it first"):
        _ = dump.weights
    with pytest.raises(KeyError, match="no call 1 of a layer 'layer' in .*: it has 1, from 0"):
        _ = dump.report["layer", 1]
    with pytest.raises(KeyError, match="no layer 'layr' in .*report, which has 'layer', ..."):
        _ = dump.report["layr"]
    with pytest.raises(KeyError, match="no layer 'x' in .*report, which has '', 'layer'"):
        _ = dump.report["x"]
    with pytest.raises(IndexError, match="no tensor 1 in forward of <Layer 'layer' .* '0'"):
        _ = dump.report["layer"].forward[1]
    with pytest.raises(KeyError, match="no tensor 'logits' in forward .*, which has '0'"):
        _ = dump.report["layer"].forward["logits"]
    with pytest.raises(IndexError, match="no tensor 0 in backward .*, which has none"):
        _ = dump.report["layer"].backward[0]
    assert dump.report["layer"].input == {}


@pytest.mark.parametrize("name", ["step_1", "step_1/rank_0"])
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"zarr_format": 3, "node_type": "array"}'])
def test_a_broken_document_of_a_step_or_a_rank(tmp_path: Path, name: str, text: str) -> None:
    for step in (0, 1):
        write(tmp_path / "run.zarr", {"layer": np.ones(1)}, step=step, rank=0)
    (tmp_path / "run.zarr" / name / "zarr.json").write_text(text)
    for location in ("run.zarr", "run.zarr/step_1", f"run.zarr/{name}"):
        with pytest.raises(FormatError, match=f"{name}/zarr.json") as error:
            open_dumps(tmp_path / location)
        one_sentence(error)
    assert open_dump(tmp_path / "run.zarr/step_0").sections == ("report",)


@pytest.mark.parametrize(
    "name", ["zarr.json", "report/zarr.json", f"{ARRAY}/zarr.json", f"{ARRAY}/c.0"]
)
@pytest.mark.parametrize("held_open", [False, True])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(
    store: Path, name: str, held_open: bool
) -> None:
    (store / name).unlink()
    os.mkfifo(store / name)
    with ExitStack() as stack:
        if held_open:
            ends = os.open(store / name, os.O_RDWR)
            stack.callback(os.close, ends)
        with pytest.raises(FormatError) as error:
            read(store)
    one_sentence(error)


@pytest.mark.parametrize("name", ["zarr.json", f"{ARRAY}/zarr.json", f"{ARRAY}/c.0"])
def test_a_device_without_an_end_in_the_place_of_a_file(store: Path, name: str) -> None:
    (store / name).unlink()
    (store / name).symlink_to("/dev/zero")
    with pytest.raises(FormatError) as error:
        read(store)
    one_sentence(error)


@pytest.mark.parametrize("name", ["zarr.json", "report/zarr.json", f"{ARRAY}/zarr.json"])
def test_a_document_longer_than_any_is(store: Path, name: str) -> None:
    with (store / name).open("r+b") as document:
        document.truncate(2**42)  # a hole: it takes no room on disk
    with pytest.raises(FormatError, match="which no document has") as error:
        read(store)
    one_sentence(error)


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ([10**12], [1]),
        ([2**70], [2**70]),
        ([2**62], [2**62]),
        ([2**59], [2**59]),
        ([0, 2**62], [1, 2**62]),
        ([1] * 65, [1] * 65),
        ([6], [2**50]),
    ],
    ids=str,
)
def test_sizes_that_no_machine_holds(tmp_path: Path, shape: list[int], chunk: list[int]) -> None:
    """Told at once, whatever the tree and the array agree on."""
    for name in ("base", "raw"):
        write_dump(tmp_path / name, Layer("", "Net", out=np.arange(6.0)))
        grown(tmp_path / name / "report", shape, chunk)
    started = time.process_time()  # whatever else the machine does
    with pytest.raises(FormatError) as error:
        compare(tmp_path / "base", tmp_path / "raw")
    one_sentence(error)
    assert time.process_time() - started < 5


def grown(section: Path, shape: list[int], chunk: list[int]) -> None:
    """A section whose one tensor has another shape, in its tree as well, and digests to fit."""
    document = section / "~0/forward.0/zarr.json"

    def grow(data: dict[str, Any]) -> None:
        data["shape"] = shape
        data["chunk_grid"]["configuration"]["chunk_shape"] = chunk

    def agree(data: dict[str, Any]) -> None:
        tensor = header(data)["tree"][0]["tensors"][0]
        # the chunks of either side differ, so that something is read
        tensor.update(shape=shape, chunks=[str(section)], metadata=digest(document.read_bytes()))
        body = {key: value for key, value in header(data).items() if key != "digest"}
        header(data)["digest"] = digest(dumps(body).encode())

    edit(document, grow)
    edit(section / "zarr.json", agree)


def test_a_tree_with_digests_of_other_chunks(run: Location) -> None:
    with write_section(run, "report") as writer:
        record = output_of(writer.add("layer/forward.0", np.ones(2)), 0)
        other = replace(record, chunks=record.chunks * 2)
        writer.finish(header_of(LayerTree((Node("Net", "", 0, 0, tensors=(other,)),))))
    with pytest.raises(CorruptError, match="expected 2 chunks in the array .* found 1") as error:
        open_dump(run).report[""].forward[0]
    one_sentence(error)
