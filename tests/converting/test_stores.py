"""From one store of padiff's to another: the same dumps, the same trees, the same elements."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict_saver import save as save_distributed

import padiff
from padiff.converting.convert import convert
from padiff.errors import UsageError
from padiff.render.inspection import render
from padiff.render.terminal import render as text_of
from padiff.store.address import Location
from padiff.store.format import SectionHeader
from padiff.store.reader import open_dumps
from padiff.store.storage import Storage
from tests.stores import Layer, write_dump

Y = np.arange(24, dtype=np.float32).reshape(6, 4)

destinations = pytest.mark.parametrize(
    "destination", ["made.zarr", "made.zarr.zip", "made.h5", "memory://made.zarr"]
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of a model that was really run."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "run.zarr"
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.GELU())
    model = padiff.create_model(net, "Net", inputs=True)
    model.set_layer_map([net[0]])
    for _ in range(2):
        model.backward(model(torch.randn(3, 4)).square().mean())
        model.try_dump(1, path)
    return path


def at(destination: str, tmp_path: Path) -> Location:
    """A place of its own for each test."""
    if "://" in destination:
        return destination.replace("://", f"://{tmp_path.name}/")
    return tmp_path / destination


def headers(location: Location) -> Iterator[tuple[object, SectionHeader]]:
    for place, dump in open_dumps(location).dumps.items():
        for name in dump.sections:
            yield (place, name), dump.section(name).header


@destinations
def test_all_of_a_run(run: Path, destination: str, tmp_path: Path) -> None:
    made = at(destination, tmp_path)
    conversion = convert(run, made)
    comparison = padiff.compare(run, made, mode="strict", atol=0, rtol=0, digests=False)
    assert comparison.aligned
    assert comparison.unmatched == ()
    assert comparison.totals.identical == conversion.arrays
    assert padiff.verify(made).intact
    assert padiff.diff_tree(run, made).same
    back = tmp_path / "back.zarr"
    convert(made, back)
    assert dict(headers(back)) == dict(headers(run))
    assert (conversion.sections, conversion.arrays) == (4, len(comparison.records))


@destinations
def test_other_chunks(run: Path, destination: str, tmp_path: Path) -> None:
    run, made = run / "step_1", at(destination, tmp_path)
    convert(run, made, compression="gzip", chunk_bytes=40)
    assert padiff.verify(made).intact
    back = tmp_path / "back.zarr"
    convert(made, back, chunk_bytes=64, shard_bytes=128)
    assert padiff.compare(run, back, mode="strict", atol=0, rtol=0, digests=False).aligned
    records = [t for _, header in headers(made) for n in header.tree.walk() for t in n.tensors]
    assert any(len(record.chunks) > 3 for record in records)
    again = tmp_path / "again.zarr"
    convert(back, again)
    assert [replace(h, tree=h.tree.only("loss")) for _, h in headers(again)] == [
        replace(h, tree=h.tree.only("loss")) for _, h in headers(run)
    ]


@destinations
def test_ranks_dumps_beside_steps_and_groups_of_a_user(destination: str, tmp_path: Path) -> None:
    source = tmp_path / "run.zarr"
    model = Layer("", "Net", out=Y)
    for step in (0, 7):
        for rank in (0, 1):
            write_dump(source, model, step=step, rank=rank)
    write_dump(source, model)
    mine = not destination.endswith(".h5")  # which is asked for groups of steps and ranks alone
    if mine:
        write_dump(source / "mine", Layer("", "Net", out=Y + 1), step=2)
    made = at(destination, tmp_path)
    assert convert(source, made).sections == 5 + mine
    back = tmp_path / "back.zarr"
    convert(made, back)
    documents = {p.relative_to(source): p.read_bytes() for p in source.rglob("zarr.json")}
    assert documents == {p.relative_to(back): p.read_bytes() for p in back.rglob("zarr.json")}
    assert (Path("mine/step_2/report/zarr.json") in documents) == mine


@destinations
def test_parts_of_a_run(run: Path, destination: str, tmp_path: Path) -> None:
    for number, (part, section, held) in enumerate(
        [
            ("step_1", None, ("report", "params")),
            ("step_1/report", None, ("report",)),
            ("step_1", "params", ("params",)),
            ("step_1", "weights", ("weights",)),
            ("step_1/params", "grads", ("grads",)),
        ]
    ):
        made = at(destination.replace("made", f"made{number}"), tmp_path)
        convert(run / part, made, section=section)  # type: ignore[arg-type]  # a text, by the table
        (dump,) = open_dumps(made).dumps.values()
        assert dump.sections == held
        base = run / "step_1"
        assert padiff.compare(base, made, mode="strict", atol=0, rtol=0, digests=False).aligned
        assert padiff.verify(made).intact
    convert(run, at(destination.replace("made", "all"), tmp_path), section="report")
    with pytest.raises(UsageError, match=r"expected report in .*, found params"):
        convert(
            run / "step_1/params", at(destination.replace("made", "x"), tmp_path), section="report"
        )


@destinations
def test_statistics_alone(destination: str, tmp_path: Path) -> None:
    source, made = tmp_path / "run.zarr", at(destination, tmp_path)
    net = torch.nn.Linear(3, 2)
    model = padiff.create_model(net, tensors="statistics")
    model(torch.ones(1, 3))
    model.dump_report(source)
    assert convert(source, made).arrays == 0
    assert dict(headers(made)) == dict(headers(source))
    with pytest.raises(UsageError, match=r"expected elements in .*report, found a section of stat"):
        convert(source, tmp_path / "made.npz")


def test_the_format_beats_the_suffix(run: Path, tmp_path: Path) -> None:
    for kind, name in (("zarr", "a"), ("zarr", "b.h5"), ("hdf5", "c.zarr"), ("hdf5", "d.x")):
        made = tmp_path / name
        convert(run, made, format=kind)  # type: ignore[arg-type]  # a text, by the table
        assert padiff.compare(run, made, digests=False).totals.diverged == 0
        assert any(made.rglob("*.h5" if kind == "hdf5" else "zarr.json"))
    for kind, name in (("npz", "e.bin"), ("safetensors", "f")):
        convert(run / "step_0", tmp_path / name, format=kind)  # type: ignore[arg-type]
        assert padiff.open_dump(tmp_path / name).sections == ("weights",)


def test_an_unfinished_section_is_told_and_left(run: Path, tmp_path: Path) -> None:
    source = tmp_path / "run.zarr"
    write_dump(source, Layer("", "Net", out=Y), step=0)
    (source / "step_0/.params.abc.partial").mkdir()
    (told,) = convert(source, tmp_path / "made.zarr").unfinished
    assert told.endswith("step_0/.params.abc.partial")


def test_what_another_tool_could_not_say_is_told(tmp_path: Path) -> None:
    held = {"a.w": Y, "b.name": np.array(["text"])}
    np.savez(tmp_path / "held.npz", **held)  # type: ignore[arg-type]  # names are names
    expected = {"b.name": "its elements are <U4, which padiff does not compare"}
    assert convert(tmp_path / "held.npz", tmp_path / "made.safetensors").left_out == expected
    assert convert(tmp_path / "held.npz", tmp_path / "made.zarr").left_out == expected


def test_what_is_no_tensor_is_told_by_the_name_of_all_that_goes_with_it(tmp_path: Path) -> None:
    weight = torch.ones(2)
    beside = {"epoch": 3, "lrs": [0.1, 0.2], "none": None, "optimizer": {"groups": [{"lr": 0.1}]}}
    state = {**beside, "net": {"a": weight, "version": 2}}
    told = ["epoch", "lrs", "none", "optimizer", "net.version"]
    torch.save(state, tmp_path / "zip")
    torch.save(state, tmp_path / "legacy", _use_new_zipfile_serialization=False)
    with pytest.warns(UserWarning, match="in a single process"):
        save_distributed(state, checkpoint_id=tmp_path / "distributed", no_dist=True)
    paddle.save({**beside, "net": {"a": Y, "version": 2}}, str(tmp_path / "paddle"))
    save_file({"a": weight}, tmp_path / "safetensors", {"format": "pt", "title": "a net"})
    for kind, expected in {
        **dict.fromkeys(("zip", "legacy", "distributed", "paddle"), told),
        "zip/net": ["version"],
        "safetensors": ["__metadata__"],
    }.items():
        for made in (tmp_path / "made.zarr", tmp_path / "made.npz"):
            left_out = convert(tmp_path / kind, made, overwrite=True).left_out
            assert left_out == dict.fromkeys(expected, "no tensors"), kind
    save_file({"a": weight}, tmp_path / "bare", {"format": "pt"})
    paddle.save(paddle.nn.Linear(2, 2).state_dict(), str(tmp_path / "net"))
    for name in ("bare", "net"):
        assert not convert(tmp_path / name, tmp_path / "made.zarr", overwrite=True).left_out


@destinations
def test_what_another_tool_wrote_is_told_as_that_ever_after(
    destination: str, tmp_path: Path
) -> None:
    for name, values in (("held", Y), ("other", Y + 1)):
        np.savez(tmp_path / f"{name}.npz", **{"a.w": values})  # type: ignore[arg-type]  # names
    convert(tmp_path / "held.npz", tmp_path / "first.h5")
    made = at(destination, tmp_path)
    convert(tmp_path / "first.h5", made)  # which is no file of another tool any more
    assert padiff.verify(made).intact
    found = padiff.compare(made, tmp_path / "other.npz", atol=0)
    theirs = padiff.compare(tmp_path / "held.npz", tmp_path / "other.npz", atol=0)
    assert [r.figures for r in found.records] == [r.figures for r in theirs.records]
    assert "Updated weights" not in text_of(found)
    assert f", converted from a .npz file, {made}\n" in text_of(found, 200)
    both = padiff.compare(made, tmp_path / "first.h5")
    assert (both.base.foreign, both.raw.foreign) == ("converted from a .npz file",) * 2
    inspection = padiff.inspect(made)
    assert [section.foreign for section in inspection.sections] == ["converted from a .npz file"]
    assert "\n  held, converted from a .npz file\n  converted 20" in render(inspection)


def test_tensors_of_several_chunks_and_axes(tmp_path: Path) -> None:
    values = np.arange(5 * 7 * 9, dtype=np.int64).reshape(5, 7, 9)
    layer = Layer("", "Net", weights={"w": values, "turned": values.T})
    source = write_dump(
        tmp_path / "run.h5", layer, section="weights", storage=Storage(chunk_bytes=200)
    )
    for name in ("a.npz", "a.safetensors", "a.zarr"):
        convert(source, tmp_path / name)
        weight = padiff.open_dump(tmp_path / name).weights[""].weight
        assert np.array_equal(np.asarray(weight["w"]), values)
        assert np.array_equal(np.asarray(weight["turned"]), values.T)
