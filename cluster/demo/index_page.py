"""The page that leads to the charts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Two tenants</title>
<style>
body {{ margin: 0 auto; max-width: 70ch; padding: clamp(16px, 4vw, 48px); color: #1f2933; background: #fff;
  font: 16px/1.6 Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif; }}
h1 {{ font-size: 28px; margin: 0 0 8px; }} h2 {{ font-size: 18px; margin: 32px 0 4px; }}
ul {{ margin: 0; padding: 0; list-style: none; }}
li {{ border-top: 1px solid #e4e8ec; }}
a {{ display: block; padding: 8px 0; color: #2f5d8a; text-decoration: none; }}
a:hover, a:focus {{ text-decoration: underline; }}
</style>
</head>
<body>
<main>
<h1>Two tenants</h1>
{sections}
</main>
</body>
</html>
"""


def write_index(folder: Path, pages: Sequence[tuple[str, str, Path]]) -> Path:
    """A page with a link to each of `pages`: tenant, title and file."""
    tenants = dict.fromkeys(tenant for tenant, _, _ in pages)
    sections = "\n".join(
        f"<h2>{escape(tenant)}</h2>\n<ul>"
        + "".join(f'<li><a href="{escape(p.name)}">{escape(title)}</a></li>' for t, title, p in pages if t == tenant)
        + "</ul>"
        for tenant in tenants
    )
    path = folder / "index.html"
    path.write_text(_INDEX.format(sections=sections), encoding="utf-8")
    return path
