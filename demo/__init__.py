"""A torch network, its paddle twin, and a fault for padiff to find: `python -m demo`."""

import warnings

__all__: list[str] = []

# paddle says both whatever one does: at its import, and in every BatchNorm that trains.
warnings.filterwarnings("ignore", "No ccache found")
warnings.filterwarnings("ignore", "When training, we now always track global mean and variance")
