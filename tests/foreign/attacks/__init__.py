"""Files that are made to harm their reader, each attack by its name."""

from tests.foreign.attacks import distributed, hdf5, numpy_files, pickles, safetensors, zarr  # noqa: F401  # each adds its own
from tests.foreign.attacks.registry import ATTACKS

__all__ = ["ATTACKS"]
