"""Every fault by its name, which begins with that of its network."""

from tests.networks.attention_faults import ATTENTION_FAULTS
from tests.networks.image_faults import IMAGE_FAULTS
from tests.networks.planting import Fault, Setup, Stage
from tests.networks.sequence_faults import SEQUENCE_FAULTS

__all__ = ["ALL_FAULTS", "FAULTS", "Fault", "Setup", "Stage"]

ALL_FAULTS = (*IMAGE_FAULTS, *ATTENTION_FAULTS, *SEQUENCE_FAULTS)
FAULTS: dict[str, Fault] = {fault.name: fault for fault in ALL_FAULTS}
