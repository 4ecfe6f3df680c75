"""Realistic networks, each twice: in torch and in paddle, and faults to plant in them.

network, fault = NETWORKS["decoder"], FAULTS["decoder: mask missing"]
base, raw = network.build("torch"), network.build("paddle")  # of different weights
copy_weights(network, base, raw)                             # or padiff.assign_weight
rule = optimizer("paddle", fault.kind, raw)
setup = Setup(raw, network.inputs("paddle"), network.loss("paddle"), rule)
fault.plant("paddle", setup)                                 # now train with what is in the setup
"""

from tests.networks.catalogue import NETWORKS, Network, OptimizerKind, optimizer
from tests.networks.copying import copy_weights
from tests.networks.faults import FAULTS, Fault, Setup, Stage

__all__ = [
    "FAULTS",
    "NETWORKS",
    "Fault",
    "Network",
    "OptimizerKind",
    "Setup",
    "Stage",
    "copy_weights",
    "optimizer",
]
