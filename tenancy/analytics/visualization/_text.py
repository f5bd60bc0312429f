"""Words and numbers of a chart: safe to show, and written as people write them."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import numpy.typing as npt

SEPARATORS = {
    "en": ".,",
    "de": ",.",
    "es": ",.",
    "it": ",.",
    "pt": ",.",
    "nl": ",.",
    "fr": ",\u202f",
    "sv": ",\u202f",
    "ch": ".\u2019",
}
"""By locale: the decimal mark, then what stands between thousands."""

_LONGEST = 120


def safe(text: object) -> str:
    """`text` as plotly.js will show it, letter for letter, cut at 120.

    plotly.js reads a subset of HTML in every text, links included, and the data of a tenant may hold any of it.

    >>> safe("<b>R&B</b>")
    '&lt;b&gt;R&amp;B&lt;/b&gt;'
    """
    cut = str(text)
    if len(cut) > _LONGEST:
        cut = cut[: _LONGEST - 1] + "…"
    # Control characters are not allowed in SVG, a lone surrogate cannot be written as UTF-8, and marks that turn
    # the direction of writing would turn the label's neighbours too. Joiners belong to words and emoji.
    cut = "".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in cut)
    escaped = cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("%{", "&#37;{")  # or it would be a template's variable


def title_of(column: str) -> str:
    """A column's name as a title.

    >>> title_of("play_count"), title_of("p95_duration")
    ('Play count', 'p95 duration')
    """
    words = column.replace("_", " ").replace(".", " · ").strip()
    return words if words[1:2].isdigit() else words[:1].upper() + words[1:]


def wrapped(text: str, width: int = 120) -> str:
    """`text`, safe, in lines of at most `width` letters."""
    return "<br>".join(safe(line) for line in textwrap.wrap(text, min(width, _LONGEST)))


def number_format(values: npt.NDArray[np.float64]) -> str:
    """The d3 format that shows numbers of this size in full and no fraction that means nothing.

    >>> number_format(np.array([1_234_567.0])), number_format(np.array([0.0123, 0.5])), number_format(np.array([]))
    (',.0f', ',.3~f', ',.0f')
    """
    finite = np.abs(values[np.isfinite(values)])
    if not len(finite) or (finite == np.round(finite)).all():
        return ",.0f"
    largest = float(finite.max())
    digits = min(8, max(0, 2 - math.floor(math.log10(largest)))) if largest > 0 else 0
    return f",.{digits}~f"
