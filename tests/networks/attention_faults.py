"""Faults of the networks that attend: decoder and encoder."""

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
    fault,
    gradient,
    inputs,
    loss,
    rule,
    values,
)

__all__ = ["ATTENTION_FAULTS"]


def _one_element(array: NDArray[Any]) -> NDArray[Any]:
    array.flat[array.size // 3] += 0.01
    return array


def _shifted(ids: NDArray[Any]) -> NDArray[Any]:
    return np.roll(ids, 1, axis=1)


def _tanh_gelu(site: Site) -> Any:
    if site.framework == "torch":
        return lambda x: torch.nn.functional.gelu(x, approximate="tanh")
    return lambda x: paddle.nn.functional.gelu(x, approximate=True)


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
        f"{_FIRST}.self_attn",
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

ATTENTION_FAULTS = (*_DECODER, *_ENCODER)
