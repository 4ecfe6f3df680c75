"""Faults of the networks for vectors and images."""

from typing import Any

import numpy as np
import paddle
import torch
from numpy.typing import NDArray

from tests.networks.between import detach, round_trip, scaled_gradient
from tests.networks.planting import (
    attribute,
    both,
    fault,
    frozen,
    gradient,
    inputs,
    loss,
    method,
    replaced,
    rule,
    through,
    values,
)

__all__ = ["IMAGE_FAULTS"]

_SILU = {"torch": torch.nn.SiLU, "paddle": paddle.nn.Silu}
_RELU = {"torch": torch.nn.ReLU, "paddle": paddle.nn.ReLU}


def _one_element(array: NDArray[Any]) -> NDArray[Any]:
    array.flat[array.size // 2] += 0.01
    return array


_MLP = (
    fault("mlp: input element", "Model inputs", "", inputs("x", _one_element)),
    fault("mlp: weight element", "Weights", "fc.3", values("fc.3", "weight", _one_element)),
    fault("mlp: weight transposed", "Weights", "fc.5", values("fc.5", "weight", np.transpose)),
    fault("mlp: bias not copied", "Weights", "fc.0", values("fc.0", "bias", np.zeros_like)),
    fault(
        "mlp: negative slope",
        "Forward stage",
        "act.1",
        attribute("act.1", 0.01, "negative_slope", "_negative_slope"),
    ),
    fault(
        "mlp: tanh GELU",
        "Forward stage",
        "act.0",
        attribute("act.0", "tanh", "approximate", "_approximate"),
    ),
    fault("mlp: SiLU for GELU", "Forward stage", "act.4", replaced("act.4", _SILU)),
    fault("mlp: dropout active", "Forward stage", "drop", attribute("drop", 0.2, "p")),
    fault(
        "mlp: bfloat16 on the way",
        "Forward stage",
        "",
        attribute("", round_trip, "between"),
        "fc.6",
    ),
    fault(
        "mlp: wrong activation gradient",
        "Backward stage",
        "act.2",
        through("act.2", scaled_gradient(1.1)),
    ),
    fault("mlp: label smoothing", "Loss", "", loss(label_smoothing=0.1)),
    fault("mlp: wrong weight gradient", "Gradients", "fc.7", gradient("fc.7", "weight", 1.1)),
    fault("mlp: weight decay", "Updated weights", "*", rule("sgd", weight_decay=0.1)),
    fault("mlp: momentum", "Updated weights", "*", rule("sgd", momentum=0.9), steps=2),
)

_CNN = (
    fault("cnn: norm scale not copied", "Weights", "norm", values("norm", "weight", np.ones_like)),
    fault(
        "cnn: batch norm eps",
        "Forward stage",
        "block1.norm1",
        attribute("block1.norm1", 1e-3, "eps", "_epsilon"),
    ),
    fault(
        "cnn: running statistics used",
        "Forward stage",
        "block2.norm2",
        method("block2.norm2", "eval"),
    ),
    fault("cnn: evaluation mode", "Forward stage", "norm", method("", "eval")),
    fault(
        "cnn: padding missing",
        "Forward stage",
        "conv",
        attribute("conv", [0, 0], "padding", "_updated_padding"),
    ),
    fault(
        "cnn: stride",
        "Forward stage",
        "block2.conv1",
        both(
            attribute("block2.down", [1, 1], "stride", "_stride"),
            attribute("block2.conv1", [1, 1], "stride", "_stride"),
        ),
    ),
    fault("cnn: pool rounds up", "Forward stage", "pool", attribute("pool", True, "ceil_mode")),
    fault(
        "cnn: residual missing",
        "Forward stage",
        "block1",
        attribute("block1", 0.0, "residual_scale"),
        "block1.act2",
    ),
    fault(
        "cnn: residual scaled",
        "Forward stage",
        "block2",
        attribute("block2", 0.5, "residual_scale"),
        "block2.act2",
    ),
    fault("cnn: SiLU for ReLU", "Forward stage", "block2.act1", replaced("block2.act1", _SILU)),
    fault("cnn: sum for mean in pooling", "Forward stage", "", attribute("", True, "total"), "fc"),
    fault(
        "cnn: shortcut detached",
        "Backward stage",
        "block2",
        attribute("block2", detach, "on_shortcut"),
        "block2.conv1",
    ),
    fault(
        "cnn: gradient scaled between blocks",
        "Backward stage",
        "",
        attribute("", scaled_gradient(0.5), "between"),
        "block1.act2",
    ),
    fault("cnn: loss summed", "Loss", "", loss(reduction="sum")),
    fault("cnn: convolution frozen", "Gradients", "block1.conv2", frozen("block1.conv2", "weight")),
    fault("cnn: Adam eps", "Updated weights", "*", rule("adam", eps=1e-3), kind="adam"),
)

_UNET = (
    fault("unet: input not scaled", "Model inputs", "", inputs("image", lambda x: x * 2)),
    fault(
        "unet: kernel transposed",
        "Weights",
        "up",
        values("up", "weight", lambda x: x.swapaxes(2, 3)),
    ),
    fault(
        "unet: group norm eps",
        "Forward stage",
        "enter.norm",
        attribute("enter.norm", 1e-3, "eps", "_epsilon"),
    ),
    fault(
        "unet: number of groups",
        "Forward stage",
        "bottom.norm",
        attribute("bottom.norm", 4, "num_groups", "_num_groups"),
    ),
    fault(
        "unet: dilation",
        "Forward stage",
        "bottom.conv",
        both(
            attribute("bottom.conv", [2, 2], "dilation", "_dilation"),
            attribute("bottom.conv", [2, 2], "padding", "_updated_padding"),
        ),
    ),
    fault("unet: ReLU for SiLU", "Forward stage", "merge2.act", replaced("merge2.act", _RELU)),
    fault(
        "unet: corners aligned",
        "Forward stage",
        "",
        attribute("", True, "align_corners"),
        "merge2.conv",
    ),
    fault(
        "unet: skip missing", "Forward stage", "", attribute("", 0.0, "skip_scale"), "merge2.conv"
    ),
    fault(
        "unet: bfloat16 on the way up",
        "Forward stage",
        "",
        attribute("", round_trip, "between"),
        "up",
    ),
    fault(
        "unet: skip detached",
        "Backward stage",
        "",
        attribute("", detach, "on_skip"),
        "inner.act",
    ),
    fault(
        "unet: wrong norm gradient",
        "Backward stage",
        "merge1.norm",
        through("merge1.norm", scaled_gradient(0.9)),
    ),
    fault("unet: loss summed", "Loss", "", loss(reduction="sum")),
)

_VISION = (
    fault("vision: class token", "Weights", "", values("", "token", np.zeros_like)),
    fault(
        "vision: kernel flipped",
        "Weights",
        "patches",
        values("patches", "weight", lambda x: x[:, :, ::-1, ::-1]),
    ),
    fault(
        "vision: position off by one",
        "Forward stage",
        "",
        attribute("", 1, "positions_offset"),
        "blocks.0.norm1",
    ),
    fault(
        "vision: queries for keys",
        "Forward stage",
        "blocks.0.attn",
        attribute("blocks.0.attn", (1, 0, 2), "places"),
        "blocks.0.attn.out",
    ),
    fault(
        "vision: attention scale",
        "Forward stage",
        "blocks.1.attn",
        attribute("blocks.1.attn", 1.0, "scale"),
        "blocks.1.attn.out",
    ),
    fault(
        "vision: residual missing",
        "Forward stage",
        "blocks.1",
        attribute("blocks.1", 0.0, "residual_scale"),
        "blocks.1.norm2",
    ),
    fault(
        "vision: layer norm eps",
        "Forward stage",
        "norm",
        attribute("norm", 1e-3, "eps", "_epsilon"),
    ),
    fault("vision: mean for token", "Forward stage", "", attribute("", True, "averaged"), "head"),
    fault(
        "vision: bfloat16 between blocks",
        "Forward stage",
        "",
        attribute("", round_trip, "between"),
        "blocks.1.norm1",
    ),
    fault(
        "vision: wrong softmax gradient",
        "Backward stage",
        "blocks.1.attn",
        attribute("blocks.1.attn", scaled_gradient(1.5), "on_weights"),
        "blocks.1.attn.qkv",
    ),
    fault("vision: positions frozen", "Gradients", "", frozen("", "positions")),
    fault("vision: learning rate", "Updated weights", "*", rule("sgd", lr=0.06)),
)

IMAGE_FAULTS = (*_MLP, *_CNN, *_UNET, *_VISION)
