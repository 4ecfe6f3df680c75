"""How a pytest of its own finds the plugin."""

from importlib.metadata import entry_points
from pathlib import Path

import padiff

__all__ = ["plugin_environment"]


def plugin_environment() -> dict[str, str]:
    """What must be in its environment: nothing where padiff was installed with its entry point."""
    if entry_points(group="pytest11", name="padiff"):
        return {}
    root = Path(padiff.__file__).parents[1]
    return {"PYTEST_PLUGINS": "padiff.pytest_plugin", "PYTHONPATH": str(root)}
