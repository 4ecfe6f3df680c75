"""Awkward models, each twice: in torch and in paddle, with one set of weights and inputs.

twin = ZOO["shared"]
base, raw = twin.build("torch"), twin.build("paddle")   # the same weights
args, kwargs = twin.inputs("torch")                     # the same inputs
loss = SIDES["torch"].loss(base(*args, **kwargs))
"""

from tests.zoo.sides import SIDES, Side
from tests.zoo.twins import ZOO, Twin

__all__ = ["SIDES", "ZOO", "Side", "Twin"]
