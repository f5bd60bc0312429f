"""Areas: parts of a whole over time, stacked where the measure may be added up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tenancy.analytics.visualization import _along
from tenancy.analytics.visualization._measures import is_additive
from tenancy.analytics.visualization._plot import Drawing, Plot, values
from tenancy.analytics.visualization._series import MOST_SERIES, series_of
from tenancy.analytics.visualization._theme import faint


def draw(plot: Plot) -> Drawing:
    """One area a series, the greatest at the bottom. In a stack, nothing counts as zero."""
    table = series_of(plot, plot.config.limit or MOST_SERIES)
    number = _along.measure_format(plot, table)
    stacked = len(table.series) > 1 and all(is_additive(measure, plot.config) for measure in plot.fields.y)
    traces: list[dict[str, Any]] = []
    for index, series in enumerate(table.series):
        color = _along.color(plot, series, index)
        trace: dict[str, Any] = {
            "type": "scatter",
            "name": series.name,
            "line": {"color": color, "width": 0.5 if stacked else 2},
            "hovertemplate": f"%{{y:{number}}}",
        }
        if stacked:
            y = values(series.y.fillna(0))
            traces.append(
                trace | {"mode": "lines", "x": values(table.x), "y": y, "stackgroup": "whole", "fillcolor": color}
            )
        else:
            traces += _runs(trace | {"fill": "tozeroy", "fillcolor": faint(color)}, table.x, series.y)
    layout = _along.layout(plot, table, number)
    layout["yaxis"] |= {"rangemode": "tozero"}
    if stacked and "legend" in layout and layout["legend"].get("orientation") != "h":
        # In the order in which the areas lie upon one another.
        layout["legend"] |= {"traceorder": "reversed"}
    return Drawing(tuple(traces), layout, table.notes)


def _runs(trace: dict[str, Any], x: pd.Series[Any], y: pd.Series[Any]) -> list[dict[str, Any]]:
    """One area for each run of values: plotly.js would fill across a gap, though it leaves the line open."""
    there = y.notna()
    runs = (there != there.shift()).cumsum()[there]
    parts = [run.index for _, run in runs.groupby(runs)] or [y.index]
    return [
        trace
        | {"x": values(x.loc[part]), "y": values(y.loc[part]), "mode": "lines" if len(part) > 1 else "lines+markers"}
        | {"legendgroup": trace["name"], "showlegend": number == 0}
        for number, part in enumerate(parts)
    ]
