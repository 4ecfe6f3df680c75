"""Faults of the networks for sequences."""

from typing import Any

import numpy as np
import paddle
import torch
from numpy.typing import NDArray

from tests.networks.between import detach, round_trip, scaled_gradient
from tests.networks.planting import (
    Site,
    attribute,
    both,
    exchanged,
    fault,
    frozen,
    gradient,
    inputs,
    loss,
    replaced,
    rule,
    through,
    values,
)

__all__ = ["SEQUENCE_FAULTS"]

_SILU = {"torch": torch.nn.SiLU, "paddle": paddle.nn.Silu}


def _one_element(array: NDArray[Any]) -> NDArray[Any]:
    array.flat[array.size // 3] += 0.01
    return array


def _shifted(ids: NDArray[Any]) -> NDArray[Any]:
    return np.roll(ids, 1, axis=1)


def _gates_reordered(weight: NDArray[Any]) -> NDArray[Any]:
    """Input and forget gate exchanged, as between frameworks that order them otherwise."""
    first, second, *others = np.split(weight, 4)
    return np.concatenate([second, first, *others])


_DECODER = (
    fault("decoder: tokens shifted", "Model inputs", "", inputs("ids", _shifted)),
    fault(
        "decoder: projection transposed",
        "Weights",
        "blocks.0.attn.k",
        values("blocks.0.attn.k", "weight", np.transpose),
    ),
    fault(
        "decoder: mask missing",
        "Forward stage",
        "blocks.0.attn",
        attribute("blocks.0.attn", False, "causal"),
        "blocks.0.attn.out",
    ),
    fault(
        "decoder: mask off by one",
        "Forward stage",
        "blocks.1.attn",
        attribute("blocks.1.attn", 1, "ahead"),
        "blocks.1.attn.out",
    ),
    fault(
        "decoder: attention scale",
        "Forward stage",
        "blocks.0.attn",
        attribute("blocks.0.attn", 1 / 8, "scale"),
        "blocks.0.attn.out",
    ),
    fault(
        "decoder: position off by one",
        "Forward stage",
        "",
        attribute("", 1, "positions_offset"),
        "positions",
    ),
    fault(
        "decoder: layer norm eps",
        "Forward stage",
        "blocks.1.norm2",
        attribute("blocks.1.norm2", 1e-3, "eps", "_epsilon"),
    ),
    fault(
        "decoder: tanh GELU",
        "Forward stage",
        "blocks.0.act",
        attribute("blocks.0.act", "tanh", "approximate", "_approximate"),
    ),
    fault(
        "decoder: residual scaled",
        "Forward stage",
        "blocks.1",
        attribute("blocks.1", 0.5, "residual_scale"),
    ),
    fault(
        "decoder: bfloat16 in attention",
        "Forward stage",
        "blocks.1.attn",
        attribute("blocks.1.attn", round_trip, "on_values"),
        "blocks.1.attn.out",
    ),
    fault("decoder: logits scaled", "Forward stage", "", attribute("", 0.5, "logit_scale")),
    fault(
        "decoder: values detached",
        "Backward stage",
        "blocks.0.attn",
        attribute("blocks.0.attn", detach, "on_values"),
        "blocks.0.attn.q",
    ),
    fault(
        "decoder: wrong score gradient",
        "Backward stage",
        "blocks.1.attn",
        attribute("blocks.1.attn", scaled_gradient(1.2), "on_scores"),
        "blocks.1.attn.q",
    ),
    fault(
        "decoder: wrong gradient in a block",
        "Backward stage",
        "blocks.0",
        attribute("blocks.0", scaled_gradient(1.2), "between"),
        "blocks.0.act",
    ),
    fault("decoder: a padding class", "Loss", "", loss(ignore_index=3)),
    fault(
        "decoder: Adam with decay",
        "Updated weights",
        "*",
        rule("adam", weight_decay=0.1),
        kind="adam",
    ),
)

_FIRST = "encoder.layers.0"
_ENCODER = (
    fault(
        "encoder: mask of other lengths",
        "Model inputs",
        "",
        inputs("keep", lambda keep: keep[::-1]),
    ),
    fault("encoder: query not copied", "Weights", "", values("", "query", np.zeros_like)),
    fault(
        "encoder: packed weight",
        "Weights",
        {"torch": f"{_FIRST}.self_attn", "paddle": f"{_FIRST}.self_attn.q_proj"},
        lambda site: values(
            f"{_FIRST}.self_attn" + site.name("", ".q_proj"),
            site.name("in_proj_weight", "weight"),
            _one_element,
        )(site),
    ),
    fault(
        "encoder: number of heads",
        "Forward stage",
        f"{_FIRST}.self_attn",
        both(
            attribute(f"{_FIRST}.self_attn", 4, "num_heads"),
            attribute(f"{_FIRST}.self_attn", 4, "head_dim"),
        ),
    ),
    fault(
        "encoder: dropout active",
        "Forward stage",
        "encoder.layers.1.dropout1",
        attribute("encoder.layers.1.dropout1", 0.2, "p"),
    ),
    fault(
        "encoder: norm first",
        "Forward stage",
        _FIRST,
        attribute(_FIRST, True, "norm_first", "normalize_before"),
        f"{_FIRST}.self_attn",
    ),
    fault(
        "encoder: tanh GELU",
        "Forward stage",
        _FIRST,
        lambda site: attribute(_FIRST, _tanh_gelu(site), "activation")(site),
        f"{_FIRST}.dropout",
    ),
    fault(
        "encoder: layer norm eps",
        "Forward stage",
        "encoder.layers.1.norm2",
        attribute("encoder.layers.1.norm2", 1e-3, "eps", "_epsilon"),
    ),
    fault(
        "encoder: mask missing",
        "Forward stage",
        "",
        attribute("", False, "masked"),
        f"{_FIRST}.self_attn",
    ),
    fault(
        "encoder: padding averaged", "Forward stage", "", attribute("", True, "averages_all"), "fc"
    ),
    fault(
        "encoder: bfloat16 on the way",
        "Forward stage",
        "",
        attribute("", round_trip, "between"),
        f"{_FIRST}.self_attn",
    ),
    fault(
        "encoder: embedding detached",
        "Backward stage",
        "",
        attribute("", detach, "between"),
        f"{_FIRST}.self_attn",
    ),
    fault("encoder: wrong bias gradient", "Gradients", "fc", gradient("fc", "bias", -1.0)),
    fault("encoder: label smoothing", "Loss", "", loss(label_smoothing=0.2)),
)

_LSTM = (
    fault("lstm: words shifted", "Model inputs", "", inputs("ids", _shifted)),
    fault("lstm: embedding element", "Weights", "words", values("words", "weight", _one_element)),
    fault(
        "lstm: order of gates",
        "Weights",
        "lstm",
        values("lstm", "weight_hh_l0_reverse", _gates_reordered),
    ),
    fault("lstm: initial state", "Forward stage", "", attribute("", 0.5, "initial"), "lstm"),
    fault(
        "lstm: order of directions",
        "Forward stage",
        "",
        attribute("", True, "backward_first"),
        "fc",
    ),
    fault("lstm: last for mean", "Forward stage", "", attribute("", True, "last_alone"), "fc"),
    fault(
        "lstm: bfloat16 on the way",
        "Forward stage",
        "",
        attribute("", round_trip, "between"),
        "lstm",
    ),
    fault(
        "lstm: wrong gradient of words",
        "Gradients",
        "words",
        attribute("", scaled_gradient(1.5), "between"),
    ),
    fault("lstm: embedding frozen", "Backward stage", "words", frozen("words", "weight"), "lstm"),
    fault("lstm: loss summed", "Loss", "", loss(reduction="sum")),
    fault("lstm: Adam eps", "Updated weights", "*", rule("adam", eps=1e-3), kind="adam"),
)

_EXPERTS = (
    fault("experts: input element", "Model inputs", "", inputs("x", _one_element)),
    fault(
        "experts: order of experts",
        "Weights",
        "blocks.0.experts.1.up",
        exchanged("blocks.0.experts.1.up", "blocks.0.experts.2.up", "weight"),
    ),
    fault(
        "experts: first alone",
        "Forward stage",
        "blocks.0",
        attribute("blocks.0", 1, "k"),
        "blocks.0.experts.0.up",
    ),
    fault(
        "experts: shares not normalized",
        "Forward stage",
        "blocks.1",
        attribute("blocks.1", False, "normalized"),
    ),
    fault(
        "experts: scale of the gate",
        "Forward stage",
        "blocks.0",
        attribute("blocks.0", 1.0, "gate_scale"),
    ),
    fault(
        "experts: residual missing",
        "Forward stage",
        "blocks.0",
        attribute("blocks.0", 0.0, "residual_scale"),
    ),
    fault(
        "experts: SiLU for GELU",
        "Forward stage",
        "blocks.1.experts.0.act",
        replaced("blocks.1.experts.0.act", _SILU),
    ),
    fault(
        "experts: sum for mean in pooling",
        "Forward stage",
        "",
        attribute("", True, "total"),
        "head",
    ),
    fault(
        "experts: bfloat16 between blocks",
        "Forward stage",
        "",
        attribute("", round_trip, "between"),
        "blocks.1.norm",
    ),
    fault(
        "experts: shares detached",
        "Backward stage",
        "blocks.1",
        attribute("blocks.1", detach, "on_shares"),
        "blocks.1.gate",
    ),
    fault(
        "experts: wrong activation gradient",
        "Backward stage",
        "blocks.0.experts.2.act",
        through("blocks.0.experts.2.act", scaled_gradient(0.5)),
    ),
    fault("experts: label smoothing", "Loss", "", loss(label_smoothing=0.1)),
    fault(
        "experts: Adam betas",
        "Updated weights",
        "*",
        rule("adam", betas=(0.5, 0.9)),
        kind="adam",
        steps=2,
    ),
)

_TRANSLATOR = (
    fault("translator: target shifted", "Model inputs", "", inputs("target", _shifted)),
    fault(
        "translator: bias not copied",
        "Weights",
        "decoder",
        values("decoder", "bias_hh_l0", np.zeros_like),
    ),
    fault(
        "translator: source reversed",
        "Forward stage",
        "",
        attribute("", True, "flipped"),
        "encoder",
    ),
    fault(
        "translator: state not handed over",
        "Forward stage",
        "",
        attribute("", 0.0, "state_scale"),
        "decoder",
    ),
    fault("translator: attention scale", "Forward stage", "", attribute("", 1.0, "scale"), "mix"),
    fault(
        "translator: bfloat16 on the way",
        "Forward stage",
        "",
        attribute("", round_trip, "between"),
        "mix",
    ),
    fault(
        "translator: what was read detached",
        "Backward stage",
        "",
        attribute("", detach, "on_read"),
        "encoder",
    ),
    fault(
        "translator: wrong tanh gradient",
        "Backward stage",
        "act",
        through("act", scaled_gradient(1.1)),
    ),
    fault("translator: loss summed", "Loss", "", loss(reduction="sum")),
    fault("translator: weight decay", "Updated weights", "*", rule("sgd", weight_decay=0.1)),
)

SEQUENCE_FAULTS = (*_DECODER, *_ENCODER, *_LSTM, *_EXPERTS, *_TRANSLATOR)


def _tanh_gelu(site: Site) -> Any:
    if site.framework == "torch":
        return lambda x: torch.nn.functional.gelu(x, approximate="tanh")
    return lambda x: paddle.nn.functional.gelu(x, approximate=True)
