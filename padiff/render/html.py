"""A comparison as one page that needs nothing else: no script, no network."""

from html import escape

from padiff.comparing.comparison import Comparison, Record, Side
from padiff.render.causes import cause
from padiff.render.findings import figures, verdict
from padiff.render.outline import MARKER, outline
from padiff.render.traps import traps
from padiff.render.words import clean, layer_name, number, stage, tensor_name, when

__all__ = ["render"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2em .8em .2em 0; text-align: left; border-bottom: 1px solid #8884 }
tr.diverged td { color: #b00020 }
pre { display: inline-block; vertical-align: top; margin-right: 3em }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #ddd } tr.diverged td { color: #ff6b81 }
}
"""

_COLUMNS = ("stage", "base", "raw", "tensor", "status", "max abs", "mean abs", "rel L2", "out")


def render(comparison: Comparison) -> str:
    """The page: verdict, first divergence, both layer trees, and every record in event order."""
    first = comparison.first_divergence
    parts = [f"<h1>{_safe(verdict(comparison))}</h1>"]
    parts += [f"<p>{_safe(note, 400)}</p>" for note in comparison.notes]
    parts += _first(comparison, first)
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    rows = "".join(_row(record) for record in comparison.records)
    parts.append(f"<h2>Records</h2><table><tr>{head}</tr>{rows}</table>")
    alone = "".join(
        f"<li>{item.side}: {item.kind} {_safe(item.route)} {_safe(item.tensor or '')} "
        f"({item.section}) {_safe(item.reason)}</li>"
        for item in comparison.unmatched
    )
    if alone:
        parts.append(f"<h2>Without a partner, or not stored</h2><ul>{alone}</ul>")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>padiff</title>'
        f"<style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _safe(text: str, limit: int = 120) -> str:
    return escape(clean(text, limit))


def _first(comparison: Comparison, first: Record | None) -> list[str]:
    if first is None:
        return []
    lines = [*figures(comparison, first), cause(comparison, first), *traps(comparison, first)]
    said = "".join(f"<p>{_safe(line, 400)}</p>" for line in lines)
    title = f"{stage(first)}: {layer_name(first.base)}, {tensor_name(first)}"
    trees = "".join(
        f"<pre>{_tree(comparison, index, side)}</pre>"
        for index, side in enumerate((first.base, first.raw))
    )
    return [f"<h2>First divergence: {_safe(title)}</h2>{said}{trees}"]


def _tree(comparison: Comparison, index: int, side: Side) -> str:
    lines = []
    for line in outline(comparison.first_trees[index], side.route, side.call):
        text = escape("  " * line.depth + line.text)
        lines.append(f"<b>{text}  {escape(MARKER)}</b>" if line.marked else text)
    return "\n".join(lines)


def _row(record: Record) -> str:
    found = record.figures
    cells = (
        f"{stage(record)} {when(record)}",
        layer_name(record.base),
        layer_name(record.raw),
        tensor_name(record),
        record.status,
        number(found.max_abs) if found else "",
        number(found.mean_abs) if found else "",
        number(found.rel_l2) if found else "",
        f"{found.mismatched} of {record.size}" if found else "",
    )
    kind = ' class="diverged"' if record.diverged else ""
    return f"<tr{kind}>{''.join(f'<td>{_safe(cell)}</td>' for cell in cells)}</tr>"
