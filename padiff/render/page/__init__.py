"""A comparison as one page that needs nothing else: a file to open, to pass around and to print."""

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files

from padiff.comparing.comparison import Comparison, Record, Side
from padiff.jsonio import dumps
from padiff.render.causes import cause
from padiff.render.findings import (
    NOT_ALIGNED,
    extremes,
    figures,
    find_node,
    hidden,
    stage_in,
    verdict,
)
from padiff.render.page.document import RECORDS, document
from padiff.render.summary import summary
from padiff.render.traps import traps
from padiff.render.words import (
    clean,
    layer_name,
    named,
    shape_of,
    source_words,
    tensor_name,
    when,
)

__all__ = ["SCRIPTS", "policy", "render"]

SCRIPTS = (  # in the order in which they need each other
    *("base.js", "data.js", "list.js", "theme.js", "pictures.js", "chart.js"),
    *("detail.js", "tree.js", "table.js", "settings.js", "main.js"),
)
_FRAMES = 1  # the line that calls the layer; the page of the layer has all
_SENTENCE = 400


def render(comparison: Comparison, *, most: int = RECORDS) -> str:
    """The page. The answer stands in its markup; all else in the document that its scripts show.

    More than `most` records are left out, those that diverged last, and the page says how many.
    """
    charts = _part("vendor/echarts.min.js")
    scripts = "\n".join(_part(f"parts/{name}") for name in SCRIPTS)
    style = _part("parts/page.css")
    filled = {
        "policy": escape(policy([charts, scripts], style)),
        "title": escape(f"padiff: {'aligned' if comparison.aligned else 'not aligned'}"),
        "style": style,
        "outcome": "aligned" if comparison.aligned else "diverged",
        "answer": "\n".join(_answer(comparison)),
        "first": "\n".join(_first(comparison)),
        "document": _inert(dumps(document(comparison, most=most))),
        "charts": charts,
        "scripts": scripts,
    }
    # in one pass: what is filled in is never looked at again
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], _part("parts/page.html"))


def policy(scripts: list[str], style: str) -> str:
    """What a browser may do with the page: run these scripts, use this style, and nothing else.

    Text never becomes markup: who hands a string to `innerHTML` gets what the one policy of
    `base.js` makes of it, which is nothing.
    """
    allowed = " ".join(f"'{_digest(script)}'" for script in scripts)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types default",
        )
    )


def _digest(part: str) -> str:
    return f"sha256-{b64encode(sha256(part.encode()).digest()).decode('ascii')}"


def _part(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _inert(json: str) -> str:
    """JSON that holds nothing a parser of HTML or of old JavaScript would take for its own."""
    for char in "<>&\u2028\u2029":
        json = json.replace(char, f"\\u{ord(char):04x}")
    return json


def _answer(comparison: Comparison) -> Iterator[str]:
    count, first = verdict(comparison), comparison.first_divergence
    yield f"<h1>{_safe(count if first is None else summary(comparison, first))}</h1>"
    if first is not None:
        yield f'<p class="count">{_safe(count.removeprefix(NOT_ALIGNED))}</p>'
    yield '<dl class="sources">'
    for name, source in (("base", comparison.base), ("raw", comparison.raw)):
        yield f"<div><dt>{name}</dt><dd>{_safe(source_words(source))}</dd></div>"
    yield "</dl>"
    notes = [*comparison.notes, *hidden(comparison)]
    if notes:
        yield '<div class="notes">'
        yield from (f"<p>{_safe(note)}</p>" for note in notes)
        yield "</div>"


def _first(comparison: Comparison) -> Iterator[str]:
    """The first divergence: where it is, how large, why, and the lines that call the layer."""
    record = comparison.first_divergence
    if record is None:
        return
    yield '<div class="lead">'
    yield '<section class="card first" id="first" aria-label="First divergence">'
    place = (stage_in(comparison, record), when(record), tensor_name(record))
    where = ", ".join(filter(None, place))
    yield f'<h2>First divergence <span class="where">{_safe(where)}</span></h2>'
    yield '<dl class="pair">'
    for index, label in enumerate(("base", "raw")):
        yield from _side(comparison, record, index, label)
    yield "</dl>"
    yield '<ul class="figures">'
    for line in (*figures(comparison, record), *extremes(record)):
        yield f"<li>{_safe(line)}</li>"
    yield "</ul>"
    if record.note:
        yield f'<p class="note">{_safe(record.note)}</p>'
    yield f'<p class="cause">{_safe(cause(comparison, record))}</p>'
    for sentence in traps(comparison, record):
        yield f'<p class="trap">{_safe(sentence)}</p>'
    yield "</section>"
    yield '<section class="card" id="first-picture" aria-label="Where it sits" hidden></section>'
    yield "</div>"


def _side(comparison: Comparison, record: Record, index: int, label: str) -> Iterator[str]:
    side: Side = (record.base, record.raw)[index]
    node = find_node(comparison, record, index)
    kind = clean(side.class_name or "", 60)
    yield (
        f'<div><dt>{label}</dt><dd><b class="name">{_safe(layer_name(side), 80)}</b> '
        f'<span class="class">{_safe(kind)}</span> <span class="shape">{_safe(shape_of(side))}'
        "</span>"
    )
    for frame in node.stack[-_FRAMES:] if node else ():
        place = f"{named(frame.file, 80)}:{frame.line} in {clean(frame.function, 40)}"
        code = clean(frame.code.strip(), 160)
        yield f'<div class="frame"><code>{_safe(code)}</code><small>{_safe(place)}</small></div>'
    yield "</dd></div>"


def _safe(value: str, limit: int = _SENTENCE) -> str:
    return escape(clean(value, limit))
