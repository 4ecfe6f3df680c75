"""The networks for sequences in paddle; `torch_sequences.py` holds the same, line by line.

Plain attributes that `forward` reads are where a fault can be planted from outside.
"""

from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional as F

from tests.networks.between import same

__all__ = ["Classifier", "Decoder", "Encoder", "Mixture", "Translator"]


class Attention(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Causal: a query sees the keys up to its own place, and `ahead` further."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width, bias_attr=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.causal = True
        self.ahead = 0
        self.on_scores = same
        self.on_values = same

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        shape, swap = [batch, length, self.heads, width // self.heads], [0, 2, 1, 3]
        q, k, v = (
            made.reshape(shape).transpose(swap) for made in (self.q(x), self.k(x), self.v(x))
        )
        scores = self.on_scores(paddle.matmul(q, k, transpose_y=True) * self.scale)
        if self.causal:
            seen = paddle.tril(paddle.ones([length, length]), self.ahead)
            scores = scores + (seen - 1) * 1e9
        mixed = F.softmax(scores, axis=-1) @ self.on_values(v)
        return self.out(mixed.transpose(swap).reshape([batch, length, width]))


class Block(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(2 * width, width)
        self.residual_scale = 1.0
        self.between = same

    def forward(self, x: Any) -> Any:
        x = x + self.attn(self.norm1(x))
        inner = self.act(self.up(self.norm2(x)))
        return self.residual_scale * x + self.down(self.between(inner))


class Decoder(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """A decoder-only language model; the table of its tokens is its head as well."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 16)
        self.positions = nn.Embedding(12, 16)
        self.blocks = nn.LayerList(Block(16, 2) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.positions_offset = 0
        self.logit_scale = 0.25

    def forward(self, ids: Any) -> Any:
        places = paddle.arange(ids.shape[1]) + self.positions_offset
        x = self.tokens(ids) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        return paddle.matmul(self.norm(x), self.tokens.weight, transpose_y=True) * self.logit_scale


class Encoder(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """The framework's own encoder layers, and its attention for one query of the model's own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2)
        normal = nn.initializer.Normal()
        self.query = self.create_parameter([1, 1, 16], default_initializer=normal)
        self.pool = nn.MultiHeadAttention(16, 2)
        self.fc = nn.Linear(32, 5)
        self.masked = True
        self.averages_all = False
        self.between = same

    def forward(self, x: Any, keep: Any) -> Any:
        seen = keep[:, None, None] if self.masked else None
        x = self.encoder(self.between(self.embed(x)), src_mask=seen)
        query = self.query.expand([x.shape[0], 1, 16])
        pooled = self.pool(query, x, x, attn_mask=seen)
        every = paddle.ones_like(x[:, :, :1])
        weight = every if self.averages_all else keep.astype("float32")[:, :, None]
        mean = (x * weight).sum(axis=1) / weight.sum(axis=1)
        return self.fc(paddle.concat([pooled[:, 0], mean], axis=-1))


class Classifier(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Two layers of LSTM in both directions, from words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(13, 8)
        self.lstm = nn.LSTM(8, 6, num_layers=2, direction="bidirectional")
        self.fc = nn.Linear(12, 3)
        self.initial = 0.0
        self.backward_first = False
        self.last_alone = False
        self.between = same

    def forward(self, ids: Any) -> Any:
        x = self.between(self.words(ids))
        state = paddle.full([4, x.shape[0], 6], self.initial)
        y, _ = self.lstm(x, (state, state))
        if self.backward_first:
            y = paddle.concat([y[:, :, 6:], y[:, :, :6]], axis=-1)
        return self.fc(y[:, -1] if self.last_alone else y.mean(axis=1))


class Expert(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Any) -> Any:
        return self.down(self.act(self.up(x)))


class MixtureBlock(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """Each token goes to the `k` experts that the gate ranks first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 4, bias_attr=False)
        self.experts = nn.LayerList(Expert(width) for _ in range(4))
        self.k = 2
        self.gate_scale = 2.0
        self.normalized = True
        self.residual_scale = 1.0
        self.on_shares = same

    def forward(self, x: Any) -> Any:
        tokens = self.norm(x).reshape([-1, x.shape[-1]])
        scores = self.gate(tokens) * self.gate_scale
        best, chosen = paddle.topk(scores if self.normalized else F.softmax(scores, -1), self.k)
        shares = self.on_shares(F.softmax(best, axis=-1) if self.normalized else best)
        out = paddle.zeros_like(tokens)
        for place, expert in enumerate(self.experts):
            share = (shares * (chosen == place).astype("float32")).sum(axis=-1)
            rows = paddle.nonzero((chosen == place).any(axis=-1))[:, 0]
            if rows.shape[0]:
                out = paddle.index_add(out, rows, 0, expert(tokens[rows]) * share[rows][:, None])
        return self.residual_scale * x + out.reshape(x.shape)


class Mixture(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """A mixture of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.blocks = nn.LayerList(MixtureBlock(16) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)
        self.total = False
        self.between = same

    def forward(self, x: Any) -> Any:
        x = self.embed(x)
        for block in self.blocks:
            x = self.between(block(x))
        x = self.norm(x)
        return self.head(x.sum(axis=1) if self.total else x.mean(axis=1))


class Translator(nn.Layer):  # type: ignore[misc]  # paddle ships no type information
    """A GRU reads, another writes and looks back; the torch side has other names for them."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = nn.GRU(6, 12)
        self.embed = nn.Embedding(9, 8)
        self.writer = nn.GRU(8, 12)
        self.looking = nn.Linear(12, 12, bias_attr=False)
        self.mix = nn.Linear(24, 12)
        self.act = nn.Tanh()
        self.vocabulary = nn.Linear(12, 9)
        self.scale = 12**-0.5
        self.state_scale = 1.0
        self.flipped = False
        self.on_read = same
        self.between = same

    def forward(self, source: Any, target: Any) -> Any:
        source = paddle.flip(source, [1]) if self.flipped else source
        read, state = self.reader(source)
        read = self.on_read(read)
        written, _ = self.writer(self.embed(target), state * self.state_scale)
        scores = paddle.matmul(self.looking(written), read, transpose_y=True) * self.scale
        seen = self.between(F.softmax(scores, axis=-1) @ read)
        return self.vocabulary(self.act(self.mix(paddle.concat([written, seen], axis=-1))))
