"""How results show themselves in a notebook, and draw themselves: what does so is loaded then.

This is the one module that calls others below it in the table of imports. An object that a notebook
shows is asked for its HTML, and a comparison for its plot, by whoever holds it, so that classes of
every tier need the way down; it is taken by name when one asks, and nothing is loaded before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from padiff.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Shown", "figure_of"]


class Shown:
    """What `padiff/notebook.py` knows how to show; a line there for each class."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """What Jupyter asks for where an object is the last line of a cell."""
        return str(import_module("padiff.notebook").html_of(self))


def figure_of(comparison: object, **options: Any) -> "Figure":
    """The plot of a comparison; UsageError where matplotlib is not installed."""
    try:
        import_module("matplotlib.figure")
    except ImportError:
        raise UsageError(
            "expected matplotlib to be there, for a plot: pip install 'matplotlib>=3.8', or take "
            "to_frame() or to_json()"
        ) from None
    drawn: Figure = import_module("padiff.plotting").plot(comparison, **options)
    return drawn
