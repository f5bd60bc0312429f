"""Lines: a measure over time, one line a group. A gap in the data is a gap in the line."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tenancy.analytics.visualization import _along
from tenancy.analytics.visualization._data import ColumnKind, kind_of
from tenancy.analytics.visualization._plot import Drawing, Plot, values
from tenancy.analytics.visualization._series import MOST_SERIES, series_of
from tenancy.analytics.visualization._theme import dash

_POINTS_SHOWN = 40
"""Up to so many places, each is marked."""


def draw(plot: Plot) -> Drawing:
    """One line a series; points on stems where the x axis stands in for a time that the rows do not have."""
    table = series_of(plot, plot.config.limit or MOST_SERIES)
    if plot.fields.stands_in:
        order = table.series[0].y.sort_values(ascending=False, na_position="last").index
        table = type(table)(
            table.x.loc[order].reset_index(drop=True),
            tuple(type(s)(s.name, s.y.loc[order].reset_index(drop=True), s.is_other) for s in table.series),
            table.notes,
        )
    number = _along.measure_format(plot, table)
    traces = []
    for index, series in enumerate(table.series):
        color = _along.color(plot, series, index)
        trace: dict[str, Any] = {
            "type": "scatter",
            "name": series.name,
            "x": values(table.x),
            "y": values(series.y),
            "hovertemplate": f"%{{y:{number}}}",
            "connectgaps": False,
        }
        if plot.fields.stands_in:
            # Groups have no order for a line to follow; a stem from zero says what the height of the point is.
            stem = {"type": "percent", "symmetric": False, "value": 0, "valueminus": 100}
            trace |= {
                "mode": "markers",
                "marker": {"color": color, "size": 11},
                "error_y": {**stem, "color": color, "thickness": 2, "width": 0},
            }
        else:
            trace |= {
                "mode": "lines+markers" if len(table.x) <= _POINTS_SHOWN or _has_lone_point(series.y) else "lines",
                "line": {"color": color, "width": 2, "dash": dash(index)},
                "marker": {"color": color, "size": 5},
            }
        traces.append(trace)
    layout = _along.layout(plot, table, number)
    if kind_of(table.x) is ColumnKind.CATEGORY:
        layout["xaxis"] |= {"categoryorder": "array", "categoryarray": values(table.x)}
    return Drawing(tuple(traces), layout, table.notes)


def _has_lone_point(y: pd.Series[Any]) -> bool:
    """Whether some value has no neighbour, so that no line would show it."""
    there = y.notna()
    return bool((there & ~there.shift(1, fill_value=False) & ~there.shift(-1, fill_value=False)).any())
