"""Heatmap: a measure over two dimensions, as shade. What has no value has no shade."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.visualization._data import ColumnKind, kind_of
from tenancy.analytics.visualization._fields import require_numbers
from tenancy.analytics.visualization._measures import combine, is_additive, told
from tenancy.analytics.visualization._plot import Drawing, Plot, names, values
from tenancy.analytics.visualization._series import places
from tenancy.analytics.visualization._text import safe
from tenancy.analytics.visualization._theme import colorbar

MOST_ROWS = 40
_MOST_FILLED = 500


def draw(plot: Plot) -> Drawing:
    """`x_axis` across, `group_by` down, `y_axis` as shade; or `y_axis` down and `color` as shade."""
    config, across = plot.config, plot.fields.x
    if config.group_by is not None:
        down, measure, place = config.group_by, plot.fields.y[0], "y_axis"
    elif config.color is not None:
        down, measure, place = plot.fields.y[0], config.color, "color"
    else:
        remedy = "name the column of the rows; x_axis runs across, y_axis is the shade"
        raise InvalidRequestError("chart_config.group_by", None, remedy)
    require_numbers(place, measure, plot.frame)
    frame = plot.frame
    for name in (across, down):
        if kind_of(frame[name]) is ColumnKind.CATEGORY:
            frame = frame.assign(**{name: names(frame[name])})
        frame = frame[frame[name].notna()]
    rows, done = combine(frame, [across, down], [measure], config)
    notes = [told(plot, [across, down], [measure], done)] if done else []
    cells = rows.pivot(index=down, columns=across, values=measure).astype(np.float64)
    cells = cells.reindex(columns=pd.Index(_sorted(rows[across])), index=pd.Index(_sorted(rows[down])))
    if kind_of(rows[down]) is ColumnKind.CATEGORY:
        weight = cells.sum(axis=1) if is_additive(measure, config) else cells.mean(axis=1)
        order = weight.sort_values(ascending=False, kind="stable").index
        most = config.limit or MOST_ROWS
        if len(order) > most:
            notes.append(f"The {most} greatest of {len(order):,} rows are shown.")
        cells = cells.loc[_by(config.sort, cells.index, order[:most])]
    number = plot.format(measure, frame=pd.DataFrame({measure: cells.to_numpy().ravel()}))
    titles = {name: safe(plot.title(name)) for name in (across, down, measure)}
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": values(pd.Series(cells.columns)),
        "y": values(pd.Series(cells.index)),
        "z": [values(row) for _, row in cells.iterrows()],
        "colorscale": [list(stop) for stop in plot.theme.scale],
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "colorbar": colorbar(plot.theme, titles[measure], ",~f"),
        "hovertemplate": f"{titles[across]}: %{{x}}<br>{titles[down]}: %{{y}}<br>"
        f"{titles[measure]}: %{{z:{number}}}<extra></extra>",
    }
    axis_down = plot.axis(down, pd.Series(cells.index))
    layout = {
        "xaxis": {**plot.axis(across, pd.Series(cells.columns)), "showline": False},
        "yaxis": {**axis_down, "showgrid": False, "autorange": "reversed"},
        "hovermode": "closest",
    }
    return Drawing((trace,), layout, tuple(notes))


def _sorted(column: pd.Series[Any]) -> pd.Series[Any]:
    there = places(column)
    if kind_of(column) is ColumnKind.CATEGORY:
        return there.sort_values(key=lambda names: names.str.casefold(), kind="stable")
    if kind_of(column) is ColumnKind.NUMBER and len(there) and (there == there.round()).all():
        low, high = int(there.iloc[0]), int(there.iloc[-1])
        # Hours 1, 5, 6, …: plotly.js would make the cell of 5 three hours wide.
        if high - low < _MOST_FILLED:
            return pd.Series(np.arange(low, high + 1, dtype=np.float64))
    return there


def _by(sort: str | None, index: pd.Index[Any], greatest: pd.Index[Any]) -> pd.Index[Any]:
    return greatest if sort != "label" else index[index.isin(greatest)]
