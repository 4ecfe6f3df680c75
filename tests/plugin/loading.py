"""How a pytest in a process of its own finds the plugin, and this very padiff."""

from importlib.metadata import entry_points
from pathlib import Path

import padiff

__all__ = ["ALONE", "as_installed"]

_PADIFF = {
    "PYTEST_PLUGINS": "padiff.pytest_plugin",
    "PYTHONPATH": str(Path(padiff.__file__).parents[1]),
}
# An environment for this plugin alone: with all that is installed beside, it takes twice as long.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **_PADIFF}


def as_installed() -> dict[str, str]:
    """What must be in the environment: nothing where padiff was installed with its entry point."""
    return {} if entry_points(group="pytest11", name="padiff") else _PADIFF
