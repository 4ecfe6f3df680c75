"""Layers of the table, each in both frameworks, of one size and one way to call them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import torch
from numpy.typing import NDArray

from tests.zoo import SIDES

__all__ = ["CASES", "Case", "randomise", "results", "tensors_of"]

Elements = NDArray[Any]
T, P = torch.nn, paddle.nn


@dataclass(frozen=True)
class Case:
    """A layer by its row in the table; `ids` counts its inputs that are indices, below 4."""

    kind: str
    name: str
    torch: Callable[[], Any]
    paddle: Callable[[], Any]
    inputs: tuple[tuple[int, ...], ...]
    ids: int = 0
    outputs: int | None = None  # how many both frameworks return

    def build(self, framework: str, seed: int = 0) -> Any:
        """The layer with weights that its seed tells, none of them a default."""
        model = {"torch": self.torch, "paddle": self.paddle}[framework]()
        randomise(framework, model, seed)
        return model

    def given(self, framework: str) -> list[Any]:
        """The same inputs in either framework."""
        random = np.random.default_rng(7)
        given = [random.standard_normal(shape).astype(np.float32) for shape in self.inputs]
        plain = len(given) - self.ids
        given[plain:] = [random.integers(0, 4, shape) for shape in self.inputs[plain:]]
        return [SIDES[framework].tensor(values) for values in given]


def tensors_of(framework: str, model: Any) -> dict[str, Any]:
    """Every parameter and buffer by route, as the framework lists them."""
    found = dict(model.named_parameters()) | dict(model.named_buffers())
    if framework == "paddle":
        for route, layer in model.named_sublayers(include_self=True):
            for name in ("_mean", "_variance"):
                if getattr(layer, name, None) is not None:
                    found[f"{route}.{name}".lstrip(".")] = getattr(layer, name)
            for i, pair in enumerate(getattr(layer, "tail_weights", ())):
                found |= {f"{route}.tail.{i}.{j}": tensor for j, tensor in enumerate(pair)}
    return found


def randomise(framework: str, model: Any, seed: int) -> None:
    """Other values in every tensor, positive as variances must be."""
    random = np.random.default_rng(seed)
    for name, tensor in tensors_of(framework, model).items():
        if "num_batches" in name or "dropout_state" in name:
            continue
        if framework == "paddle" and tensor.stop_gradient and "bias" in name:
            continue  # which stands for none
        values = random.uniform(0.2, 1.2, tuple(tensor.shape)).astype(np.float32)
        if "var" not in name:
            values -= 0.7
        if framework == "torch":
            with torch.no_grad():
                tensor.copy_(torch.from_numpy(values))
        else:
            tensor.set_value(values.astype(str(tensor.dtype).removeprefix("paddle.")))


def results(case: Case, framework: str, model: Any, *, train: bool) -> list[Elements]:
    """What a call returns, and the gradients of its inputs where the framework has them."""
    side = SIDES[framework]
    model.train() if train else model.eval()
    given = case.given(framework)
    outputs = list(side.tensors(model(*given)))[: case.outputs]
    if not train and case.kind in ("RNN", "LSTM", "GRU"):  # paddle keeps nothing for these
        return [side.numpy(output) for output in outputs]
    loss = sum((output * output).sum() for output in outputs)
    assert loss is not None
    loss.backward()
    gradients = [side.grad(tensor) for tensor in given[: len(given) - case.ids]]
    assert all(gradient is not None for gradient in gradients)
    return [side.numpy(output) for output in outputs] + [g for g in gradients if g is not None]


def _convs() -> list[Case]:
    cases = []
    for n in (1, 2, 3):
        space = (5,) * n
        for name, size, options in (
            ("square", 4, {}),
            ("grouped", 4, {"groups": 2, "stride": 2, "padding": 1}),
            ("without bias", 4, {"bias": False}),
        ):
            ours = {k: v for k, v in options.items() if k != "bias"}
            theirs = ours | ({"bias_attr": False} if "bias" in options else {})
            for kind, torch_class, paddle_class in (
                (f"Conv{n}d", f"Conv{n}d", f"Conv{n}D"),
                (f"ConvTranspose{n}d", f"ConvTranspose{n}d", f"Conv{n}DTranspose"),
            ):
                cases.append(
                    Case(
                        kind,
                        name,
                        lambda c=torch_class, s=size, o=options: getattr(T, c)(s, s, 3, **o),
                        lambda c=paddle_class, s=size, o=theirs: getattr(P, c)(s, s, 3, **o),
                        ((2, size, *space),),
                    )
                )
    return cases


def _norms() -> list[Case]:
    cases = []
    for n, shape in ((1, (6, 4)), (2, (3, 4, 5, 5)), (3, (2, 4, 3, 3, 3))):
        cases += [
            Case(
                "BatchNorm",
                f"{n}d",
                lambda n=n: getattr(T, f"BatchNorm{n}d")(4),
                lambda n=n: getattr(P, f"BatchNorm{n}D")(4),
                (shape,),
            ),
            Case(
                "InstanceNorm",
                f"{n}d",
                lambda n=n: getattr(T, f"InstanceNorm{n}d")(4, affine=True),
                lambda n=n: getattr(P, f"InstanceNorm{n}D")(4),
                (shape if n > 1 else (6, 4, 3),),
            ),
        ]
    return [
        *cases,
        Case(
            "BatchNorm",
            "of any shape",
            lambda: T.BatchNorm2d(4),
            lambda: P.BatchNorm(4),
            ((3, 4, 5, 5),),
        ),
        Case(
            "BatchNorm",
            "of one trained tensor",
            lambda: T.BatchNorm2d(4, affine=False),
            lambda: P.BatchNorm2D(4, weight_attr=False, bias_attr=False),
            ((3, 4, 5, 5),),
        ),
        Case(
            "LayerNorm",
            "square",
            lambda: T.LayerNorm((4, 4)),
            lambda: P.LayerNorm([4, 4]),
            ((3, 4, 4),),
        ),
        Case(
            "LayerNorm",
            "plain",
            lambda: T.LayerNorm(4, elementwise_affine=False),
            lambda: P.LayerNorm(4, weight_attr=False, bias_attr=False),
            ((3, 4),),
        ),
        Case("GroupNorm", "", lambda: T.GroupNorm(2, 4), lambda: P.GroupNorm(2, 4), ((2, 4, 3),)),
    ]


def _recurrent() -> list[Case]:
    cases = []
    for kind, paddle_class in (("RNN", "SimpleRNN"), ("LSTM", "LSTM"), ("GRU", "GRU")):
        for name, ours, theirs in (
            ("square", {}, {}),
            ("of two layers", {"num_layers": 2}, {"num_layers": 2}),
            (
                "of two layers, both ways",
                {"num_layers": 2, "bidirectional": True},
                {"num_layers": 2, "direction": "bidirect"},
            ),
            *(
                [
                    (
                        "projected, both ways",
                        {"num_layers": 2, "bidirectional": True, "proj_size": 4},
                        {"num_layers": 2, "direction": "bidirect", "proj_size": 4},
                    )
                ]
                if kind == "LSTM"
                else []
            ),
        ):
            hidden = 4 if "projected" not in name else 5
            cases.append(
                Case(
                    kind,
                    name,
                    lambda k=kind, h=hidden, o=ours: getattr(T, k)(4, h, batch_first=True, **o),
                    lambda k=paddle_class, h=hidden, o=theirs: getattr(P, k)(4, h, **o),
                    ((2, 3, 4),),
                )
            )
        # a network without biases, paddle does not run
        for name, ours, theirs in (
            ("square", {}, {}),
            ("without bias", {"bias": False}, {"bias_ih_attr": False, "bias_hh_attr": False}),
        ):
            cases.append(
                Case(
                    f"{kind}Cell",
                    name,
                    lambda k=kind, o=ours: getattr(T, f"{k}Cell")(4, 4, **o),
                    lambda k=paddle_class, o=theirs: getattr(P, f"{k}Cell")(4, 4, **o),
                    ((3, 4),),
                    outputs=1,
                )
            )
    return cases


def _attention() -> list[Case]:
    cases = []
    for name, ours, theirs, inputs in (
        ("to itself", {}, {}, ((2, 3, 4),)),
        ("to another", {}, {}, ((2, 3, 4), (2, 5, 4), (2, 5, 4))),
        ("without bias", {"bias": False}, {"bias_attr": False}, ((2, 3, 4), (2, 5, 4), (2, 5, 4))),
        *(
            (text, sizes, sizes, ((2, 3, 4), (2, 5, sizes.get("kdim", 4)), (2, 5, sizes["vdim"])))
            for text, sizes in (
                ("of other keys", {"kdim": 3, "vdim": 5}),
                ("of other values", {"vdim": 3}),
            )
        ),
    ):
        itself = len(inputs) == 1

        class Attention(T.MultiheadAttention):
            """The query stands for all three where there is no other."""

            def forward(self, q: Any, k: Any = None, v: Any = None, **rest: Any) -> Any:
                return super().forward(q, q if k is None else k, q if v is None else v, **rest)

        cases.append(
            Case(
                "MultiheadAttention",
                name,
                lambda o=ours, c=Attention: c(4, 2, batch_first=True, **o),
                lambda o=theirs: P.MultiHeadAttention(4, 2, **o),
                inputs,
                outputs=1,
            )
        )
        assert itself or len(inputs) == 3
    return cases


def _others() -> list[Case]:
    return [
        Case("Linear", "square", lambda: T.Linear(4, 4), lambda: P.Linear(4, 4), ((3, 4),)),
        Case("Linear", "oblong", lambda: T.Linear(4, 6), lambda: P.Linear(4, 6), ((3, 4),)),
        Case(
            "Linear",
            "without bias",
            lambda: T.Linear(4, 4, bias=False),
            lambda: P.Linear(4, 4, bias_attr=False),
            ((3, 4),),
        ),
        Case(
            "Linear",
            "laid out as in torch",
            lambda: T.Linear(4, 4),
            lambda: paddle.compat.nn.Linear(4, 4),
            ((3, 4),),
        ),
        Case(
            "Bilinear",
            "square",
            lambda: T.Bilinear(4, 4, 4),
            lambda: P.Bilinear(4, 4, 4),
            ((3, 4), (3, 4)),
        ),
        Case(
            "Embedding",
            "square",
            lambda: T.Embedding(4, 4),
            lambda: P.Embedding(4, 4),
            ((2, 4),),
            ids=1,
        ),
        Case(
            "PReLU",
            "",
            lambda: T.PReLU(4),
            lambda: P.PReLU(4),
            ((3, 4, 2),),
        ),
        Case(
            "AdaptiveLogSoftmaxWithLoss",
            "",
            lambda: T.AdaptiveLogSoftmaxWithLoss(8, 8, [4, 6], div_value=2.0, head_bias=True),
            lambda: P.AdaptiveLogSoftmaxWithLoss(8, 8, [4, 6], div_value=2.0, head_bias=True),
            ((6, 8), (6,)),
            ids=1,
        ),
    ]


CASES = (*_others(), *_convs(), *_norms(), *_recurrent(), *_attention())
