"""Realistic networks, each twice: in torch and in paddle, and faults to plant in them.

network = NETWORKS["decoder"]
base, raw = network.build("torch"), network.build("paddle")  # of different weights
copy_weights(network, base, raw)
"""

from tests.networks.catalogue import NETWORKS, Network, OptimizerKind, optimizer
from tests.networks.copying import copy_weights

__all__ = ["NETWORKS", "Network", "OptimizerKind", "copy_weights", "optimizer"]
