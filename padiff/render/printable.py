"""Text that is safe to print, whatever it holds; this loads in no time."""

__all__ = ["HEIGHT", "WIDTH", "clean"]

WIDTH = 80  # cells of a line, and lines, where nothing says how many there are
HEIGHT = 48


def clean(text: str, limit: int = 120) -> str:
    """`text` with every character that steers a terminal spelled out, and cut when very long."""
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
            for char in text
        )
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
