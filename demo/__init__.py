"""A torch network, its paddle twin, and a fault for padiff to find: `python -m demo`."""

__all__: list[str] = []
