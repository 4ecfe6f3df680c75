"""Faults of the recurrent networks, and of the mixture of experts."""

from typing import Any

import numpy as np
import paddle
import torch
from numpy.typing import NDArray

from tests.networks.between import detach, round_trip, scaled_gradient
from tests.networks.planting import (
    attribute,
    exchanged,
    fault,
    frozen,
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

SEQUENCE_FAULTS = (*_LSTM, *_EXPERTS, *_TRANSLATOR)
