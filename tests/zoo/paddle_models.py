"""The awkward models in paddle; `torch_models.py` holds the same, line by line."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import nn
from paddle.distributed.fleet.utils import recompute
from paddle.nn import functional as F

Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Outcome:
    logits: Any
    hidden: Any
    loss: Any = None


class Residual(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 6)
        self.act = nn.ReLU()
        self.down = nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        return x + self.down(self.act(self.up(x)))


class Shared(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """One layer under two routes, and called once more by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.second = self.first

    def forward(self, x: Any) -> Any:
        x = self.norm(self.first(x))
        return self.first(paddle.tanh(self.second(x)))


class Loop(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """A cell called as often as the sequence is long."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = Residual()
        self.never = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        state = paddle.zeros_like(x[:, 0])
        for step in range(x.shape[1]):
            state = self.cell(state + x[:, step])
        return state


class Split(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Returns a tuple with a tuple, None and a number inside."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        y = self.fc(x)
        return y[:, :2], (y[:, 2:], None), 3


class Named(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Returns a mapping with a named tuple and a tensor of integers inside."""

    def __init__(self) -> None:
        super().__init__()
        self.split = Split()

    def forward(self, x: Any) -> Any:
        left, (right, nothing), number = self.split(x)
        return {
            "pair": Pair(left, right),
            "nothing": nothing,
            1: left.argmax(-1),
            "1": left * number,
        }


class Data(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Returns a dataclass, made from what a mapping held."""

    def __init__(self) -> None:
        super().__init__()
        self.named = Named()

    def forward(self, x: Any) -> Any:
        found = self.named(x)
        return Outcome(logits=found["pair"].left, hidden=[found["pair"].right, found["1"]])


class Silent(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """A layer that returns None: it leaves what it made in a list it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Any, into: list[Any]) -> None:
        into.append(self.fc(x))


class Nothing(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.silent = Silent()
        self.last = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        made: list[Any] = []
        self.silent(x, into=made)
        return self.last(made[0])


class Mixer(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Takes a tensor, a structure by keyword, and what is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Any, *, others: Any = None, scale: float = 1.0) -> Any:
        return self.fc(x) * scale + others["plus"] * others["masks"][0]


class Keywords(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.mixer = Mixer()

    def forward(self, x: Any, plus: Any = None, mask: Any = None) -> Any:
        return self.mixer(x, others={"plus": plus, "masks": (mask, None)}, scale=0.5)


class InPlaceReLU(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """What `ReLU(inplace=True)` is in torch."""

    def forward(self, x: Any) -> Any:
        return F.relu_(x)


class InPlace(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Changes in place what a layer returned, by a layer and by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 6)
        self.act = InPlaceReLU()
        self.fc2 = nn.Linear(6, 6)
        self.fc3 = nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        x = self.act(self.fc1(x))
        x = F.relu_(self.fc2(x))
        return self.fc3(x)


class NoGrad(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """A branch without gradients beside one with them."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = Residual()
        self.student = Residual()

    def forward(self, x: Any) -> Any:
        with paddle.no_grad():
            target = self.teacher(x)
        return (self.student(x) - target) ** 2


class Scale(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """All that paddle computes in bfloat16 on a CPU: a product."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.create_parameter(
            [4], dtype="bfloat16", default_initializer=nn.initializer.Constant(1.5)
        )

    def forward(self, x: Any) -> Any:
        return x * self.weight


class Half(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Computes in bfloat16 inside."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale()
        self.out = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.out(self.scale(x.astype("bfloat16")).astype("float32"))


class Views(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Returns views of every kind, a number of no dimension and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        y = self.fc(x)
        return y.T, paddle.flip(y, [0]), y[:, 1:3], y.mean(), y > 0


class Caught(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Goes on after a layer has raised."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = Broken()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        try:
            return self.broken(x)
        except ArithmeticError:
            return self.fc(x)


class Broken(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        self.before(x)
        raise ArithmeticError("planted")


class ConvNet(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2D(4)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.act(self.norm(self.conv(x))))
        return self.fc(x.reshape([x.shape[0], 4]))


class Words(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Takes integers; the gradient of the embedding is sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4, sparse=True)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 2)

    def forward(self, ids: Any) -> Any:
        return self.fc(self.drop(self.table(ids)))


class Recurrent(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        y, (h, c) = self.lstm(x)
        return self.fc(y), h, c


class Encoder(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.fc(self.encoder(x))


class Checkpointed(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Runs a block again while going back."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.first = nn.Linear(4, 4)
        self.block = Residual()
        self.last = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        x = recompute(self.block, x, use_reentrant=self.reentrant)
        return self.last(x)


class Inward(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Goes back inside its own forward, through a checkpoint: both run layers there."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Checkpointed(reentrant=False)
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        (slope,) = paddle.grad(self.inner(x).sum(), [x])
        return self.fc(slope)
