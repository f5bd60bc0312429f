"""A figure as a page: one file that needs no network, says what it shows, and lets no text of the data run."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from html import escape
from typing import Any

import orjson
from plotly.offline import get_plotlyjs

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
:root {{ color-scheme: {scheme}; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; min-height: 100vh; display: flex; background: {ground}; color: {ink};
  font: 16px/1.5 Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif; }}
main {{ flex: 1; display: flex; flex-direction: column; width: 100%; max-width: 1400px; margin: 0 auto;
  padding: clamp(12px, 3vw, 40px); min-width: 0; }}
h1 {{ font-size: clamp(20px, 2.4vw, 28px); font-weight: 600; line-height: 1.25; margin: 0 0 4px;
  overflow-wrap: anywhere; }}
figure {{ flex: 1; display: flex; flex-direction: column; margin: 0; min-width: 0; }}
figcaption {{ color: {quiet}; font-size: 14px; max-width: 90ch; overflow-wrap: anywhere; }}
figcaption p {{ margin: 0 0 2px; }}
.described {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
#chart {{ flex: 1; min-height: {height}; margin-top: 16px; min-width: 0; }}
@media print {{ main {{ padding: 0; }} }}
</style>
</head>
<body>
<main>
<h1 id="title">{title}</h1>
<figure aria-labelledby="title" aria-describedby="description">
<figcaption>{notes}<p id="description" class="described">{description}</p></figcaption>
<div id="chart" role="img" aria-labelledby="title" aria-describedby="description"></div>
<noscript><p>The chart is drawn by JavaScript, which is switched off here.</p></noscript>
</figure>
</main>
<script>{library}</script>
<script>{drawing}</script>
</body>
</html>
"""


def page(figure: Any) -> str:
    """A Plotly figure as a whole HTML page with plotly.js in it (5 MB).

    Title and notes become text of the page, so they wrap and a screen reader finds them. The page's own policy
    admits the two scripts in it, by their hashes, and nothing else: no other script, no request to anywhere.
    """
    shown = orjson.loads(figure.to_json())
    layout = shown["layout"]
    meta = layout.get("meta") or {}
    title = meta.get("title") or _plain_title(layout) or "Chart"
    layout.pop("title", None)
    height = layout.pop("height", None)
    if meta.get("title") is not None:
        layout["margin"] = {
            **layout.get("margin", {}),
            "t": 60 if (layout.get("legend") or {}).get("orientation") == "h" else 32,
        }
    options = {
        "responsive": True,
        "displaylogo": False,
        "displayModeBar": "hover" if shown["data"] else False,
        # Nobody's data leave for a service of plotly.js's makers at the press of a button.
        "showSendToCloud": False,
        "plotlyServerURL": "",
        "toImageButtonOptions": {"filename": "chart", "scale": 2},
    }
    drawing = "Plotly.newPlot({});".format(", ".join(map(_literal, ("chart", shown["data"], layout, options))))
    library, library_hash = _library()
    policy = (
        f"default-src 'none'; script-src '{library_hash}' '{_hash(drawing)}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return _PAGE.format(
        policy=escape(policy),
        title=escape(title),
        notes="".join(f"<p>{escape(note)}</p>" for note in meta.get("notes", ())),
        description=escape(meta.get("description") or title),
        scheme=meta.get("theme", "light"),
        ground=layout.get("paper_bgcolor", "#ffffff"),
        ink=(layout.get("font") or {}).get("color", "#1f2933"),
        quiet=meta.get("quiet", "#5b6773"),
        height=f"{height}px" if height else "min(420px, 80vh)",
        library=library,
        drawing=drawing,
    )


def _plain_title(layout: dict[str, Any]) -> str:
    title = layout.get("title") or {}
    return str(title.get("text") or "")


def _literal(value: object) -> str:
    """`value` as JavaScript that no HTML parser sees the end of a script in."""
    text = orjson.dumps(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@lru_cache(maxsize=1)
def _library() -> tuple[str, str]:
    text = get_plotlyjs()
    return text, _hash(text)


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
