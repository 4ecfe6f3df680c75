"""How results show themselves in a notebook, and draw themselves: what does so is loaded then.

An object that a notebook shows is asked for its HTML, and a comparison for its plot, by whoever
holds it. Classes of every tier are, and what renders them is above them all: it is had from the
package itself, which hands on what lies anywhere in it and loads that when first asked.
"""

import sys
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
        return str(sys.modules["padiff"].html_of(self))


def figure_of(comparison: object, **options: Any) -> "Figure":
    """The plot of a comparison; UsageError where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401  # whether it is there
    except ImportError:
        raise UsageError(
            "expected matplotlib to be there, for a plot: pip install 'matplotlib>=3.8', or take "
            "to_frame() or to_json()"
        ) from None
    drawn: Figure = sys.modules["padiff"].plot(comparison, **options)
    return drawn
