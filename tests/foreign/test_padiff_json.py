"""Dumps of the old PaDiff, as it wrote them, beside each other and beside padiff's own."""

import shutil
from pathlib import Path

import numpy as np
import paddle
import pytest
import torch

import padiff
from padiff.errors import FormatError
from padiff.store.foreign.padiff_json.store import json_dumps_at

SAMPLES = Path(__file__).parents[1] / "samples/padiff_json"
DUMP = "step_0/rank_0"


class TorchNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(4, 6), nn.GELU()), nn.Sequential(nn.Linear(6, 6), nn.GELU())]
        )
        self.bn = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.blocks[1](self.bn(self.blocks[0](x))))
        return found


class PaddleNet(paddle.nn.Layer):  # type: ignore[misc]  # paddle has no types
    def __init__(self) -> None:
        super().__init__()
        nn = paddle.nn
        self.blocks = nn.LayerList(
            [nn.Sequential(nn.Linear(4, 6), nn.GELU()), nn.Sequential(nn.Linear(6, 6), nn.GELU())]
        )
        self.bn = nn.BatchNorm1D(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.head(self.blocks[1](self.bn(self.blocks[0](x))))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network of the samples with their weights and input, as padiff records it."""
    path = tmp_path_factory.mktemp("stores")
    rng = np.random.default_rng(7)
    ours, theirs = TorchNet(), PaddleNet()
    for tensor in ours.parameters():
        values = (rng.standard_normal(tuple(tensor.shape)) * 0.5).astype("float32")
        tensor.data.copy_(torch.from_numpy(values))
    padiff.assign_weight(ours, theirs)
    values = np.random.default_rng(100).standard_normal((5, 4)).astype("float32")
    for name, net, x in (
        ("torch", ours, torch.from_numpy(values)),
        ("paddle", theirs, paddle.to_tensor(values)),
    ):
        model = padiff.create_model(net)
        model.backward(model(x).mean())
        model.try_dump(dir_path=path / name)
    return {name: path / name for name in ("torch", "paddle")}


def backward_only(comparison: padiff.Comparison) -> set[str]:
    """The routes of the layers that have a gradient on one side alone."""
    return {found.route for found in comparison.unmatched if found.phase == "backward"}


def test_torch_against_paddle(subtests: pytest.Subtests) -> None:
    expected = {"strings": (25, 8), "objects": (24, 2), "weights": (16, 2)}
    for sample, (compared, unmatched) in expected.items():
        with subtests.test(sample):
            found = padiff.compare(SAMPLES / sample / "torch", SAMPLES / sample / "paddle")
            assert found.aligned
            assert (found.totals.compared, len(found.unmatched)) == (compared, unmatched)


def test_gradients_that_torch_left_out_are_listed() -> None:
    found = padiff.compare(SAMPLES / "strings/torch", SAMPLES / "strings/paddle")
    blocks = {"blocks.0.1", "blocks.1", "blocks.1.0", "blocks.1.1"}
    assert backward_only(found) == {"bn", "head", *blocks}
    found = padiff.compare(SAMPLES / "objects/torch", SAMPLES / "objects/paddle")
    assert not backward_only(found)
    assert sum(record.phase == "backward" for record in found.records) == 9


@pytest.mark.parametrize("framework", ["torch", "paddle"])
@pytest.mark.parametrize("other", ["torch", "paddle"])
def test_against_a_store(framework: str, other: str, stores: dict[str, Path]) -> None:
    old = SAMPLES / "strings" / framework
    new = stores[other]
    for pair in ((old, new), (new, old), (old / "step_0", new / "step_0")):
        found = padiff.compare(*pair)
        assert found.aligned, found.first_divergence
        assert found.totals.compared == (25 if framework == "torch" else 33)
        assert not any(each.kind == "layer" for each in found.unmatched)
        assert bool(backward_only(found)) == (framework == "torch")


@pytest.mark.parametrize(
    ("file", "route", "phase"),
    [
        ("tensors/tensor_9.npy", "blocks.1.0", "forward"),
        ("tensors/tensor_6.npy", "bn", "backward"),
        ("weights/weights_2.npy", "blocks.1.0", None),
        ("grads/grads_6.npy", "head", "backward"),
    ],
)
def test_a_changed_element_is_found_at_its_layer(
    file: str, route: str, phase: str | None, stores: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(SAMPLES / "strings/paddle", tmp_path / "raw")
    path = tmp_path / "raw" / DUMP / file
    values = np.load(path)
    values[-1, 2] += 0.25
    np.save(path, values)
    for base in (SAMPLES / "strings/paddle", stores["paddle"], stores["torch"]):
        found = padiff.compare(base, tmp_path / "raw", mode="strict").first_divergence
        assert found is not None
        assert (found.raw.route, found.phase) == (route, phase)
        assert found.figures is not None
        assert found.figures.max_abs == pytest.approx(0.25, abs=1e-4)


def test_locations_at_every_level() -> None:
    top = SAMPLES / "objects/torch"
    for location in (top, top / "step_0", top / DUMP):
        dump = padiff.open_dump(location)
        assert dump.sections == ("report", "params")
        assert (dump.step, dump.rank) == (0, 0)
        assert dump.location == str(top / DUMP)
    for name in ("report", "report.json"):
        (section,) = padiff.inspect(top / DUMP / name).sections
        assert (section.section, section.step, section.rank) == ("report", 0, 0)
        with pytest.raises(FormatError, match="one section: name the directory above it"):
            padiff.open_dump(top / DUMP / name)
    dump = padiff.open_dump(SAMPLES / "weights/paddle")
    assert dump.sections == ("weights", "grads")
    assert (dump.step, dump.rank) == (None, None)


def test_what_a_report_tells() -> None:
    report = padiff.open_dump(SAMPLES / "objects/torch").report
    assert [(node.route, node.call, node.name, node.type) for node in report.tree.walk()] == [
        ("", 0, "Extra", "net"),
        ("body", 0, "Linear", "net"),
        ("body", 1, "Linear", "net"),
        ("bn", 0, "BatchNorm1d", "in map"),
        ("torch.nn.functional.relu", 0, "relu", "api"),
        ("split", 0, "Split", "net"),
        ("frozen", 0, "Linear", "net"),
    ]
    assert report.header.layer_map == ("bn",)
    assert (report.header.model, report.header.framework) == ("torch", "torch")
    tensors = SAMPLES / "objects/torch" / DUMP
    given = np.load(tensors / "first_input/input_0.npy")
    assert np.array_equal(report[""].input["0"], given)
    assert np.array_equal(report["body", 1].forward[0], np.load(tensors / "tensors/tensor_4.npy"))
    assert np.array_equal(report["split"].forward["1"], np.load(tensors / "tensors/tensor_11.npy"))
    assert list(report["split"].forward) == ["0", "1"]
    node = report["body", 1].node
    assert node.repr == "Linear(in_features=4, out_features=4, bias=True)"
    assert [(frame.function, frame.code) for frame in node.stack] == [
        ("<module>", 'a = run("torch", tnet, "torch", 1, prepare=prepare, x_grad=True)'),
        ("run", "out = model(x)"),
        ("forward", "x = self.body(self.body(x))"),
    ]


def test_gradients_come_in_the_order_of_the_backward_pass() -> None:
    report = padiff.open_dump(SAMPLES / "objects/torch").report
    orders = {layer.node.route: layer.node.tensors[-1].order for layer in report}
    tensors = [tensor for node in report.tree.walk() for tensor in node.tensors]
    forward = max(tensor.order for tensor in tensors if tensor.phase != "backward")
    assert forward < orders["frozen"] < orders["split"] < orders["bn"] < orders["body"] < orders[""]


def test_parameters_are_described_as_padiff_records_them(stores: dict[str, Path]) -> None:
    for framework, store in stores.items():
        old, new = (
            {
                (node.route, tensor.array): (node.name, tensor.phase, tensor.dims, tensor.buffer)
                for node in padiff.open_dump(location).params.tree.walk()
                for tensor in node.tensors
            }
            for location in (SAMPLES / "strings" / framework, store)
        )
        assert old.items() <= new.items()
        assert {buffer for _, (*_, buffer) in new.items() - old.items()} <= {True}


def test_layers_and_their_order_of_steps_and_ranks(tmp_path: Path) -> None:
    for sample, place in (("torch", "step_0/rank_1"), ("paddle", "step_10/rank_0")):
        shutil.copytree(SAMPLES / "strings" / sample / DUMP, tmp_path / place)
    shutil.copytree(SAMPLES / "weights/torch", tmp_path / "rank_0")
    found = [(s.step, s.rank, s.section) for s in padiff.inspect(tmp_path).sections]
    assert found == [
        *((None, 0, name) for name in ("weights", "grads")),
        *((0, 1, name) for name in ("report", "params")),
        *((10, 0, name) for name in ("report", "params")),
    ]


def test_the_layers_of_such_dumps_have_classes(tmp_path: Path) -> None:
    torch_dump, paddle_dump = (SAMPLES / "strings" / name for name in ("torch", "paddle"))
    assert padiff.diff_tree(torch_dump, paddle_dump).has_classes
    padiff.convert(torch_dump, tmp_path / "made.zarr")
    assert padiff.diff_tree(torch_dump, tmp_path / "made.zarr").has_classes


def test_the_root_of_all_files_is_none() -> None:
    """It has no name of which another could be made."""
    assert json_dumps_at(Path("/")) is None
