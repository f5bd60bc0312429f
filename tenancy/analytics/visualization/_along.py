"""What charts along an x axis share: axes, the legend, what a pointer shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tenancy.analytics.visualization._measures import is_additive
from tenancy.analytics.visualization._plot import Plot
from tenancy.analytics.visualization._series import Series, Table
from tenancy.analytics.visualization._text import safe


def measure_format(plot: Plot, table: Table) -> str:
    """The d3 format of the values drawn."""
    return plot.format(*range_names(table), frame=pd.DataFrame({str(i): s.y for i, s in enumerate(table.series)}))


def range_names(table: Table) -> list[str]:
    """Column names for the series of a table."""
    return [str(i) for i in range(len(table.series))]


def color(plot: Plot, series: Series, index: int) -> str:
    """The colour of the series at `index`; all others are grey."""
    return plot.theme.other if series.is_other else plot.theme.color(index)


def measure_axis(plot: Plot, table: Table, number: str) -> dict[str, Any]:
    """The axis of the measure, or of several."""
    title = " · ".join(safe(plot.title(measure)) for measure in plot.fields.y[:3])
    ticks = {"tickformat": plot.config.number_format or (number if "~" in number else ",~f")}
    if all(is_additive(measure, plot.config) for measure in plot.fields.y):
        ticks["rangemode"] = "tozero"
    elif all(not (series.y < 0).any() for series in table.series):
        ticks["rangemode"] = "nonnegative"  # no room for durations below zero
    return {"title": {"text": title}, "type": "linear", **ticks}


def legend(plot: Plot, table: Table) -> dict[str, Any]:
    """A legend where there is more than one series; above the chart when its names are few and short."""
    if len(table.series) < 2:
        return {"showlegend": False}
    heading = {"text": safe(plot.title(plot.fields.group)) if plot.fields.group else ""}
    if len(table.series) <= 6 and sum(len(s.name) for s in table.series) <= 60:
        above = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
        return {"showlegend": True, "legend": {**above, "title": {"text": ""}}}
    return {"showlegend": True, "legend": {"x": 1.02, "y": 1, "title": heading}}


def layout(plot: Plot, table: Table, number: str, **more: Mapping[str, Any] | str | float) -> dict[str, Any]:
    """The layout of a chart whose measure stands upright."""
    return {
        "xaxis": plot.axis(plot.fields.x, table.x),
        "yaxis": measure_axis(plot, table, number),
        "hovermode": "x unified",
        **legend(plot, table),
        **more,
    }
