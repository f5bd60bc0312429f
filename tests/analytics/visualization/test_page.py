"""Pages in a real browser: they draw without a network, and nothing in the data runs."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest

from tenancy.analytics.visualization import ChartType, VisualizationEngine, page

Rows = list[dict[str, Any]]


def hostile_rows(text: str) -> Rows:
    return [{text: f"{name}{text}", "group": f"{text}{name}", "n": n, "m": n} for n, name in enumerate("abc", 1)]


def hostile_config(kind: ChartType, text: str) -> dict[str, Any]:
    return {
        "type": kind,
        "title": text,
        "description": text,
        "x_axis": "m" if kind is ChartType.SCATTER else text,
        "y_axis": "n",
        "group_by": "group",
        "labels": {"n": text, "group": text},
    }


def test_no_text_of_the_data_runs_or_becomes_markup_in_any_chart(dom_of: Callable[[str], str], hostile: str) -> None:
    # Plotly's own page has no policy, so here nothing but the escaping stands between the data and the browser.
    charts = [VisualizationEngine().create(hostile_config(kind, hostile), hostile_rows(hostile)) for kind in ChartType]
    parts = [chart.to_html(full_html=False, include_plotlyjs=number == 0) for number, chart in enumerate(charts)]
    dom = dom_of(f"<!DOCTYPE html><html><body>{''.join(parts)}</body></html>")
    drawn = re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)
    assert drawn.count('class="main-svg"') >= len(ChartType)
    assert "data-ran" not in drawn
    assert "<img" not in drawn
    assert html.escape(hostile[:40], quote=False) in drawn, "the text is shown letter for letter"
    assert "%{meta[0]}" in drawn


def test_the_page_draws_by_itself_and_its_policy_stops_every_other_script(
    dom_of: Callable[[str], str], plays: Rows
) -> None:
    config = {"type": "line", "title": "Plays", "x_axis": "date", "y_axis": "play_count", "group_by": "genre"}
    text = VisualizationEngine().create(config, plays).to_html()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text.replace(_library(text), ""))
    intruder = '<script>document.body.dataset.ran="1"</script><img src=x onerror="document.body.dataset.ran=1"></main>'
    dom = dom_of(text.replace("</main>", intruder))
    assert 'class="main-svg"' in dom
    assert "data-ran" not in dom.replace(intruder.removesuffix("</main>"), "").replace(_library(text), "")
    assert re.search(r"<body[^>]*data-ran", dom) is None
    assert ">jazz<" in dom


def test_the_page_says_what_it_shows_to_those_who_do_not_see_it(plays: Rows) -> None:
    config = {"type": "bar", "title": "Plays <of> all", "x_axis": "genre", "y_axis": "play_count"}
    text = VisualizationEngine().create(config, plays).to_html()
    assert '<html lang="en">' in text
    assert "<title>Plays &lt;of&gt; all</title>" in text
    assert 'role="img" aria-labelledby="title" aria-describedby="description"' in text
    assert "A bar chart of play count by genre, from 78 rows." in text
    assert "Play count: summed over date and artist." in text


def test_any_plotly_figure_makes_a_page() -> None:
    text = page(go.Figure(go.Bar(x=["</script>"], y=[1]), layout={"title": {"text": "Plain"}}))
    assert "<title>Plain</title>" in text
    assert text.count("</script>") == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_takes_its_ground_from_the_theme(theme: str, plays: Rows) -> None:
    config = {"type": "bar", "x_axis": "genre", "y_axis": "play_count", "theme": theme}
    assert f"color-scheme: {theme};" in VisualizationEngine().create(config, plays).to_html()


def _library(text: str) -> str:
    found = re.search(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert found
    return found[1]
