"""The networks for sequences in torch; `paddle_sequences.py` holds the same, line by line.

Plain attributes that `forward` reads are where a fault can be planted from outside.
"""

from typing import Any

import torch
from torch import nn

from tests.networks.between import same

__all__ = ["Classifier", "Decoder", "Encoder", "Mixture", "Translator"]


class Attention(nn.Module):
    """Causal: a query sees the keys up to its own place, and `ahead` further."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.causal = True
        self.ahead = 0
        self.on_scores = same
        self.on_values = same

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        shape = [batch, length, self.heads, width // self.heads]
        q, k, v = (
            made.reshape(shape).transpose(1, 2) for made in (self.q(x), self.k(x), self.v(x))
        )
        scores = self.on_scores(q @ k.transpose(-2, -1) * self.scale)
        if self.causal:
            seen = torch.tril(torch.ones([length, length]), self.ahead)
            scores = scores + (seen - 1) * 1e9
        mixed = torch.softmax(scores, dim=-1) @ self.on_values(v)
        return self.out(mixed.transpose(1, 2).reshape([batch, length, width]))


class Block(nn.Module):
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


class Decoder(nn.Module):
    """A decoder-only language model; the table of its tokens is its head as well."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 16)
        self.positions = nn.Embedding(12, 16)
        self.blocks = nn.ModuleList(Block(16, 2) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.positions_offset = 0
        self.logit_scale = 0.25

    def forward(self, ids: Any) -> Any:
        places = torch.arange(ids.shape[1]) + self.positions_offset
        x = self.tokens(ids) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.tokens.weight.T * self.logit_scale


class Encoder(nn.Module):
    """The framework's own encoder layers, and its attention for one query of the model's own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        layer = nn.TransformerEncoderLayer(
            16, 2, 32, dropout=0.0, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.query = nn.Parameter(torch.randn(1, 1, 16))
        self.pool = nn.MultiheadAttention(16, 2, batch_first=True)
        self.fc = nn.Linear(32, 5)
        self.masked = True
        self.averages_all = False
        self.between = same

    def forward(self, x: Any, keep: Any) -> Any:
        ignore = ~keep if self.masked else None
        x = self.encoder(self.between(self.embed(x)), src_key_padding_mask=ignore)
        query = self.query.expand([x.shape[0], 1, 16])
        pooled, _ = self.pool(query, x, x, key_padding_mask=ignore, need_weights=False)
        weight = torch.ones_like(x[:, :, :1]) if self.averages_all else keep.float()[:, :, None]
        mean = (x * weight).sum(dim=1) / weight.sum(dim=1)
        return self.fc(torch.cat([pooled[:, 0], mean], dim=-1))


class Classifier(nn.Module):
    """Two layers of LSTM in both directions, from words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(13, 8)
        self.lstm = nn.LSTM(8, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(12, 3)
        self.initial = 0.0
        self.backward_first = False
        self.last_alone = False
        self.between = same

    def forward(self, ids: Any) -> Any:
        x = self.between(self.words(ids))
        state = torch.full([4, x.shape[0], 6], self.initial)
        y, _ = self.lstm(x, (state, state))
        if self.backward_first:
            y = torch.cat([y[:, :, 6:], y[:, :, :6]], dim=-1)
        return self.fc(y[:, -1] if self.last_alone else y.mean(dim=1))


class Expert(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Any) -> Any:
        return self.down(self.act(self.up(x)))


class MixtureBlock(nn.Module):
    """Each token goes to the `k` experts that the gate ranks first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 4, bias=False)
        self.experts = nn.ModuleList(Expert(width) for _ in range(4))
        self.k = 2
        self.gate_scale = 2.0
        self.normalized = True
        self.residual_scale = 1.0
        self.on_shares = same

    def forward(self, x: Any) -> Any:
        tokens = self.norm(x).reshape([-1, x.shape[-1]])
        scores = self.gate(tokens) * self.gate_scale
        best, chosen = torch.topk(scores if self.normalized else torch.softmax(scores, -1), self.k)
        shares = self.on_shares(torch.softmax(best, dim=-1) if self.normalized else best)
        out = torch.zeros_like(tokens)
        for place, expert in enumerate(self.experts):
            share = (shares * (chosen == place).float()).sum(dim=-1)
            rows = torch.nonzero((chosen == place).any(dim=-1))[:, 0]
            if rows.shape[0]:
                out = torch.index_add(out, 0, rows, expert(tokens[rows]) * share[rows][:, None])
        return self.residual_scale * x + out.reshape(x.shape)


class Mixture(nn.Module):
    """A mixture of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.blocks = nn.ModuleList(MixtureBlock(16) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)
        self.total = False
        self.between = same

    def forward(self, x: Any) -> Any:
        x = self.embed(x)
        for block in self.blocks:
            x = self.between(block(x))
        x = self.norm(x)
        return self.head(x.sum(dim=1) if self.total else x.mean(dim=1))


class Translator(nn.Module):
    """A GRU reads, another writes and looks back; the paddle side has other names for them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(6, 12, batch_first=True)
        self.embed = nn.Embedding(9, 8)
        self.decoder = nn.GRU(8, 12, batch_first=True)
        self.query = nn.Linear(12, 12, bias=False)
        self.mix = nn.Linear(24, 12)
        self.act = nn.Tanh()
        self.out = nn.Linear(12, 9)
        self.scale = 12**-0.5
        self.state_scale = 1.0
        self.flipped = False
        self.on_read = same
        self.between = same

    def forward(self, source: Any, target: Any) -> Any:
        source = torch.flip(source, [1]) if self.flipped else source
        read, state = self.encoder(source)
        read = self.on_read(read)
        written, _ = self.decoder(self.embed(target), state * self.state_scale)
        scores = self.query(written) @ read.transpose(-2, -1) * self.scale
        seen = self.between(torch.softmax(scores, dim=-1) @ read)
        return self.out(self.act(self.mix(torch.cat([written, seen], dim=-1))))
