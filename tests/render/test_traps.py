"""Traps of ports, each with real models: named where it is the cause, and not where it is not."""

import warnings
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import create_model
from padiff.comparing.comparison import Record
from padiff.comparing.engine import compare
from padiff.render.page import render as render_html
from padiff.render.terminal import render
from padiff.render.traps import traps
from padiff.store.format import Environment
from tests.demo_faults import plant
from tests.stores import Layer, write_dump
from tests.zoo import SIDES

T: Any = torch.nn
P: Any = paddle.nn
X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
IMAGE = np.random.default_rng(1).standard_normal((2, 4, 6, 6)).astype(np.float32)
MODE = "in training mode, raw in evaluation mode: call eval() or train() on both."


def copy_weights(base: Any, raw: Any) -> None:
    """Give paddle's or torch's `raw` the parameters of torch's `base`, layer by layer."""
    ours, theirs = (
        [layer for layer in layers if getattr(layer, "weight", None) is not None]
        for layers in (
            base.modules(),
            raw.modules() if isinstance(raw, T.Module) else raw.sublayers(include_self=True),
        )
    )
    for a, b in zip(ours, theirs, strict=True):
        for name in ("weight", "bias"):
            value = getattr(a, name, None)
            if value is None:
                continue
            if isinstance(b, T.Module):
                getattr(b, name).data.copy_(value.data)
                continue
            transposed = isinstance(b, P.Linear) and name == "weight"
            array = value.detach().numpy()
            getattr(b, name).set_value(array.T if transposed else array)


def told(
    tmp_path: Path,
    base: Any,
    raw: Any,
    data: Any = X,
    *,
    inputs: bool = False,
    sections: tuple[str, ...] = ("report", "params"),
    copied: bool = True,
    back: bool = False,
) -> tuple[Record | None, list[str]]:
    """The first divergence of a forward pass, or one there and `back`, and what is said of it."""
    if copied:
        copy_weights(base, raw)
    for name, model in (("base", base), ("raw", raw)):
        proxy = create_model(model, name="Net", inputs=inputs)
        SIDES[proxy.framework].seed(0)
        output = proxy(SIDES[proxy.framework].tensor(data))
        if back:
            proxy.backward((output * output).sum())
        for section in sections:
            getattr(proxy, f"dump_{section}")(tmp_path / name)
    comparison = compare(tmp_path / "base", tmp_path / "raw", mode="strict", atol=1e-5)
    first = comparison.first_divergence
    if first is None:
        return None, []
    said = traps(comparison, first)
    text = " ".join(render(comparison).split())
    for sentence in said:
        assert sentence in text
        assert escape(sentence) in render_html(comparison)
    return first, said


def at(first: Record | None) -> str:
    assert first is not None
    return f"{first.base.route} {first.base.tensor}"


def perceptron(module: Any, *between: Any) -> Any:
    torch.manual_seed(0)
    return module.Sequential(module.Linear(4, 8), *between, module.Linear(8, 4))


Between = Callable[[], tuple[Any, Any]]  # the layers of base and raw


# The mode


def test_a_batch_norm_in_another_mode(tmp_path: Path) -> None:
    base, raw = perceptron(T, T.BatchNorm1d(8)), perceptron(P, P.BatchNorm1D(8))
    raw.eval()
    first, said = told(tmp_path, base, raw)
    assert at(first) == "1 0"
    assert said == [f"base ran it {MODE}"]
    base, raw = perceptron(T, T.BatchNorm1d(8)), perceptron(P, P.BatchNorm1D(8))
    raw.eval()
    assert told(tmp_path, base.eval(), raw)[0] is None


def test_no_mode_of_a_layer_that_has_none(tmp_path: Path) -> None:
    base, raw = perceptron(T, T.ReLU()), perceptron(P, P.ReLU())
    raw.eval()
    plant(raw[0], "forward", 1.02)
    first, said = told(tmp_path, base, raw)
    assert (at(first), said) == ("0 0", [])


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_dropout_that_drops_nothing_has_no_mode(tmp_path: Path, rate: float) -> None:
    base, raw = perceptron(T, T.Dropout(rate)), perceptron(P, P.Dropout(rate))
    raw.eval()
    if not rate:
        plant(raw[1], "forward", 1.02)
    first, said = told(tmp_path, base, raw)
    assert at(first) == "1 0"
    assert said == ([f"base ran it {MODE}"] if rate else [])


class TorchFunctional(torch.nn.Module):
    """Drops elements by a function, between layers."""

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.a = T.Linear(4, 8)
        self.b = T.Linear(8, 4)
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped = T.functional.dropout(self.a(x), self.rate, self.training)
        mixed: torch.Tensor = self.b(dropped)
        return mixed


class PaddleFunctional(paddle.nn.Layer):  # type: ignore[misc]  # paddle has no types
    def __init__(self) -> None:
        super().__init__()
        self.a = P.Linear(4, 8)
        self.b = P.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        return self.b(P.functional.dropout(self.a(x), 0.5, training=self.training))


@pytest.mark.parametrize("inputs", [True, False])
def test_the_mode_of_the_code_around_a_layer(tmp_path: Path, inputs: bool) -> None:
    base, raw = TorchFunctional(), PaddleFunctional()
    raw.eval()
    first, said = told(tmp_path, base, raw, inputs=inputs)
    assert at(first) == "b 0"
    assert said == [f"base ran the code around it {MODE}"]


def test_a_layer_whose_inputs_agree_does_not_hang_on_the_code_around_it(tmp_path: Path) -> None:
    base, raw = TorchFunctional(0.0), PaddleFunctional()
    raw.eval()
    plant(raw.b, "forward", 1.02)
    first, said = told(tmp_path, base, raw, inputs=True)
    assert (at(first), said) == ("b 0", [])


# Dropout


def test_dropout_on_both_sides(tmp_path: Path) -> None:
    base, raw = perceptron(T, T.Dropout(0.5)), perceptron(P, P.Dropout(0.5))
    first, said = told(tmp_path, base, raw)
    assert at(first) == "1 0"
    (sentence,) = said
    assert sentence.startswith("Dropout is active: random numbers differ between runs")


def test_the_dropout_inside_a_recurrent_layer(tmp_path: Path) -> None:
    for layers, expected in ((2, 1), (1, 0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one layer alone drops nothing, which torch tells
            lstm = T.LSTM(4, 4, layers, dropout=0.5, batch_first=True)
        raw = P.LSTM(4, 4, layers, dropout=0.5)
        for name, value in lstm.named_parameters():
            getattr(raw, name).set_value(value.detach().numpy())
        if layers == 1:
            raw.weight_hh_l0.set_value(raw.weight_hh_l0 * 1.1)
        data = X.reshape(2, 3, 4)
        where = tmp_path / str(layers)
        first, said = told(where, lstm, raw, data, sections=("report",), copied=False)
        assert first is not None
        assert sum("Dropout is active" in sentence for sentence in said) == expected
        assert len(said) == expected


def test_dropout_elsewhere_is_not_blamed(tmp_path: Path) -> None:
    base, raw = perceptron(T, T.Dropout(0.5)), perceptron(P, P.Dropout(0.5))
    plant(raw[0], "forward", 1.02)
    first, said = told(tmp_path, base, raw)
    assert (at(first), said) == ("0 0", [])
    base, raw = (model.eval() or model for model in (base, perceptron(P, P.Dropout(0.5))))
    plant(raw[1], "forward", 1.02)
    first, said = told(tmp_path, base, raw)
    assert (at(first), said) == ("1 0", [])


# Momentum


@pytest.mark.parametrize(("momentum", "aligned"), [(0.9, True), (0.1, False), (0.99, False)])
def test_the_momentum_of_a_batch_norm(tmp_path: Path, momentum: float, aligned: bool) -> None:
    base = perceptron(T, T.BatchNorm1d(8))
    raw = perceptron(P, P.BatchNorm1D(8, momentum=momentum))
    first, said = told(tmp_path, base, raw)
    if aligned:
        assert first is None
        return
    assert at(first) == "1 running_mean"
    assert said == [
        f"momentum is 0.1 in base and {momentum} in raw, where it should be 0.9: paddle's momentum "
        "is 1 less torch's."
    ]


def test_the_momentum_of_two_of_one_framework(tmp_path: Path) -> None:
    base, raw = perceptron(T, T.BatchNorm1d(8)), perceptron(T, T.BatchNorm1d(8, momentum=0.9))
    first, said = told(tmp_path, base, raw)
    assert at(first) == "1 running_mean"
    assert said == ["momentum is 0.1 in base and 0.9 in raw."]


@pytest.mark.parametrize("sections", [("report",), ("report", "params")])
def test_momentum_in_evaluation_mode(tmp_path: Path, sections: tuple[str, ...]) -> None:
    """After training with it the outputs differ; but not where the statistics are seen to agree."""
    base = perceptron(T, T.BatchNorm1d(8))
    raw = perceptron(P, P.BatchNorm1D(8, momentum=0.1))
    copy_weights(base, raw)
    if sections == ("report",):
        for _ in range(3):
            base(torch.from_numpy(X))
            raw(paddle.to_tensor(X))
    else:
        plant(raw[1], "forward", 1.02)
    base.eval()
    raw.eval()
    first, said = told(tmp_path, base, raw, sections=sections)
    assert at(first) == "1 0"
    assert [sentence[:15] for sentence in said] == ["momentum is 0.1"] * (len(sections) == 1)


def test_statistics_that_differ_with_the_right_momentum(tmp_path: Path) -> None:
    base, raw = perceptron(T, T.BatchNorm1d(8)), perceptron(P, P.BatchNorm1D(8))
    raw[1]._mean.set_value(np.ones(8, np.float32))
    first, said = told(tmp_path, base, raw)
    assert (at(first), said) == ("1 running_mean", [])


# Settings


@pytest.mark.parametrize(
    ("between", "sentence"),
    [
        (
            lambda: (T.LayerNorm(8), P.LayerNorm(8, epsilon=1e-3)),
            "eps is 1e-05 in base and 0.001 in raw.",
        ),
        (
            lambda: (T.LeakyReLU(0.2), P.LeakyReLU()),
            "negative_slope is 0.2 in base and 0.01 in raw.",
        ),
        (lambda: (T.GELU(), P.GELU(True)), "approximate is 'none' in base and True in raw."),
        (lambda: (T.Softmax(-1), P.Softmax(0)), "dim is -1 in base and 0 in raw."),
        (lambda: (T.Hardshrink(0.1), P.Hardshrink()), "0.1 in base and 0.5 in raw."),
        (
            lambda: (T.Hardtanh(-0.1, 0.1), P.Hardtanh(-0.2, 0.1)),
            "min_val is -0.1 in base and -0.2 in raw.",
        ),
        (
            lambda: (
                T.Dropout(0.5).eval(),
                _evaluated(P.Dropout(0.5, mode="downscale_in_infer")),
            ),
            "mode is upscale_in_train in base and downscale_in_infer in raw.",
        ),
    ],
)
def test_a_setting_that_differs(tmp_path: Path, between: Between, sentence: str) -> None:
    ours, theirs = between()
    first, said = told(tmp_path, perceptron(T, ours), perceptron(P, theirs))
    assert at(first) == "1 0"
    assert len(said) == 1
    assert said[0].endswith(sentence)


def _evaluated(layer: Any) -> Any:
    layer.eval()
    return layer


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (
            lambda: (T.Conv2d(4, 4, 3, padding=1), P.Conv2D(4, 4, 3)),
            "padding is (1, 1) in base and 0 in raw.",
        ),
        (
            lambda: (
                T.Conv2d(4, 4, 3, padding=1),
                P.Conv2D(4, 4, 3, padding=1, padding_mode="reflect"),
            ),
            "padding_mode is zeros in base and reflect in raw.",
        ),
        (
            lambda: (T.Conv2d(4, 4, 3, dilation=2), P.Conv2D(4, 4, 3, dilation=[2, 1])),
            "dilation is (2, 2) in base and [2, 1] in raw.",
        ),
        (lambda: (T.GroupNorm(2, 4), P.GroupNorm(4, 4)), "num_groups is 2 in base and 4 in raw."),
        (lambda: (T.AvgPool2d(3, 1), P.AvgPool2D(3, 2)), "stride is 1 in base and 2 in raw."),
    ],
)
def test_a_setting_of_layers_of_images(tmp_path: Path, layers: Between, sentence: str) -> None:
    ours, theirs = layers()
    first, said = told(tmp_path, T.Sequential(ours), P.Sequential(theirs), IMAGE)
    assert at(first) == "0 0"
    assert said == [sentence]


@pytest.mark.parametrize(
    "layers",
    [
        lambda: (T.Conv2d(4, 4, 3, padding=1, bias=False), P.Conv2D(4, 4, 3, 1, [1, 1])),
        lambda: (T.Conv2d(4, 4, 3, padding="same"), P.Conv2D(4, 4, 3, padding="SAME")),
        lambda: (T.BatchNorm2d(4).eval(), _evaluated(P.BatchNorm2D(4))),
        lambda: (T.GroupNorm(2, 4), P.GroupNorm(2, 4)),
        lambda: (T.Softmax(1), P.Softmax(-3)),
        lambda: (T.Softplus(), P.Softplus()),
        lambda: (T.GELU("tanh"), P.GELU(True)),
        lambda: (T.ELU(), P.ELU()),
        lambda: (T.MaxPool2d(3, 2, 1), P.MaxPool2D(3, 2, 1)),
        lambda: (T.Dropout(0.1, inplace=True).eval(), _evaluated(P.Dropout(0.2))),
        lambda: (T.Upsample(scale_factor=2), P.Upsample(scale_factor=2)),
    ],
)
def test_settings_that_are_the_same_are_not_blamed(tmp_path: Path, layers: Between) -> None:
    ours, theirs = layers()
    plant(theirs, "forward", 1.02)
    first, said = told(tmp_path, T.Sequential(ours), P.Sequential(theirs), IMAGE)
    assert first is not None
    assert first.base.route == "0"
    assert said == []


def test_a_setting_that_differs_elsewhere_is_not_blamed(tmp_path: Path) -> None:
    base, raw = perceptron(T, T.LeakyReLU(0.2)), perceptron(P, P.LeakyReLU())
    plant(raw[0], "forward", 1.02)
    first, said = told(tmp_path, base, raw)
    assert (at(first), said) == ("0 0", [])


# Element types


def test_an_element_type_that_differs(tmp_path: Path) -> None:
    base, raw = perceptron(T), perceptron(T)
    copy_weights(base, raw)
    half = raw.to(torch.bfloat16)
    first, said = told(tmp_path, base, _Rounded(half), sections=("report",), copied=False)
    assert first is not None
    assert said == [
        "Its output 0 is float32 in base and bfloat16 in raw: the difference is no more than "
        "rounding to bfloat16 makes."
    ]
    plant(half[0], "forward", 1.5)
    first, said = told(tmp_path, base, _Rounded(half), sections=("report",), copied=False)
    assert first is not None
    assert said == []


class _Rounded(torch.nn.Sequential):
    """Takes float32, as base does, and computes in bfloat16."""

    def __init__(self, net: torch.nn.Sequential) -> None:
        super().__init__(*net)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self:
            x = layer(x.to(torch.bfloat16))
        return x


# Devices


@pytest.mark.parametrize("device", ["cuda:0", "gpu:1", "cpu"])
@pytest.mark.parametrize("off", [1e-6, 0.1])
def test_a_device_that_differs(tmp_path: Path, device: str, off: float) -> None:
    stores = [
        write_dump(tmp_path / str(by), Layer("", "Net", out=np.abs(X) + 1 + by, device=where))
        for by, where in ((0, "cpu"), (np.float32(off), device))
    ]
    comparison = compare(*stores, atol=1e-9)
    assert comparison.first_divergence is not None
    said = traps(comparison, comparison.first_divergence)
    if device == "cpu" or off > 0.01:
        assert said == []
    else:
        assert [sentence.partition(":")[0] for sentence in said] == [
            "base ran it on cpu, raw on gpu"
        ]


# TF32


def tf32(
    tmp_path: Path,
    *allowed: bool | None,
    kind: str = "Linear",
    devices: tuple[str, str] = ("cuda:0", "cuda:0"),
    off: float = 1e-3,
    dtype: type = np.float32,
) -> list[str]:
    """What is said of two runs that may use it in matrix products, or of which it is not known."""
    stores: list[Path] = []
    for side, may, device in zip("ab", allowed, devices, strict=True):
        values = (np.abs(X) + 1) * (1 + off * bool(stores))
        layer = Layer("fc", kind, out=values.astype(dtype), device=device)
        settings: Environment = {"TF32 in matmul": bool(may), "TF32 in cuDNN": True}
        environment = None if may is None else settings
        model = Layer("", "Net", out=X[:1], children=[layer])
        stores.append(write_dump(tmp_path / side, model, environment=environment))
    comparison = compare(*stores, atol=1e-9)
    assert comparison.first_divergence is not None
    return traps(comparison, comparison.first_divergence)


def test_tf32_on_one_side(tmp_path: Path) -> None:
    words = "may use TF32 in matrix products, {} may not: it makes errors of this size."
    assert tf32(tmp_path / "1", True, False) == ["base " + words.format("raw")]
    assert tf32(tmp_path / "2", False, True) == ["raw " + words.format("base")]
    on_cpu = tf32(tmp_path / "3", True, True, devices=("gpu:0", "cpu"))
    assert on_cpu == ["base " + words.format("raw")]
    (said,) = tf32(tmp_path / "4", True, True, kind="Conv2d", devices=("cpu", "cuda:0"))
    assert said.startswith("raw may use TF32 in convolutions, base may not")


@pytest.mark.parametrize(
    ("allowed", "options"),
    [
        ((True, True), {}),
        ((False, False), {}),
        ((True, None), {}),
        ((None, False), {}),
        ((True, False), {"devices": ("cpu", "cpu")}),
        ((True, False), {"kind": "GELU"}),
        ((True, False), {"kind": "Conv2d"}),  # in which both may
        ((True, False), {"off": 1e-5}),
        ((True, False), {"off": 0.1}),
        ((True, False), {"dtype": np.float64}),
    ],
)
def test_where_tf32_is_not_the_cause(
    tmp_path: Path, allowed: tuple[bool | None, bool | None], options: dict[str, Any]
) -> None:
    assert tf32(tmp_path, *allowed, **options) == []


# Layers of one side


def test_a_layer_at_the_end_of_a_container_of_one_side(tmp_path: Path) -> None:
    base = perceptron(T)
    raw = P.Sequential(P.Sequential(P.Linear(4, 8), P.ReLU()), P.Linear(8, 4))
    first, said = told(tmp_path, base, raw)
    assert at(first) == "1 0"
    assert said == ["raw calls 0.1 (ReLU) before it, base has no such layer."]


def test_a_layer_that_one_side_calls_before(tmp_path: Path) -> None:
    base, raw = perceptron(T), perceptron(P, P.ReLU())
    first, said = told(tmp_path, base, raw)
    assert at(first) == "1 0"
    assert said == ["raw calls 1 (ReLU) before it, base has no such layer."]


@pytest.mark.parametrize("extra", [P.Identity, lambda: _evaluated(P.Dropout(0.5))])
def test_a_layer_that_changes_nothing_is_not_blamed(
    tmp_path: Path, extra: Callable[[], Any]
) -> None:
    base, raw = perceptron(T), perceptron(P, extra())
    plant(raw[2], "forward", 1.02)
    first, said = told(tmp_path, base, raw)
    assert (at(first), said) == ("1 0", [])


def test_a_layer_of_one_side_that_is_far_from_it(tmp_path: Path) -> None:
    base = T.Sequential(T.Linear(4, 4), T.Linear(4, 4), T.Linear(4, 4))
    raw = P.Sequential(P.Linear(4, 4), P.ReLU(), P.Linear(4, 4), P.Linear(4, 4))
    plant(raw[0], "forward", 1.02)
    first, said = told(tmp_path, base, raw)
    assert (at(first), said) == ("0 0", [])


class _Attends(torch.nn.Module):
    """Attention of several heads, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = T.MultiheadAttention(4, 2, batch_first=True)
        self.head = T.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.attention(x, x, x, need_weights=False)[0])


class _PaddleAttends(paddle.nn.Layer):  # type: ignore[misc]  # paddle has no types
    """The same, where the attention calls layers inside it, which torch's does not."""

    def __init__(self, twin: _Attends, *, off: str) -> None:
        super().__init__()
        self.attention = P.MultiHeadAttention(4, 2)
        self.head = P.Linear(4, 4)
        own = self.attention
        weights = twin.attention.in_proj_weight.detach().numpy().reshape(3, 4, 4)
        for layer, weight in zip((own.q_proj, own.k_proj, own.v_proj), weights, strict=True):
            layer.weight.set_value(weight.T)
            layer.bias.set_value(np.zeros(4, np.float32))
        for layer, like in ((own.out_proj, twin.attention.out_proj), (self.head, twin.head)):
            layer.weight.set_value(like.weight.detach().numpy().T)
            layer.bias.set_value(like.bias.detach().numpy())
        wrong = {"attention": own.out_proj, "head": self.head}[off].weight
        wrong.set_value(wrong * 1.1)

    def forward(self, x: Any) -> Any:
        return self.head(self.attention(x))


@pytest.mark.parametrize("off", ["attention", "head"])
def test_layers_inside_a_layer_of_one_framework_are_none_of_one_side(
    tmp_path: Path, off: str
) -> None:
    base = _Attends()
    data = X.reshape(2, 3, 4)
    raw = _PaddleAttends(base, off=off)
    first, said = told(tmp_path, base, raw, data, sections=("report",), copied=False)
    assert (at(first), said) == (f"{off} 0", [])


class _Extra(torch.nn.Module):
    """Two layers, and one that is called before either of them, whose output nobody takes."""

    def __init__(self, when: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = T.Linear(4, 4)
        self.b = T.Linear(4, 4)
        self.tanh = T.Tanh()
        self.when = when

    def forward(self, x: torch.Tensor) -> Any:
        for at, layer in enumerate((self.a, self.b)):
            if at == self.when:
                self.tanh(x)
            x = layer(x)
        return x


@pytest.mark.parametrize(("when", "inputs"), [(0, False), (1, True), (1, False)])
def test_what_ran_before_a_layer_that_agrees_is_not_blamed(
    tmp_path: Path, when: int, inputs: bool
) -> None:
    base, raw = _Extra(), _Extra(when)
    plant(raw.b, "forward", 1.02)
    first, said = told(tmp_path, base, raw, inputs=inputs)
    assert at(first) == "b 0"
    # where inputs are not recorded it may well have changed what b is given
    blamed = ["raw calls tanh (Tanh) before it, base has no such layer."]
    assert said == (blamed if (when, inputs) == (1, False) else [])


class _Block(torch.nn.Module):
    """Its activation comes last, if it has one."""

    def __init__(self, act: Any = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = T.Linear(4, 4)
        self.act = act

    def forward(self, x: torch.Tensor) -> Any:
        return self.fc(x) if self.act is None else self.act(self.fc(x))


def test_a_layer_that_one_side_calls_inside(tmp_path: Path) -> None:
    base, raw = T.Sequential(_Block(T.Tanh())), T.Sequential(_Block())
    first, said = told(tmp_path, base, raw)
    assert at(first) == "0 0"
    assert said == ["base calls 0.act (Tanh) inside it, raw has no such layer."]


# Gradients


class Cut(torch.nn.Module):
    """Two ways from the input, of which one may be cut off behind a layer."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.a, self.b, self.c = T.Linear(4, 8), T.Linear(4, 8), T.Linear(8, 4)
        self.cut = cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b = self.b(x)
        y: torch.Tensor = self.c(torch.tanh(self.a(x)) * (b.detach() if self.cut else b))
        return y


@pytest.mark.parametrize("cut", ["base", "raw"])
def test_a_way_back_that_is_cut(tmp_path: Path, cut: str) -> None:
    base, raw = Cut(cut == "base"), Cut(cut == "raw")
    data = np.array(X)
    _, said = told(tmp_path, base, raw, data, back=True)
    other = "raw" if cut == "base" else "base"
    lost = f"{cut} has no gradient of weight of b and 1 more, {other} has: something stops it on"
    assert [sentence for sentence in said if sentence.startswith(lost)] == said != []


@pytest.mark.parametrize("module", [T, P], ids=["torch", "paddle"])
@pytest.mark.parametrize(("ours", "theirs"), [(0, None), (None, 2), (-1, 2), (-1, 4), (1, 1)])
def test_the_padding_of_an_embedding(
    tmp_path: Path, module: Any, ours: int | None, theirs: int | None
) -> None:
    base, raw = (
        kind.Sequential(kind.Embedding(5, 4, padding_idx=index), kind.Linear(4, 4))
        for kind, index in ((T, ours), (module, theirs))
    )
    data = np.array([[0, 1, 2, 4]])
    first, said = told(tmp_path, base, raw, data, back=True)
    names = {None: "None", -1: "4"}
    told_of = [f"padding_idx is {names.get(n, str(n))}" for n in (ours, theirs)]
    if (ours, theirs) in ((-1, 4), (1, 1)):
        assert (first, said) == (None, [])
    else:
        assert at(first) in ("0 weight", "0 0")  # paddle returns zeros for it as well
        assert said == [f"{told_of[0]} in base and {told_of[1].split()[-1]} in raw."]
