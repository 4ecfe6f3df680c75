"""How alike the names of parameters are, in either framework's words."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "cosines",
    "is_embedding",
    "kind_of",
    "likeness",
    "place_of",
    "route_of",
    "split_role",
    "words_of",
]

# What the frameworks, and older files, call the same parameter.
_SYNONYMS = {
    "_mean": "running_mean",
    "moving_mean": "running_mean",
    "_variance": "running_var",
    "moving_variance": "running_var",
    "gamma": "weight",
    "beta": "bias",
    "kernel": "weight",
    "embeddings": "weight",
    "scale": "weight",
    "_weight": "weight",
    "w": "weight",
    "b": "bias",
}
_KINDS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
# What the authors of networks call the same layer.
_CONCEPTS = {
    word: concept
    for concept, words in {
        "attention": "attn mha mixer attention selfattention",
        "q": "query queries wq",
        "k": "key keys wk",
        "v": "value values wv",
        "out": "o wo output dense",
        "gate": "w1",
        "up": "w3 fc1 fc linear1 intermediate in inner",
        "down": "w2 fc2 linear2",
        "norm 1": "input_layernorm attention_norm layernorm_before pre_attention_layer_norm",
        "norm 2": "post_attention_layernorm ffn_norm layernorm_after pre_mlp_layer_norm",
        "norm": "ln layernorm rmsnorm batchnorm bn groupnorm",
        "embed": "emb embedding embeddings embd wte tokens",
        "position embed": "wpe",
        "position": "positions pos positional",
        "mlp": "ffn ff feedforward",
        "layer": "layers block blocks blk h",
        "encoder": "enc reader",
        "decoder": "dec writer",
        "head": "classifier classify vocabulary logits",
        "conv": "convolution cnn",
        "shortcut": "downsample skip",
        "project": "proj projection",
    }.items()
    for word in (*concept.split()[:1], *words.split())
}
_ROLES = {role: number for number, role in enumerate(("q", "k", "v", "gate", "up"))}
_SPLIT = re.compile(r"[^a-z0-9_\x80-\U0010ffff]+")  # names are in any writing
_TOKENS = re.compile(r"\d+|[a-z\x80-\U0010ffff]+|#")
_EMBEDDING = re.compile(r"emb(ed(d(ing|er)s?)?|d)?$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def route_of(name: str) -> str:
    """What stands before the name of the parameter: the layer that has it."""
    return name.rpartition(".")[0]


def place_of(name: str) -> str:
    """The name of the parameter in its layer."""
    return name.rpartition(".")[2]


@lru_cache(2**16)
def words_of(name: str) -> tuple[str, ...]:
    """The parts of a dotted name, in small letters and each in one spelling."""
    parts = (part for part in _SPLIT.split(name.casefold()) if part)
    return tuple(_SYNONYMS.get(part, part) for part in parts)


@lru_cache(2**16)
def kind_of(name: str) -> str:
    """What a parameter is by its name, such as `bias`; empty where that is not known."""
    last = words_of(name)[-1:] or ("",)
    if last[0] in _KINDS:
        return last[0]
    tokens = _TOKENS.findall(last[0])
    return next((kind for kind in ("weight", "bias") if kind in tokens), "")


@lru_cache(2**16)
def is_embedding(name: str) -> bool:
    """Whether a word of it says so: `tok_embeddings` and `wte` do, `ensemble` does not."""
    tokens = (token for part in name.split(".") for token in _tokens(part))
    return any(token == "embed" or _EMBEDDING.search(token) for token in tokens)


@lru_cache(2**16)
def split_role(name: str) -> tuple[str, str] | None:
    """A name with a mark for what it is of several that may be one, as `q` in `attn.q_proj`."""
    parts = name.split(".")
    for at in reversed(range(len(parts))):
        tokens = _tokens(parts[at])
        for role in tokens:
            if role in _ROLES:
                rest = "_".join("@" if token == role else token for token in tokens)
                return ".".join((*parts[:at], rest, *parts[at + 1 :])), role
    return None


@lru_cache(2**16)
def _tokens(part: str) -> tuple[str, ...]:
    """The words of one part of a name: `selfAttn_q` is attention and q."""
    whole = part.casefold()
    if whole in _CONCEPTS:
        return tuple(_CONCEPTS[whole].split())
    pieces = _CAMEL.sub("_", part).casefold().split("_")
    words = [
        word
        for piece in pieces
        for word in ([piece] if piece in _CONCEPTS else _TOKENS.findall(piece))
    ]
    return tuple(_CONCEPTS.get(word, word) for word in words)


def likeness(base: Sequence[str], raw: Sequence[str]) -> NDArray[np.float32]:
    """How alike each name is to each, from 0 to 1: what few of them have tells most.

    The last parts of a name weigh more than those before, and words that differ may share some of
    their letters.
    """
    sides = [[_features(name) for name in names] for names in (base, raw)]
    held = Counter(feature for side in sides for features in side for feature in features)
    number = {feature: at for at, feature in enumerate(held)}
    rare = {f: log((len(base) + len(raw) + 1) / n) + 0.1 for f, n in held.items()}
    vectors: list[Any] = []
    for side in sides:
        matrix = np.zeros((len(side), len(number)), np.float32)
        for row, features in zip(matrix, side, strict=True):
            for feature, weight in features.items():
                row[number[feature]] = weight * rare[feature]
        vectors.append(matrix)
    return cosines(vectors[0], vectors[1])


def cosines(base: NDArray[np.float32], raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of each row of `base` with each of `raw`; 0 for a row of zeros."""
    ours, theirs = (
        side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9) for side in (base, raw)
    )
    # A BLAS now and then leaves the processor's flag of an invalid operation set though all rows
    # are finite, which NumPy would tell the user as a warning.
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float32] = ours @ theirs.T
    return found


@lru_cache(2**14)
def _features(name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for back, part in enumerate(reversed(name.split("."))):
        weight = 1 / sqrt(max(1, back))
        found[f"={part}"] = weight
        for token in _tokens(_SYNONYMS.get(part.casefold(), part)):
            found[token] = max(found.get(token, 0.0), weight)
            letters = f"^{token}$"
            some = dict.fromkeys(letters[at : at + 3] for at in range(len(letters) - 2))
            for three in some if token.isalpha() else ():
                key = f"~{three}"
                found[key] = max(found.get(key, 0.0), 0.6 * weight / sqrt(len(some)))
    return found
