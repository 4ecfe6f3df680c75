"""Values that could not be stored: they are shown, and never taken for values that agree."""

from pathlib import Path
from typing import Any

import paddle
import pytest
import torch

import padiff
from padiff import create_model
from padiff.comparing.comparison import Comparison
from padiff.errors import FormatError
from padiff.render.page import render as render_html
from padiff.render.terminal import render


class Fc(torch.nn.Module):
    """Returns `shape`'s idea of an output, for its own and for its layer's."""

    def __init__(self, shape: Any, inner: Any = lambda y: y) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(2, 2)
        self.wrap = _Wrap(inner)
        self.shape = shape
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(0.5)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.fc(x)
        self.wrap(y)
        return self.shape(y)


class _Wrap(torch.nn.Module):
    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> Any:
        return self.shape(x)


def dump(location: Path, model: Any, *runs: Any) -> Path:
    proxy = create_model(model, name="Fc")
    for x in runs or (torch.ones(1, 2),):
        proxy(x)
    proxy.dump_report(location)
    return location


def compared(tmp_path: Path, base: Any, raw: Any, **options: Any) -> Comparison:
    locations = dump(tmp_path / "base", base), dump(tmp_path / "raw", raw)
    return padiff.compare(*locations, **options)


def in_a_set(y: Any) -> Any:
    return {y}


def test_outputs_that_neither_side_could_store_are_not_aligned(tmp_path: Path) -> None:
    comparison = compared(tmp_path, Fc(in_a_set), Fc(in_a_set))
    assert not comparison.aligned
    first = comparison.first_divergence
    assert first is not None
    assert (first.status, first.phase, first.base.route) == ("missing", "forward", "")
    assert (first.base.tensor, first.raw.tensor) == (None, None)
    assert "base: a set has no order" in first.note
    text = render(comparison)
    assert text.startswith("NOT ALIGNED")
    assert "0 of 3 tensors of report differ, but no output of the model could be compared" in text
    assert "  base  forward 0 of the model itself (Fc) in report: a set has no order" in text


@pytest.mark.parametrize("options", [{"layers": ["fc"]}, {"phase": "backward"}])
def test_outputs_left_out_by_the_scope_are_not_missed(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    models = []
    for side in ("base", "raw"):
        proxy = create_model(Fc(in_a_set), name="Fc")
        (output,) = proxy(torch.ones(1, 2, requires_grad=True))
        proxy.backward(output.sum())
        proxy.dump_report(tmp_path / side)
        models.append(proxy)
    assert padiff.compare(tmp_path / "base", tmp_path / "raw", **options).aligned


def test_a_model_that_returns_nothing_is_not_aligned(tmp_path: Path) -> None:
    comparison = compared(tmp_path, Fc(lambda y: None), Fc(lambda y: None))
    assert not comparison.aligned
    assert comparison.first_divergence is not None
    assert comparison.first_divergence.base.route == ""


def test_of_several_calls_each_answers_for_what_it_could_not_store(tmp_path: Path) -> None:
    def by_sum(nothing: Any) -> Any:
        return lambda y: y if float(y.detach().sum()) > 0 else nothing(y)

    runs = torch.ones(1, 2), -torch.ones(1, 2) * 9
    for name, nothing, aligned in (("set", in_a_set, False), ("none", lambda y: None, True)):
        locations = [dump(tmp_path / name / side, Fc(by_sum(nothing)), *runs) for side in "ab"]
        comparison = padiff.compare(*locations)
        assert comparison.aligned == aligned
        if not aligned:
            assert comparison.first_divergence is not None
            assert comparison.first_divergence.base.call == 1


def test_what_layers_could_not_store_is_shown(tmp_path: Path) -> None:
    comparison = compared(tmp_path, Fc(lambda y: y, in_a_set), Fc(lambda y: y, in_a_set))
    assert comparison.aligned
    assert not comparison.structure_differs
    assert [(i.side, i.kind, i.route, i.phase, i.tensor) for i in comparison.unmatched] == [
        ("base", "unrecorded", "wrap", "forward", "0"),
        ("raw", "unrecorded", "wrap", "forward", "0"),
    ]
    (item, _) = comparison.to_json()["unmatched"]
    assert item["kind"] == "unrecorded"
    assert item["reason"].startswith("a set has no order")
    text = render(comparison)
    assert "Not stored, so not compared (2 in all):" in text
    assert "Without a partner" not in text
    assert "raw   forward 0 of wrap (_Wrap) in report: a set has no order" in text
    assert "a set has no order" in render_html(comparison)
    aside = padiff.compare(tmp_path / "base", tmp_path / "raw", layers=["fc"])
    assert aside.unmatched == ()


def test_a_parameter_that_one_side_could_not_store_tells_why(tmp_path: Path) -> None:
    for side, device in (("base", "cpu"), ("raw", "meta")):
        proxy = create_model(torch.nn.Linear(2, 2, device=device), name="Fc")
        proxy.dump_weights(tmp_path / side)
    first = padiff.compare(tmp_path / "base", tmp_path / "raw").first_divergence
    assert first is not None
    assert first.status == "missing"
    assert "raw: " in first.note
    assert "on the meta device" in first.note


def test_two_frameworks_that_store_no_output_are_not_aligned(tmp_path: Path) -> None:
    class Port(paddle.nn.Layer):  # type: ignore[misc]  # paddle has no types
        def __init__(self) -> None:
            super().__init__()
            half = paddle.nn.initializer.Constant(0.5)
            self.fc = paddle.nn.Linear(2, 2, half, half)

        def forward(self, x: Any) -> Any:
            return {self.fc(x)}

    base = dump(tmp_path / "base", Fc(in_a_set))
    raw = dump(tmp_path / "raw", Port(), paddle.ones([1, 2]))
    assert not padiff.compare(base, raw).aligned


def test_nothing_recorded_at_all_is_an_error(tmp_path: Path) -> None:
    locations = [dump(tmp_path / side, Fc(in_a_set)) for side in ("base", "raw")]
    with pytest.raises(FormatError, match="something to compare"):
        padiff.compare(*locations, phase="backward")
